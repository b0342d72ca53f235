"""The real client and the embedded models."""

from __future__ import annotations

import pytest

from tests.dialects.predictions.conftest import Script
from tests.running import Running

pytestmark = pytest.mark.engine


def test_every_embedded_model_makes_predictions(script: Script, embedded_server: Running) -> None:
    told = script("embedded", server=embedded_server)
    assert "Paris" in told["run"]
    assert (told["streamed"], told["polled"]) == (told["run"], told["run"])
    assert told["templated"]
    assert (told["width"], round(told["length"], 3)) == (384, 1.0)
    assert told["heard"] == ["quick", "brown", "fox"]
    assert told["canceled"] < 0.5
