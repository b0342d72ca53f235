"""What each API name answers, and what clients are told that there is to call."""

from __future__ import annotations

import ast
import base64
import io
import wave

import pytest

from openai_proxy.app import create_app
from openai_proxy.config import Config
from openai_proxy.dialects.gradio.described import NAMES
from openai_proxy.keys import Keys
from openai_proxy.settings.protocols import Protocols
from tests.dialects.gradio.calling import Caller
from tests.sounds import tone


def test_config_and_info_say_the_same(opened: Caller) -> None:
    config = opened.get("/config").json
    assert (config["protocol"], config["api_prefix"], config["version"]) == ("sse_v1", "/gradio_api", "5.0.0")
    assert config["connect_heartbeat"] is False
    assert [each["api_name"] for each in config["dependencies"]] == list(NAMES)
    components = {each["id"]: each for each in config["components"]}
    info = opened.get("/gradio_api/info?serialize=False").json
    assert opened.get("/info?serialize=False").json == opened.get("/info?all_endpoints=True").json == info
    assert list(info["named_endpoints"]) == [f"/{name}" for name in NAMES]
    for number, each in enumerate(config["dependencies"]):
        assert each["id"] == number
        told = info["named_endpoints"]["/" + each["api_name"]]
        assert [components[id]["props"]["label"] for id in each["inputs"]] == [p["label"] for p in told["parameters"]]
        assert [components[id]["serializer"] for id in each["inputs"] + each["outputs"]].count("StringSerializable") > 0


def test_other_protocols_keep_their_paths(opened: Caller) -> None:
    """What another protocol has under the same path is told by the query, the method or the body."""
    assert opened.get("/info").json["containers"]
    assert opened.get("/api/echo").status == 200
    assert opened.post("/login", {"endpoint_name": "echo"}).json["client_session_auth_key"]
    assert opened.post("/login", {"username": "a", "password": "b", "endpoint_name": "echo"}).json["success"]
    assert opened.post("/login", {"username": "a", "password": "b"}).json == {"success": True}
    assert opened.get("/login?endpoint_name=echo").json["client_session_auth_key"]
    assert opened.get("/queue/join").status == 405
    assert opened.get("/nothing").status == 404


def test_it_can_be_below_a_path_or_off(closed: Caller) -> None:
    assert closed.get("/config").status == 401
    for path in ("/config", "/queue/data?session_hash=a"):
        assert closed.server.status(path) == 401  # whatever it is
    app = create_app(Config(protocols=Protocols(gradio=False)), Keys())
    assert app.edge.sockets == frozenset()
    assert not [route for route in app.edge.routes if getattr(route, "path", "").startswith(("/config", "/queue"))]


def test_the_hash_is_the_same_for_a_process(opened: Caller) -> None:
    [found] = opened.api("system_hash").json["data"]
    assert len(bytes.fromhex(found)) == 20
    assert opened.api("system_hash").json["data"] == [found]
    assert opened.api("num_model_lock").json["data"] == ["1"]


def test_models(opened: Caller) -> None:
    models = opened.api("model_names").dict
    assert [each["base_model"] for each in models] == ["echo", "slow", "stalled", "broken"]
    assert set(models[0]) == {
        *("base_model", "display_name", "max_seq_len", "inference_server_type", "llm", "rag", "image"),
        *("actually_image", "video", "json", "guided_vllm", "strict_json_schema", "prompt_type", "chat_template"),
    }
    short = {"instruction": "hello", "max_tokens": 1}
    for named in (1, "slow", ["slow"], [1]):
        assert opened.chat(**short, visible_models=named)["save_dict"]["base_model"] == "slow"
    assert opened.chat(**short, model="slow")["save_dict"]["base_model"] == "slow"
    for wrong in (4, -1, "nobody"):
        assert opened.api("submit_nochat_api", str({"instruction": "a", "visible_models": wrong})).status == 404


def test_a_chat_is_answered_with_all_that_clients_read(opened: Caller) -> None:
    answer = opened.chat(instruction_nochat="Say this", iinput_nochat="and that.", temperature=0.0, seed=3)
    assert answer["response"] == answer["response_no_refs"] == "Say this\nand that."
    assert answer["prompt_raw"] == answer["save_dict"]["prompt"] == "Say this\nand that."
    assert answer["sources"] == []
    assert answer["sources_str"] == ""
    assert answer["llm_answers"] == {}
    assert (answer["error"], answer["audio"]) == ("", None)
    made = answer["save_dict"]
    assert (made["output"], made["save_dir"], made["where_from"], made["error"]) == (
        "Say this\nand that.",
        "",
        "chat",
        "",
    )
    figures = made["extra_dict"]
    assert figures["num_prompt_tokens"] > 0
    assert figures["ntokens"] > 0
    assert figures["t_generate"] >= 0
    assert (figures["temperature"], figures["seed"], figures["max_tokens"]) == (0.0, 3, 256)
    assert opened.chat(instruction="a", num_beams=2)["save_dict"]["extra_dict"]["ignored"] == ["num_beams"]


def test_keys_of_a_chat_have_their_effect(opened: Caller) -> None:
    assert len(opened.chat(instruction="one two three four", max_new_tokens=2)["response"]) < 12
    assert opened.chat(instruction="one two three four", max_tokens=1)["save_dict"]["extra_dict"]["max_tokens"] == 1
    assert opened.chat(instruction="hello", nobody_knows_this="a")["response"] == "hello"
    texts = ["first text", "second text"]
    query = opened.chat(instruction="what?", langchain_action="Query", text_context_list=texts)
    assert [each["content"] for each in query["sources"]] == texts
    assert query["sources_str"] == "text_context"
    extract = opened.chat(instruction="what?", langchain_action="Extract", text_context_list=texts)
    assert len(ast.literal_eval(extract["response"])) == 2
    assert "second text" in extract["prompt_raw"]  # without one clients take a streamed answer for a failure
    figures = extract["save_dict"]["extra_dict"]
    assert figures["num_prompt_tokens"] > len(texts)
    assert figures["ntokens"] > 0
    summary = opened.chat(langchain_action="Summarize", text_context_list=texts, prompt_summary="Shortly.")
    assert "Shortly." in summary["prompt_raw"]


@pytest.mark.parametrize(
    "given",
    [
        *({"temperature": 9}, {"max_new_tokens": 0}, {"use_agent": True}, {"instruction": 1}, {"do_sample": "maybe"}),
        *({"guided_regex": 5}, {"guided_choice": 5}, {"image_file": "data:image/png;base64,AAAA"}),
    ],
)
def test_wrong_values_are_told_by_their_key(opened: Caller, given: dict[str, object]) -> None:
    answer = opened.api("submit_nochat_api", str({"instruction": "hello", **given}))
    assert answer.status == 400
    assert answer.json["error"].startswith(next(iter(given))) or "use_agent" in given


def test_every_way_to_call(opened: Caller) -> None:
    body = {"data": [str({"instruction_nochat": "hello"})]}
    for path in ("/api/submit_nochat_plain_api", "/gradio_api/api/submit_nochat_api", "/run/submit_nochat_api"):
        assert opened.post(path, body).dict["response"] == "hello"
    for path in ("/api/predict", "/api/predict/", "/gradio_api/api/predict", "/run/predict"):
        assert opened.post(path, {**body, "fn_index": 1}).dict["response"] == "hello"
        assert opened.post(path, body).status == 404
    answer = opened.post("/api/submit_nochat_plain_api", body).json
    assert answer["is_generating"] is False
    assert 0 <= answer["duration"] == answer["average_duration"] < 5
    assert opened.post("/api/submit_nochat_plain_api", {"data": []}).status == 400
    assert opened.post("/api/system_hash", {"data": ["too much"]}).status == 400
    assert opened.post("/api/submit_nochat_plain_api", b"nothing").status == 400
    assert opened.request("POST", "/api/system_hash", b"{}", **{"content-type": "text/plain"}).status == 415


def test_vectors_and_tokens(opened: Caller) -> None:
    [single] = ast.literal_eval(opened.api("embed_api", "hello", "", "False").json["data"][0])
    both = ast.literal_eval(opened.api("embed_api", "['hello', 'there']", "", "True").json["data"][0])
    assert len(both) == 2
    assert both[0] == single
    assert len(single) > 2
    assert opened.api("embed_api", "__import__('os')", "", "True").status == 400
    maybe = opened.api("embed_api", "hello", "", "maybe")
    assert (maybe.status, maybe.json["error"]) == (400, "is_list must be true or false.")
    assert int(opened.api("count_tokens", "one two three").json["data"][0]) > 0


def test_speech(opened: Caller) -> None:
    spoken = opened.api("speak_text_api", "None", "SLT (female)", "autodetect", 1.0, "Hello there.", False, "").dict
    assert set(spoken) == {"audio", "sr"}
    with wave.open(io.BytesIO(spoken["audio"])) as file:
        assert file.getframerate() == spoken["sr"]
        seconds = file.getnframes() / spoken["sr"]
    plain = opened.api("speak_text_plain_api", str({"text": "Hello there.", "tts_speed": "2.0"})).dict
    with wave.open(io.BytesIO(plain["audio"])) as file:
        assert file.getnframes() / plain["sr"] < 0.7 * seconds
    assert opened.api("speak_text_plain_api", "{'speaker': 'None'}").status == 400
    fast = opened.api("speak_text_plain_api", str({"text": "Hello.", "tts_speed": 90}))
    assert (fast.status, fast.json["error"].split()[0]) == (400, "tts_speed:")


def test_transcription(opened: Caller) -> None:
    sound = base64.b64encode(tone(0.5)).decode()
    plain = opened.api("transcribe_audio_api", sound)
    assert plain.status == 200
    assert isinstance(plain.json["data"][0], str)
    assert plain.json["data"][0] == opened.api("transcribe_audio_api", f"data:audio/wav;base64,{sound}").json["data"][0]
    assert opened.api("transcribe_audio_api", "not base64!").status == 400
    assert opened.api("transcribe_audio_api", base64.b64encode(b"nothing").decode()).status == 400
