"""The body of `POST /v1/chat/completions`.

Source: https://platform.openai.com/docs/api-reference/chat/create, as the `openai` Python SDK types it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from openai_proxy.bodies.fields import Label, Metadata, Positive, ReasoningEffort, TextFields, whole

FunctionName = Annotated[str, whole("[a-zA-Z0-9_-]{1,64}")]


class TextPart(Struct, tag="text", forbid_unknown_fields=True):
    """Text; `prompt_cache_breakpoint` has no effect."""

    text: str
    prompt_cache_breakpoint: dict[str, Any] | None = None


class RefusalPart(Struct, tag="refusal", forbid_unknown_fields=True):
    """What the assistant refused with, earlier."""

    refusal: str


class ImageUrl(Struct, forbid_unknown_fields=True):
    """A data URL or, if that is enabled, an address; `detail`: how many pixels a model is shown, see `messages`."""

    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(Struct, tag="image_url", forbid_unknown_fields=True):
    """A picture; refused by models that cannot look."""

    image_url: ImageUrl | str


class InputImagePart(Struct, tag="input_image", forbid_unknown_fields=True):
    """A picture as the Responses API writes it."""

    image_url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class InputAudio(Struct, forbid_unknown_fields=True):
    """A sound in base64."""

    data: str
    format: Literal["wav", "mp3"]


class AudioPart(Struct, tag="input_audio", forbid_unknown_fields=True):
    """Sound; refused by models that cannot listen."""

    input_audio: InputAudio


class FilePart(Struct, tag="file", forbid_unknown_fields=True):
    """A file; refused."""

    file: dict[str, Any]


Part = TextPart | RefusalPart | ImagePart | InputImagePart | AudioPart | FilePart
Content = str | list[Part]


class FunctionCall(Struct, forbid_unknown_fields=True):
    """A function's name and its arguments as JSON text."""

    name: str
    arguments: str


class MessageToolCall(Struct, forbid_unknown_fields=True):
    """A call that an assistant message made; `index` is tolerated, streams carry it."""

    id: str
    function: FunctionCall
    type: Literal["function"] = "function"
    index: int | None = None


class SystemMessage(Struct, tag_field="role", tag="system", forbid_unknown_fields=True):
    """Instructions."""

    content: Content
    name: str | None = None


class DeveloperMessage(Struct, tag_field="role", tag="developer", forbid_unknown_fields=True):
    """Instructions; models see them as a system message."""

    content: Content
    name: str | None = None


class UserMessage(Struct, tag_field="role", tag="user", forbid_unknown_fields=True):
    """What the user says."""

    content: Content
    name: str | None = None


class AssistantMessage(Struct, tag_field="role", tag="assistant", forbid_unknown_fields=True):
    """An earlier answer, as the SDK dumps it: fields that say nothing to a model are accepted and left out."""

    content: Content | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[MessageToolCall] | None = None
    audio: dict[str, Any] | None = None
    function_call: FunctionCall | None = None
    annotations: list[dict[str, Any]] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class ToolMessage(Struct, tag_field="role", tag="tool", forbid_unknown_fields=True):
    """What a tool answered."""

    content: Content
    tool_call_id: str
    name: str | None = None


Message = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage


class FunctionDefinition(Struct, forbid_unknown_fields=True):
    """A function the model may call; `strict` is always so: forced arguments are valid for the schema."""

    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(Struct, tag="function", forbid_unknown_fields=True):
    """A function as a tool."""

    function: FunctionDefinition


class CustomTool(Struct, tag="custom", forbid_unknown_fields=True):
    """A tool with free text as input; refused."""

    custom: dict[str, Any]


class ToolName(Struct, forbid_unknown_fields=True):
    """The name of a function."""

    name: str


class AllowedTool(Struct, forbid_unknown_fields=True):
    """One of the tools that may be called now."""

    function: ToolName
    type: Literal["function"] = "function"


class AllowedTools(Struct, forbid_unknown_fields=True):
    """The tools that may be called now, and whether one must be."""

    mode: Literal["auto", "required"]
    tools: list[AllowedTool]


class AllowedChoice(Struct, tag="allowed_tools", forbid_unknown_fields=True):
    """`tool_choice` that narrows the tools."""

    allowed_tools: AllowedTools


class NamedChoice(Struct, tag="function", forbid_unknown_fields=True):
    """`tool_choice` that names one function."""

    function: ToolName


class CustomChoice(Struct, tag="custom", forbid_unknown_fields=True):
    """`tool_choice` that names a custom tool; refused."""

    custom: ToolName


class TextFormat(Struct, tag="text", forbid_unknown_fields=True):
    """Free text."""


class JsonObjectFormat(Struct, tag="json_object", forbid_unknown_fields=True):
    """Any JSON object."""


class NamedSchema(Struct, forbid_unknown_fields=True, rename={"schema_": "schema"}):
    """A JSON schema with a name."""

    name: FunctionName
    schema_: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class JsonSchemaFormat(Struct, tag="json_schema", forbid_unknown_fields=True):
    """JSON that is valid for a schema."""

    json_schema: NamedSchema


class ChatBody(TextFields, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/chat/completions`."""

    messages: list[Message]
    max_completion_tokens: Positive | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    response_format: TextFormat | JsonObjectFormat | JsonSchemaFormat | None = None
    tools: list[FunctionTool | CustomTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | AllowedChoice | CustomChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: ReasoningEffort | None = None
    modalities: list[Literal["text", "audio"]] | None = None

    echo: bool | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    include_reasoning: bool | None = None
    chat_template: str | None = None

    metadata: Metadata | None = None
    store: bool | None = None
    service_tier: Label | None = None
    prompt_cache_key: Label | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: Label | None = None
    safety_identifier: Label | None = None
    prediction: dict[str, Any] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None

    audio: dict[str, Any] | None = None
    functions: list[dict[str, Any]] | None = None
    function_call: Any | None = None
    moderation: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None


TOOLS = ("tools", "tool_choice", "parallel_tool_calls")
REFUSED = {
    "audio": "This server does not answer a chat with sound.",
    "chat_template": "chat_template is set by the operator, among the model's options.",
    "functions": "functions is not supported: use tools.",
    "function_call": "function_call is not supported: use tool_choice.",
    "moderation": "Moderation is not available.",
    "web_search_options": "Web search is not available.",
}
