"""OpenAI's API. To add an endpoint, write a file with its handler and a line in `build`."""

from __future__ import annotations

from starlette.routing import Route

import audio
from openai_proxy.auth import IMAGE_FILES
from openai_proxy.bodies.chat_body import ChatBody
from openai_proxy.bodies.completion import CompletionBody
from openai_proxy.bodies.embedding import EmbeddingBody
from openai_proxy.bodies.image_bodies import EditBody, GenerationBody, VariationBody
from openai_proxy.bodies.speech_body import SpeechBody
from openai_proxy.bodies.transcription import TranscriptionBody, TranslationBody
from openai_proxy.dialects import Dialect, Edge
from openai_proxy.dialects.openai.answers import ChatCompletion, Completion
from openai_proxy.dialects.openai.chat import chats
from openai_proxy.dialects.openai.completions import completions
from openai_proxy.dialects.openai.embeddings import EmbeddingList, Embeddings
from openai_proxy.dialects.openai.image_answers import ImageList
from openai_proxy.dialects.openai.image_files import ImageFile
from openai_proxy.dialects.openai.images import Images
from openai_proxy.dialects.openai.internal import Internal, ModelInfo, ModelNames, ServerVersion
from openai_proxy.dialects.openai.models import ModelList, Models, OneModel
from openai_proxy.dialects.openai.scores import (
    RERANK_PATHS,
    SCORE_PATHS,
    Rerank,
    RerankBody,
    RerankList,
    ScoreBody,
    ScoreList,
    Scores,
)
from openai_proxy.dialects.openai.signed import Signed, invited
from openai_proxy.dialects.openai.speech import Speech
from openai_proxy.dialects.openai.tokens import (
    DETOKENIZE_PATHS,
    TOKENIZE_PATHS,
    Detokenize,
    DetokenizeBody,
    DetokenizeReply,
    Tokenize,
    TokenizeBody,
    TokenizeReply,
)
from openai_proxy.dialects.openai.transcriptions import Transcriptions
from openai_proxy.dialects.openai.transcripts import Transcript, VerboseTranscript
from openai_proxy.dialects.openai.voices import ListVoices, VoiceList
from openai_proxy.listing import ModelEntry
from openai_proxy.openapi import Operation
from openai_proxy.wire import Handle

TRANSCRIPTIONS, TRANSLATIONS = "/v1/audio/transcriptions", "/v1/audio/translations"
GENERATIONS, EDITS, VARIATIONS = "/v1/images/generations", "/v1/images/edits", "/v1/images/variations"


def build(edge: Edge) -> Dialect:
    """The routes of OpenAI's API."""
    posts: dict[str, Handle] = {
        "/v1/chat/completions": chats(edge),
        "/v1/completions": completions(edge),
        "/v1/embeddings": Embeddings(edge),
        **dict.fromkeys(SCORE_PATHS, Scores(edge)),
        **dict.fromkeys(RERANK_PATHS, Rerank(edge)),
        **dict.fromkeys(TOKENIZE_PATHS, Tokenize(edge)),
        **dict.fromkeys(DETOKENIZE_PATHS, Detokenize(edge)),
        "/v1/audio/speech": Speech(edge),
        GENERATIONS: Images(edge, GenerationBody),
    }
    forms: dict[str, Handle] = {
        TRANSCRIPTIONS: Transcriptions(edge, "transcribe"),
        TRANSLATIONS: Transcriptions(edge, "translate"),
        EDITS: Images(edge, EditBody),
        VARIATIONS: Images(edge, VariationBody),
    }
    internal = Internal(edge)
    signed = frozenset({*posts, *forms})
    return Dialect(
        routes=(
            *(Route(path, edge.endpoint(Signed(edge, post)), methods=["POST"]) for path, post in posts.items()),
            *(
                Route(path, edge.endpoint(Signed(edge, form), form=True), methods=["POST"])
                for path, form in forms.items()
            ),
            Route("/v1/audio/voices", edge.endpoint(ListVoices(edge)), methods=["GET"]),
            Route(f"{IMAGE_FILES}{{name}}", edge.endpoint(ImageFile(edge)), methods=["GET"]),
            Route("/v1/models", edge.endpoint(Models(edge)), methods=["GET"]),
            Route("/v1/internal/model/info", edge.endpoint(internal.info), methods=["GET"]),
            Route("/v1/internal/model/list", edge.endpoint(internal.names), methods=["GET"]),
            Route("/version", edge.endpoint(internal.version), methods=["GET"]),
            Route("/v1/models/{id:path}", edge.endpoint(OneModel(edge)), methods=["GET"]),
        ),
        admit=lambda scope, head: invited(signed, scope, head),
        asks=lambda scope: scope["method"] == "POST" and scope["path"] in signed,
        operations=operations(),
    )


def operations() -> tuple[Operation, ...]:
    """What the routes are for."""
    return (
        Operation("POST", "/v1/chat/completions", "Continue a chat", ChatBody, ChatCompletion, streams=True),
        Operation("POST", "/v1/completions", "Continue a text", CompletionBody, Completion, streams=True),
        Operation("POST", "/v1/embeddings", "Embed texts", EmbeddingBody, EmbeddingList),
        *(Operation("POST", path, "Score documents", ScoreBody, ScoreList) for path in SCORE_PATHS),
        *(Operation("POST", path, "Put documents in order", RerankBody, RerankList) for path in RERANK_PATHS),
        *(Operation("POST", path, "Tokenize", TokenizeBody, TokenizeReply) for path in TOKENIZE_PATHS),
        *(Operation("POST", path, "Detokenize", DetokenizeBody, DetokenizeReply) for path in DETOKENIZE_PATHS),
        spoken(TRANSCRIPTIONS, "Write speech down", TranscriptionBody),
        spoken(TRANSLATIONS, "Write speech down in English", TranslationBody),
        Operation(
            "POST",
            "/v1/audio/speech",
            "Say a text aloud",
            SpeechBody,
            streams=True,
            media="audio/mpeg",
            text=tuple(sorted({*audio.SPOKEN.values(), *(f"audio/{format}" for format in audio.SPOKEN)})),
        ),
        Operation("GET", "/v1/audio/voices", "List the voices", reply=VoiceList),
        Operation("POST", GENERATIONS, "Draw pictures", GenerationBody, ImageList, streams=True),
        Operation("POST", EDITS, "Edit pictures", EditBody, ImageList, streams=True, form=True),
        Operation("POST", VARIATIONS, "Draw variations of a picture", VariationBody, ImageList, form=True),
        Operation("GET", f"{IMAGE_FILES}{{name}}", "Fetch a picture", media="image/*"),
        Operation("GET", "/v1/models", "List the models", reply=ModelList),
        Operation("GET", "/v1/models/{id}", "Show one model", reply=ModelEntry),
        Operation("GET", "/v1/internal/model/info", "Tell which model answers chats that name none", reply=ModelInfo),
        Operation("GET", "/v1/internal/model/list", "List the names of the models", reply=ModelNames),
        Operation("GET", "/version", "Tell the version", reply=ServerVersion),
    )


def spoken(path: str, summary: str, body: type[TranslationBody]) -> Operation:
    """An operation that hears speech."""
    return Operation(
        "POST",
        path,
        summary,
        body,
        (Transcript, VerboseTranscript),
        streams=True,
        form=True,
        text=("text/plain", "text/vtt"),
    )
