"""`langchain_action`, `langchain_mode`, `text_context_list` and the prompts -> what is done over which passages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from msgspec import Struct

from backends.errors import Unsupported
from openai_proxy.errors import TooManyItems
from openai_proxy.h2ogpt.wish import Action, Prompts

# Modes of h2oGPT that name no documents, and those that name documents which come with it, and not with this server.
NO_COLLECTION = frozenset({"", "LLM", "ChatLLM", "Disabled", "None"})
ELSEWHERE = frozenset({"All", "wiki", "wiki_full", "github h2oGPT", "DriverlessAI docs"})
TEXTS = 2048
# The keys of the words before and after an action's passages; the first that is there counts. h2oGPT's own wrapper
# sends those of an Extract as if they were those of a summary.
WORDS: Mapping[Action, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Query": (("pre_prompt_query",), ("prompt_query",)),
    "Summarize": (("pre_prompt_summary",), ("prompt_summary",)),
    "Extract": (("pre_prompt_extraction", "pre_prompt_summary"), ("prompt_extraction", "prompt_summary")),
}


class Over(Struct, kw_only=True):
    """The keys about passages."""

    text_context_list: str | list[str] | None = None
    langchain_mode: str | list[str] | None = None
    langchain_action: str | None = None
    top_k_docs: int | None = None
    pre_prompt_query: str | None = None
    prompt_query: str | None = None
    pre_prompt_summary: str | None = None
    prompt_summary: str | None = None
    pre_prompt_extraction: str | None = None
    prompt_extraction: str | None = None

    def prompts(self, action: Action | None) -> Prompts:
        """The client's words for an action."""
        before, after = self._worded(action)
        return Prompts(before=before and getattr(self, before), after=after and getattr(self, after))

    def _worded(self, action: Action | None) -> tuple[str | None, str | None]:
        """The keys that have them."""
        before, after = ((), ()) if action is None else WORDS[action]
        return self._first(before), self._first(after)

    def _first(self, keys: Iterable[str]) -> str | None:
        return next((key for key in keys if getattr(self, key) is not None), None)

    def texts(self) -> Sequence[str]:
        """The client's own passages. Raises TooManyItems: the tokens of each are counted."""
        given = self.text_context_list
        if isinstance(given, list) and len(given) > TEXTS:
            message = f"text_context_list has {len(given)} items; at most {TEXTS} are taken."
            raise TooManyItems(message, param="text_context_list")
        return [each for each in ([given] if isinstance(given, str) else given or ()) if each.strip()]

    def collections(self) -> Sequence[str]:
        """The collections that are named, and may be here."""
        return [each for each in self._modes() if each not in ELSEWHERE]

    def _modes(self) -> Sequence[str]:
        given = self.langchain_mode
        return [each for each in ([given] if isinstance(given, str) else given or ()) if each not in NO_COLLECTION]

    def action(self) -> Action:
        """What is to be done, were there passages. Raises Unsupported."""
        for action in get_args(Action):
            if (self.langchain_action or "Query") == action:
                return action  # type: ignore[no-any-return]
        known = ", ".join(get_args(Action))
        raise Unsupported(f"langchain_action must be one of {known}.", param="langchain_action")

    def idle(self, action: Action | None, *, searched: bool, texts: bool) -> set[str]:
        """Those of these keys that say something, and have no effect on that action."""
        honoured: set[str | None] = set(self._worded(action))
        if action is not None or self.langchain_action == "Query":
            honoured.add("langchain_action")
        if searched:
            honoured |= {"langchain_mode", "top_k_docs"}
        said = {name for name in self.__struct_fields__ if getattr(self, name) not in (None, "", [])}
        if not self._modes():
            said.discard("langchain_mode")
        return said - honoured - ({"text_context_list"} if texts else set())


def none_of(value: Any) -> bool:
    """Whether a key's value says nothing."""
    return value is None or value in ("", [], {})
