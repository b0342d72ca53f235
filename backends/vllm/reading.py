"""Tool calls and reasoning out of an answer, by vLLM's own parsers for the model's family."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from msgspec import structs

from backends.choices.calls import call_id
from backends.choices.piece import Piece
from backends.choices.tools import function
from backends.events import ToolDelta
from backends.requests import Tool
from backends.vllm.loaded import Loaded
from backends.vllm.prompts import Rendered


class Reader:
    """Reads one choice. `special` tells whether special tokens have to show in the text.

    With `tools` calls are read too; `many` lets more than the first through. `special` may be wanted by the client too.
    """

    def __init__(
        self,
        loaded: Loaded,
        rendered: Rendered,
        values: Mapping[str, Any],
        tools: Sequence[Tool],
        *,
        many: bool,
        special: bool = False,
    ) -> None:
        self._prompt = list(rendered["prompt_token_ids"])
        self._many = many
        self._request = _request(loaded, tools)
        self._parser = loaded.parser(
            loaded.tokenizer,
            self._request.tools,
            chat_template_kwargs=dict(values),
            model_config=loaded.client.model_config,
        )
        self._named: set[int] = set()
        for part in (self._parser.reasoning_parser, self._parser.tool_parser if tools else None):
            if part is not None:
                self._request = part.adjust_request(self._request)
        self.special = special or not self._request.skip_special_tokens
        # vLLM's newer parsers take any amount at once; the others lose calls, and are given a token at a time. They
        # also lose an answer that begins as a call would and is none: what they kept to themselves is text in the end.
        both = (self._parser.reasoning_parser, self._parser.tool_parser)
        whole = all(getattr(part, "engine_based_streaming", False) for part in both if part is not None)
        self._spelling = None if whole else Spelling(loaded, self._prompt, special=self.special)
        self._kept: str | None = None if whole else ""
        self._after_call = False
        self._blank = ""

    def read(self, new: Any, *, finished: bool) -> Piece:
        """What an output of the engine brings."""
        ids = list(new.token_ids)
        parts = [(new.text, ids)] if self._spelling is None else self._spelling.spell(new.text, ids)
        pieces = [self._read(*part, finished=finished and at == len(parts)) for at, part in enumerate(parts, 1)]
        piece = self._worded(pieces[0] if len(pieces) == 1 else _joined(pieces))
        if self._kept is None:
            return piece
        if piece.text or piece.reasoning or piece.tools:
            self._kept = None
            return piece
        self._kept += new.text
        return Piece(self._kept) if finished else piece

    def _worded(self, piece: Piece) -> Piece:
        """Without the white space that stands between calls and after them, unless words follow it."""
        if piece.tools:
            self._after_call, self._blank = True, ""
        if not self._after_call:
            return piece
        text = self._blank + piece.text
        self._blank = "" if text.strip() else text
        self._after_call = bool(self._blank or piece.tools or not text)
        return structs.replace(piece, text="" if self._blank else text)

    def _read(self, text: str, ids: list[int], *, finished: bool) -> Piece:
        message = self._parser.parse_delta(
            delta_text=text,
            delta_token_ids=ids,
            request=self._request,
            prompt_token_ids=self._prompt,
            finished=finished,
        )
        if message is None:
            return Piece()
        calls = (self._call(call) for call in message.tool_calls or ())
        return Piece(
            text=message.content or "",
            reasoning=message.reasoning or "",
            tools=tuple(call for call in calls if self._many or call.position == 0),
        )

    def _call(self, call: Any) -> ToolDelta:
        """A piece of a call. Its name comes once, with the first piece; the id is ours where the parser gives none."""
        given = call.function
        arguments = (given.arguments if given is not None else None) or ""
        if given is None or not given.name or call.index in self._named:
            return ToolDelta(call.index, arguments=arguments)
        self._named.add(call.index)
        return ToolDelta(call.index, call.id or call_id(), given.name, arguments)


class Spelling:
    """The text of each token of one choice, as the engine made it out of the prompt and the tokens before."""

    def __init__(self, loaded: Loaded, prompt: list[int], *, special: bool) -> None:
        self._library = loaded.library
        self._tokenizer = loaded.tokenizer
        self._request = SimpleNamespace(
            request_id="",
            prompt_token_ids=prompt,
            prompt_embeds=None,
            sampling_params=loaded.library.SamplingParams(skip_special_tokens=not special),
        )
        self._decoder: Any = None
        self._behind: list[int] = []

    def spell(self, text: str, ids: list[int]) -> list[tuple[str, list[int]]]:
        """An output's text and tokens, a token each. In one where the texts do not make up `text`."""
        if len(ids) < 2:
            self._behind += ids
            return [(text, ids)]
        if self._decoder is None:
            self._decoder = self._library.IncrementalDetokenizer.from_new_request(self._tokenizer, self._request)
        self._text(self._behind)
        self._behind = ids[-1:]  # it may have ended the answer, and then only the engine knows whether it shows
        texts = [self._text([token]) for token in ids[:-1]]
        begun = "".join(texts)
        if not text.startswith(begun):
            return [(text, ids)]
        return list(zip((*texts, text[len(begun) :]), ([token] for token in ids), strict=True))

    def _text(self, ids: list[int]) -> str:
        self._decoder.update(ids, False)
        text: str = self._decoder.get_next_output_text(False, True)
        return text


def _joined(pieces: Sequence[Piece]) -> Piece:
    """Pieces as one; what follows one another in a call is one there too."""
    tools: list[ToolDelta] = []
    for tool in itertools.chain.from_iterable(piece.tools for piece in pieces):
        if tools and tool.name is None and tool.position == tools[-1].position:
            tools[-1] = structs.replace(tools[-1], arguments=tools[-1].arguments + tool.arguments)
        else:
            tools.append(tool)
    return Piece(
        text="".join(piece.text for piece in pieces),
        reasoning="".join(piece.reasoning for piece in pieces),
        tools=tuple(tools),
    )


def _request(loaded: Loaded, tools: Sequence[Tool]) -> Any:
    """The request as the parsers want to see it; they look at its tools, not at its messages."""
    body: dict[str, Any] = {"messages": [{"role": "user", "content": ""}], "tool_choice": "none"}
    if tools:
        body |= {"tools": [function(tool) for tool in tools], "tool_choice": "auto"}
    return loaded.library.ChatCompletionRequest.model_validate(body)
