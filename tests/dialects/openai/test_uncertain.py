"""What is told of a model whose engine was never loaded."""

from __future__ import annotations

from openai_proxy.config import ModelConfig
from tests.dialects.openai.local import Local


def test_a_model_that_was_never_loaded_claims_nothing() -> None:
    later = ModelConfig(backend="vllm", model="org/name", load="request")
    with Local(models={"later": later, "echo": ModelConfig(backend="echo")}) as local:
        told = {entry["id"]: entry for entry in local.send("GET", "/v1/models").json["data"]}
        assert (told["later"]["state"], told["later"]["kinds"], told["later"]["modalities"]) == ("unloaded", [], [])
        assert "chat" in told["echo"]["kinds"]
