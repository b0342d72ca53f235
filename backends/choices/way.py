"""How the tools of one request are used: decided once, for every engine."""

from __future__ import annotations

from msgspec import Struct

from backends.choices import tools
from backends.choices.choice import Scanner
from backends.constraints import constraint
from backends.constraints.compile import Job
from backends.constraints.compiler import Compiler
from backends.requests import ChatRequest, Tool


class Way(Struct, frozen=True):
    """By the model's own template and markup (`native`), or by our grammar and scanner (`ours`)."""

    tools: tuple[Tool, ...] = ()
    native: bool = False
    forced: bool = False
    many: bool = False

    @classmethod
    def of(cls, request: ChatRequest, *, able: bool) -> Way:
        """`able`: the engine can tell the model of tools and read its calls by itself. Raises Refused."""
        permitted = tools.permitted(request)
        if not permitted:
            return cls()
        if tools.is_forced(request):
            return cls(permitted, forced=True, many=tools.several(request))
        # A grammar of ours leaves no room for the model's own markup.
        native = able and request.sampling.constraint is None
        return cls(permitted, native=native, many=request.parallel_tool_calls is not False)

    @property
    def ours(self) -> bool:
        return bool(self.tools) and not self.native

    @property
    def description(self) -> str:
        """What a system message tells of the tools where no template does; empty when ours are none."""
        return tools.description(self.tools, forced=self.forced, many=self.many) if self.ours else ""

    def scanner(self) -> Scanner | None:
        """What finds calls of our form in one choice."""
        return tools.scanner(self.tools, forced=self.forced, many=self.many) if self.ours else None

    async def grammar(self, compiler: Compiler, request: ChatRequest) -> str:
        """Tried and ready for the engine; empty when the answer is free. Raises Refused or SchemaTooComplex."""
        wanted = request.sampling.constraint
        if not self.ours:
            return await constraint.grammar(compiler, wanted)
        if self.forced:
            text = tools.forced_grammar(self.tools, self.many)
        else:
            text = tools.free_grammar(self.tools, wanted, self.many)
        return await compiler.grammar(Job("lark", text), "tools")
