"""What the edge asks of an engine: values only, no HTTP, no engine.

Requests are frozen msgspec structs: equal when their content is equal, cheap to build on the hot path.
Every text request carries `Sampling`; `extra` holds engine options that only a backend reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from msgspec import Raw, Struct

Tokens: TypeAlias = tuple[int, ...]
Prompt: TypeAlias = str | Tokens
Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]


class JsonObject(Struct, frozen=True, tag=True):
    """The answer must be one JSON object."""


class JsonSchema(Struct, frozen=True, tag=True):
    """The answer must be JSON that is valid for `schema` (JSON Schema, already bounded by the edge)."""

    schema: Mapping[str, Any]


class Regex(Struct, frozen=True, tag=True):
    """The whole answer must match `pattern`."""

    pattern: str


class Choice(Struct, frozen=True, tag=True):
    """The answer must be one of `options`, to the letter."""

    options: tuple[str, ...]


class Grammar(Struct, frozen=True, tag=True):
    """The answer must be derivable from `text`, in the engine's own grammar language (GBNF for llama.cpp)."""

    text: str


Constraint: TypeAlias = JsonObject | JsonSchema | Regex | Choice | Grammar


# What clients send to any model, whether it has that or not.
OPTIONS = frozenset({"temperature", "top_p", "top_k", "min_p", "repetition_penalty", "min_tokens", "max_tokens"}) | {
    "seed",
    "stop_token_ids",
}


class Sampling(Struct, frozen=True, kw_only=True):
    """How tokens are chosen. None leaves it to the engine.

    `logprobs` is the number of alternatives to each token of the answer, `prompt_logprobs` that of the prompt: 0 to 20.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int = 1
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = {}
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    constraint: Constraint | None = None


class Text(Struct, frozen=True, tag=True):
    """A part of a message that is text."""

    text: str


class Image(Struct, frozen=True, tag=True):
    """A part that is a picture, encoded as it was sent: pixels would fill the queue. Its header was read and in bounds.

    The sides are in pixels, as they are stored; `backends.media` decodes it. A `url` is where the picture is, for
    models that relay and whose servers fetch it themselves: all the rest is then empty. Before a model looks at it, it
    is shrunk until no side has more than `side` pixels, and the shorter one no more than `short_side`.
    """

    data: bytes
    media_type: str
    width: int
    height: int
    url: str = ""
    side: int | None = None
    short_side: int | None = None


class Audio(Struct, frozen=True, tag=True):
    """A part that is sound, or what is to be transcribed: encoded as it was sent, in a format that `audio` reads.

    More than `longest` seconds are refused when it is decoded.
    """

    data: bytes
    format: str
    longest: float


Part: TypeAlias = Text | Image | Audio


class ToolCall(Struct, frozen=True):
    """A call the model made earlier in the conversation; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


class Message(Struct, frozen=True, kw_only=True):
    """One turn of a conversation; `tool_call_id` says which call a `tool` message answers.

    `reasoning` is what an earlier answer thought, for templates that show it to the model.
    """

    role: Role
    parts: tuple[Part, ...] = ()
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str = ""

    @property
    def text(self) -> str:
        """Its words, without its pictures and sounds."""
        parts = self.parts
        if len(parts) == 1 and type(parts[0]) is Text:
            return parts[0].text
        return "".join([part.text for part in parts if type(part) is Text])

    @property
    def plain(self) -> bool:
        """Whether it is nothing but words."""
        return all(type(part) is Text for part in self.parts)


class Tool(Struct, frozen=True, kw_only=True):
    """A function the model may call; `parameters` is the JSON Schema of its arguments object."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = {}


class NamedTool(Struct, frozen=True):
    """The one tool that must be called."""

    name: str


ToolChoice: TypeAlias = Literal["auto", "none", "required"] | NamedTool


class Form(Struct, frozen=True):
    """A request as its client wrote it in OpenAI's API: for engines that are such a server themselves.

    `fields` are those of the body that are set, undecoded; they were checked and say the same as the request. Whoever
    gives a form takes `Relayed` for an answer, of the same route: as a stream or whole. `body` is all of it as
    one piece, if there is one that says no more than the fields.
    """

    fields: Mapping[str, Raw]
    stream: bool = False
    body: bytes | None = None


class ChatRequest(Struct, frozen=True, kw_only=True):
    """A conversation to continue; answers with Delta, one Finish a choice, then Usage.

    `repeatable`: the client does not mind if work on it is done twice, where it once came to nothing. The answer ends
    where it is after so many `seconds` of work, which is the edge's doing.
    """

    model: str
    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    extra: Mapping[str, Any] = {}
    form: Form | None = None
    repeatable: bool = False
    seconds: float | None = None


class CompletionRequest(Struct, frozen=True, kw_only=True):
    """Prompts to continue; choice `p * n + i` is the i-th answer to prompt p. Answers as a chat does.

    `echo` puts the prompt before the answer; with `logprobs` its tokens have entries too.
    """

    model: str
    prompts: tuple[Prompt, ...]
    sampling: Sampling = Sampling()
    echo: bool = False
    extra: Mapping[str, Any] = {}
    form: Form | None = None
    repeatable: bool = False
    seconds: float | None = None


class EmbeddingRequest(Struct, frozen=True, kw_only=True):
    """Texts to embed; answers with one Embedding an input, in any order, then Usage.

    `truncate_prompt_tokens`: an input is cut to so many tokens, -1 for as many as the model takes.
    """

    model: str
    inputs: tuple[Prompt, ...]
    dimensions: int | None = None
    truncate_prompt_tokens: int | None = None
    extra: Mapping[str, Any] = {}
    form: Form | None = None


class ScoreRequest(Struct, frozen=True, kw_only=True):
    """How well each document answers its query; answers with one Score a document, in any order, then Usage.

    `queries` are one for all documents, or one for each. `names` is how the client calls the two sides, for errors.
    `truncate_prompt_tokens`: a pair (or, where an engine reads them one by one, a text) is cut to so many tokens, -1
    for as many as the model takes.
    """

    model: str
    queries: tuple[str, ...]
    documents: tuple[str, ...]
    names: tuple[str, str] = ("queries", "documents")
    truncate_prompt_tokens: int | None = None
    extra: Mapping[str, Any] = {}

    def query(self, index: int) -> str:
        """The query of a document."""
        return self.queries[index if len(self.queries) > 1 else 0]


class TokenizeRequest(Struct, frozen=True, kw_only=True):
    """The tokens of a text, or of what the engine reads for a chat; answers with one Tokens.

    `special`: the tokenizer adds its special tokens. `strings`: each token as it is written is wanted too. How a chat
    ends is in its `extra`: `add_generation_prompt` (true if absent) where an answer begins, `continue_final_message`
    inside its last message.
    """

    model: str
    prompt: str | ChatRequest
    special: bool = True
    strings: bool = False
    extra: Mapping[str, Any] = {}


class DetokenizeRequest(Struct, frozen=True, kw_only=True):
    """The text of tokens, special ones too; answers with one Tokens."""

    model: str
    tokens: Tokens
    extra: Mapping[str, Any] = {}


Granularity: TypeAlias = Literal["segment", "word"]


class Detection(Struct, frozen=True):
    """What counts as speech: where a detector is surer than `threshold` (0 to 1). Speech ends where there is none for
    `silence` seconds, and `padding` seconds around it are heard too. `normalised`: all of it is OpenAI's `auto`, for
    which sound that is too quiet is made louder before.
    """

    threshold: float = 0.5
    silence: float = 0.2
    padding: float = 0.3
    normalised: bool = False


class TranscriptionRequest(Struct, frozen=True, kw_only=True):
    """Speech to write down, or to write down in English (`translate`); answers with Delta, one Finish, then Usage.

    `language` is the speech's, an ISO 639-1 code, found out if None. `prompt` is text of the kind that may come.
    With `timestamps` of segments the text comes as Segments too, each after its own words; engines that have them
    anyway may give them always. With `detection` only what is speech by that measure is heard. `logprobs`: Deltas have
    those of their tokens. `stream`: the client takes the words as they are heard.
    """

    model: str
    audio: Audio
    language: str | None = None
    prompt: str = ""
    temperature: float | None = None
    task: Literal["transcribe", "translate"] = "transcribe"
    timestamps: tuple[Granularity, ...] = ()
    detection: Detection | None = None
    logprobs: bool = False
    stream: bool = False
    extra: Mapping[str, Any] = {}


class SpeechRequest(Struct, frozen=True, kw_only=True):
    """Text to say; answers with Sound as it is made, then Usage.

    `voice` is one of the model's, its first if None; `speed` is 0.25 to 4 times the voice's own; `instructions` say in
    words how to speak. Whoever gives a `form` takes Relayed: the encoded sound, in the format that the form asks for.
    """

    model: str
    text: str
    voice: str | None = None
    speed: float = 1.0
    instructions: str = ""
    extra: Mapping[str, Any] = {}
    form: Form | None = None


# How many of its own steps a model takes, by OpenAI's words for a picture's quality.
EFFORTS: Mapping[str, float] = {"low": 0.5, "medium": 1.0, "high": 2.0, "xhigh": 3.0, "max": 4.0}


class ImageRequest(Struct, frozen=True, kw_only=True):
    """Pictures to make; answers with one Picture each, then Usage. Before that Progress, and where `partial` is more
    than 0 up to so many unfinished Pictures of each.

    `images` are those to edit or to vary (without a prompt); `mask` is transparent where the first one may change.
    Sides are in pixels. `effort` is how many of the model's own steps to take, 1.0 for as many as it would by itself;
    `steps` is their number. `guidance` is the weight of the prompt, `strength` from 0 to 1 how far a picture may
    change. `repeatable`: as of a chat. Whoever gives a `form` takes Relayed: a whole answer, or the events of a stream.
    """

    model: str
    prompt: str = ""
    task: Literal["generate", "edit", "vary"] = "generate"
    n: int = 1
    width: int | None = None
    height: int | None = None
    images: tuple[Image, ...] = ()
    mask: Image | None = None
    effort: float = 1.0
    steps: int | None = None
    guidance: float | None = None
    strength: float | None = None
    negative_prompt: str = ""
    transparent: bool = False
    seed: int | None = None
    partial: int = 0
    extra: Mapping[str, Any] = {}
    form: Form | None = None
    repeatable: bool = False


Request: TypeAlias = (
    ChatRequest
    | CompletionRequest
    | EmbeddingRequest
    | ScoreRequest
    | TokenizeRequest
    | DetokenizeRequest
    | TranscriptionRequest
    | SpeechRequest
    | ImageRequest
)
