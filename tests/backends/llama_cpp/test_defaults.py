"""The operator's system message and sampling fill gaps and override nothing."""

from __future__ import annotations

from msgspec import structs

from backends.llama_cpp.defaults import filled
from backends.llama_cpp.options import Options
from backends.requests import ChatRequest, CompletionRequest, EmbeddingRequest, Message, Sampling, Text

OPTIONS = Options(path="x.gguf", system="Be brief.", temperature=0.2, top_p=0.9, repetition_penalty=1.1)
USER = Message(role="user", parts=(Text("Hi"),))
OWN = Message(role="system", parts=(Text("Be long."),))


def test_gaps_are_filled() -> None:
    request = filled(ChatRequest(model="m", messages=(USER,)), OPTIONS)
    assert isinstance(request, ChatRequest)
    assert [message.text for message in request.messages] == ["Be brief.", "Hi"]
    assert (request.sampling.temperature, request.sampling.top_p) == (0.2, 0.9)
    assert request.extra == {"repetition_penalty": 1.1}


def test_what_a_request_brings_stays() -> None:
    brought = ChatRequest(model="m", messages=(USER, OWN), sampling=Sampling(temperature=0.0, top_p=0.5))
    brought = structs.replace(brought, extra={"repetition_penalty": 1.0})
    assert filled(brought, OPTIONS) == brought


def test_completions_get_the_sampling_and_embeddings_nothing() -> None:
    completion = filled(CompletionRequest(model="m", prompts=("x",)), OPTIONS)
    assert completion.sampling == Sampling(temperature=0.2, top_p=0.9)  # type: ignore[union-attr]
    embedding = EmbeddingRequest(model="m", inputs=("x",))
    assert filled(embedding, OPTIONS) is embedding
