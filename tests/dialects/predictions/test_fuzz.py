"""Whatever an input is, the answer is an answer: never a 5xx, always in shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from openai_proxy.dialects.predictions.given import INPUTS
from tests.dialects.openai.test_fuzz import VALUES
from tests.dialects.predictions.calls import PREDICTIONS, RUN, post, prediction, refusal
from tests.running import Running

NAMES = sorted({name for kind in INPUTS.values() for name in kind.__struct_fields__})
SEED: dict[str, Any] = {"prompt": "a", "text": "a", "texts": ["a"], "audio": "data:audio/wav;base64,UklGRg=="}
BOUNDED = settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))


@BOUNDED
@given(
    kept=st.sets(st.sampled_from(sorted(SEED))),
    changed=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3),
)
@example(kept={"prompt"}, changed={"seed": 2**70})
@example(kept=set(), changed={"prompt": "\ud800"})
@example(kept={"prompt"}, changed={"width": 10**30, "height": -1})
@example(kept={"prompt"}, changed={"width": 64, "image": "file:///etc/passwd"})
@example(kept={"prompt"}, changed={"stop_sequences": ",".join("abcdefghijklmnopqrstuvwxyz")})
def test_any_input(predicting: Running, kept: set[str], changed: dict[str, Any]) -> None:
    inputs = {name: SEED[name] for name in sorted(kept)} | changed
    answer = post(predicting, PREDICTIONS, {"version": "echo", "input": inputs})
    if answer.status == 201:
        prediction(answer, 201)
    else:
        assert answer.status in (400, 422), answer.body
        assert answer.json["status"] == answer.status


@pytest.mark.parametrize("data", [b"", b"\xff", b'{"input": {"a": NaN}}', b"[" * 100_000, b'{"input": ' + b"[" * 500])
def test_what_is_no_json(predicting: Running, data: bytes) -> None:
    refusal(post(predicting, RUN, data, content_type="application/json"), 400)


@pytest.mark.parametrize("data", [{}, {"input": {}}, {"version": "echo", "input": None}, {"version": [], "input": {}}])
def test_what_is_no_request(predicting: Running, data: dict[str, Any]) -> None:
    answer = post(predicting, RUN, json.dumps(data).encode())
    refusal(answer, 422, "version" if "input" in data and data["input"] is not None else "input")
