"""`GET /v1/audio/voices`, and which voice OpenAI's names mean."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from openai_proxy.bodies.voices import OPENAI_VOICES
from openai_proxy.config import ModelConfig
from openai_proxy.configure import ConfigError, read
from tests.dialects.openai.local import Local
from tests.dialects.openai.speaking import SPEECH, VOICES, speech

TALKER = "tests.dialects.openai.talker:Talker"


def listed(application: Local) -> list[dict[str, Any]]:
    answer = application.send("GET", VOICES)
    assert answer.status == 200
    assert (answer.json["object"], answer.json["has_more"]) == ("list", False)
    assert answer.json["voices"] == list(dict.fromkeys(each["id"] for each in answer.json["data"]))
    data: list[dict[str, Any]] = answer.json["data"]
    return data


def asked(application: Local, name: str, **fields: Any) -> str | None:
    """The voice that the engine `name` was asked for."""
    answer = application.post(SPEECH, speech(model=name, input="A.", response_format="wav", **fields))
    assert answer.status == 200, answer.body
    backend: Any = application.app.edge.router.models[name].backend
    voice: str | None = backend.asked[-1].voice
    return voice


def test_all_voices_are_listed_with_their_other_names(local: Local) -> None:
    low, high = listed(local)
    assert (low["id"], low["model"], low["default"], low["object"]) == ("low", "echo", True, "voice")
    assert (high["id"], high["languages"], high["default"]) == ("high", ["en"], False)
    assert high["description"]
    assert sorted(low["aliases"] + high["aliases"]) == sorted(OPENAI_VOICES)


def test_names_that_are_its_own_mean_themselves() -> None:
    with Local(models={"talker": ModelConfig(backend=TALKER)}) as application:
        assert asked(application, "talker", voice="nova") == "nova"
        assert asked(application, "talker", voice="alloy") == "anna"
        assert asked(application, "talker") == "anna"
        nova = listed(application)[1]
        assert (nova["id"], "nova" in nova["aliases"]) == ("nova", False)


def table(meant: Mapping[str, str], **options: Any) -> Local:
    return Local(models={"talker": ModelConfig(backend=TALKER, voices=meant, options=options)})


def test_the_configuration_names_them() -> None:
    with table({"alloy": "nova", "boss": "anna", "default": "nova", "sage": "gone"}) as application:
        assert asked(application, "talker", voice="alloy") == "nova"
        assert asked(application, "talker", voice="boss") == "anna"
        assert asked(application, "talker") == "nova"
        answer = application.post(SPEECH, speech(model="talker", voice="sage"))
        answer.refusal(400, "invalid_value", "voice")
        anna, nova = listed(application)
        assert "boss" in anna["aliases"]
        assert (anna["default"], nova["default"]) == (False, True)
        assert "alloy" in nova["aliases"]
        assert not any("sage" in each["aliases"] or "default" in each["aliases"] for each in (anna, nova))


def test_a_model_that_tells_no_voices_is_asked_for_any() -> None:
    with table({"alloy": "theirs", "default": "first"}, voices=False) as application:
        assert asked(application, "talker", voice="alloy") == "theirs"
        assert asked(application, "talker", voice="whoever") == "whoever"
        assert asked(application, "talker", voice={"id": "v_1"}) == "v_1"
        assert asked(application, "talker", voice="") == "first"
        told = [(each["id"], each["aliases"], each["default"]) for each in listed(application)]
        assert told == [("first", [], True), ("theirs", ["alloy"], False)]
    with table({}, voices=False) as application:
        assert asked(application, "talker") is None
        assert listed(application) == []


def test_names_of_voices_that_are_not_there_are_a_problem_of_the_configuration(tmp_path: Path) -> None:
    text = '[models.echo]\nbackend = "echo"\n\n[models.echo.voices]\nalloy = "high"\nash = "hig"\nsage = "x"\n'
    (tmp_path / "file.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read(tmp_path / "file.toml", {}, {})
    assert str(caught.value).replace(f"{tmp_path}/", "").splitlines() == [
        'file.toml:6: "hig" is no voice of "echo"; did you mean "high"?',
        'file.toml:7: "x" is no voice of "echo"; it has low, high',
    ]


def test_models_that_do_not_speak_have_none() -> None:
    with Local(models={"deaf": ModelConfig(backend="tests.dialects.openai.deaf:Deaf")}) as application:
        assert listed(application) == []
