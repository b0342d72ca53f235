"""Models that upstreams list: under their own names, where each of them is, and until nobody lists them any more."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from tests.backends.remote.test_check import run
from tests.conftest import Serve
from tests.running import Running
from tests.upstream import Upstream, threaded

SAID: Any = [{"role": "user", "content": "Hello"}]
SERVER = "[server]\ngrace = 0.0\ndrain = 1.0\n"
BOX = """
[models.box]
backend = "remote"
upstreams = [{{ url = "{a}", name = "a" }}, {{ url = "{b}", name = "b" }}]
options = {{ {options}, probe_every = 0.2, slow_start = 0 }}
"""
SHARED = {"id": "meta/shared", "max_model_len": 4096}


@pytest.fixture
def pair() -> Iterator[tuple[Upstream, Upstream]]:
    with threaded(models=("*",), name="a") as a, threaded(models=("*",), name="b") as b:
        a.script(listed=[{**SHARED, "max_model_len": 8192}, {"id": "only-a", "context_length": 2048}])
        b.script(listed=[SHARED, {"id": "lora", "parent": "meta/shared", "max_model_len": None}, {"id": "only-b"}])
        yield a, b


def box(pair: tuple[Upstream, Upstream], options: str = 'models = "*"') -> str:
    return BOX.format(a=pair[0].url, b=pair[1].url, options=options)


def listed(server: Running) -> dict[str, Any]:
    with server.client() as client:
        return {each.id: each.model_dump() for each in client.models.list()}


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def chat(server: Running, model: str) -> Any:
    with server.client() as client:
        return client.chat.completions.create(model=model, messages=SAID)


def asked(upstream: Upstream) -> list[str]:
    """The models that chats were for."""
    return [each.json["model"] for each in upstream.seen().last if each.path == "/v1/chat/completions"]


def test_what_upstreams_list_is_served_under_its_own_name(serve: Serve, pair: tuple[Upstream, Upstream]) -> None:
    a, b = pair
    server = serve(SERVER + box(pair))
    models = listed(server)
    assert {name: each["context_length"] for name, each in models.items()} == {
        **{"meta/shared": 4096, "only-a": 2048, "lora": 4096, "only-b": None}
    }
    assert {(each["state"], each["root"] == name) for name, each in models.items()} == {("ready", True)}
    assert httpx2.get(f"{server.base_url}/models/meta/shared").json()["context_length"] == 4096
    for name in ("only-a", "only-a", "only-b", "lora"):
        assert chat(server, name).model == name
    assert (asked(a), asked(b)) == (["only-a", "only-a"], ["only-b", "lora"])
    for _ in range(4):
        chat(server, "meta/shared")
    assert (asked(a).count("meta/shared"), asked(b).count("meta/shared")) == (2, 2)


def test_a_prefix_is_ours_alone(serve: Serve, pair: tuple[Upstream, Upstream]) -> None:
    server = serve(SERVER + box(pair, 'models = ["only-*", "lo?a"], prefix = "box/"'))
    assert set(listed(server)) == {"box/only-a", "box/only-b", "box/lora"}
    with server.client() as client:
        whole = client.chat.completions.create(model="box/only-a", messages=SAID)
        chunks = client.chat.completions.create(model="box/only-a", messages=SAID, stream=True)
        assert {whole.model, *(chunk.model for chunk in chunks)} == {"box/only-a"}
        assert asked(pair[0]) == ["only-a", "only-a"]
        vectors = client.embeddings.create(model="box/only-b", input="Hello", encoding_format="float")
        text = client.completions.create(model="box/lora", prompt="Hello")
    assert (vectors.model, text.model) == ("box/only-b", "box/lora")
    tokens = httpx2.post(f"{server.url}/tokenize", json={"model": "box/only-a", "prompt": "a b"}).json()
    assert tokens["max_model_len"] == 2048


@pytest.mark.parametrize("name", ["only-a", "box/meta/shared", "box", "box/", "nothing", "box/*"])
def test_other_names_are_not_found(serve: Serve, pair: tuple[Upstream, Upstream], name: str) -> None:
    server = serve(SERVER + box(pair, 'models = "only-*", prefix = "box/"'))
    with pytest.raises(openai.NotFoundError) as refused:
        chat(server, name)
    assert refused.value.code == "model_not_found"
    assert httpx2.get(f"{server.base_url}/models/{name}").status_code == 404
    assert chat(server, "").model.startswith("box/only-")


def test_names_come_and_go_with_the_listings(serve: Serve, pair: tuple[Upstream, Upstream]) -> None:
    a, b = pair
    server = serve(SERVER + box(pair))
    b.script(listed=[{"id": "later", "max_model_len": 16}])
    until(lambda: set(listed(server)) == {"meta/shared", "only-a", "later"})
    assert listed(server)["meta/shared"]["context_length"] == 8192
    assert chat(server, "later").model == "later"
    with pytest.raises(openai.NotFoundError):
        chat(server, "only-b")
    a.script(listed=[])
    until(lambda: set(listed(server)) == {"later"})


def test_an_upstream_that_is_down_keeps_its_names(serve: Serve, pair: tuple[Upstream, Upstream]) -> None:
    a, b = pair
    server = serve(SERVER + box(pair))
    b.script(down=60)
    until(lambda: "upstream b is down" in server.output())
    assert set(listed(server)) == {"meta/shared", "only-a", "lora", "only-b"}
    for _ in range(3):
        chat(server, "meta/shared")
    assert asked(a) == ["meta/shared"] * 3
    with pytest.raises(openai.InternalServerError) as refused:
        chat(server, "only-b")
    assert (refused.value.status_code, refused.value.code) == (503, "engine_unavailable")
    b.script(down=0)
    until(lambda: "upstream b is up" in server.output())
    assert chat(server, "only-b").model == "only-b"


@pytest.mark.parametrize("fault", ["status-503", "wrong-type", "garbage"])
def test_what_is_no_listing_says_nothing_of_names(serve: Serve, pair: tuple[Upstream, Upstream], fault: str) -> None:
    server = serve(SERVER + box(pair))
    before = pair[1].seen().paths["/v1/models"]
    pair[1].script(**({"listed": [{"no": "id"}]} if fault == "garbage" else {"fault": fault, "probes": True}))
    pair[1].wait_for(lambda seen: seen.paths["/v1/models"] > before + 2)
    assert set(listed(server)) == {"meta/shared", "only-a", "lora", "only-b"}


def test_probes_of_another_path_list_all_the_same(serve: Serve, pair: tuple[Upstream, Upstream]) -> None:
    server = serve(SERVER + box(pair, 'models = "*", probe_path = "/health"'))
    assert set(listed(server)) == {"meta/shared", "only-a", "lora", "only-b"}
    assert pair[0].seen().paths["/health"] >= 1


def test_what_is_configured_wins_and_is_told_once(serve: Serve, pair: tuple[Upstream, Upstream]) -> None:
    pair[0].script(listed=[{"id": "echo"}, {"id": "also"}, {"id": "box"}, {"id": "second"}])
    pair[1].script(listed=[{"id": "echo"}])
    echo = '[models.echo]\nbackend = "echo"\naliases = ["also"]\n'
    other = box(pair).replace("models.box", "models.second").replace('"*"', '["box", "second"]')
    server = serve('default_model = "echo"\n' + SERVER + box(pair) + echo + other)
    assert {name: each["root"] for name, each in listed(server).items()} == {
        **{"echo": "echo", "also": "echo", "box": "box", "second": "second"}
    }
    for name in ("echo", "also"):
        assert chat(server, name).choices[0].message.content == "Hello"
    assert chat(server, "box").model == "box"
    assert asked(pair[0]) == ["box"]
    pair[1].script(listed=[{"id": "echo"}, {"id": "new"}])
    until(lambda: "new" in listed(server))
    log = server.output()
    for name, table, meant in (("echo", "box", "echo"), ("also", "box", "echo"), ("box", "second", "box")):
        assert log.count(f"the model {name} of {table} is hidden by the model {meant}") == 1


def test_labels_are_the_tables_name(serve: Serve, pair: tuple[Upstream, Upstream]) -> None:
    names = [f"model-{number}" for number in range(1000)]
    pair[0].script(listed=[{"id": name} for name in names])
    server = serve(SERVER + box(pair))
    assert len(listed(server)) == 1003
    before = len(httpx2.get(f"{server.url}/metrics").text.splitlines())
    for name in names[:20]:
        chat(server, name)
    with pytest.raises(openai.NotFoundError):
        chat(server, "model-1000")
    metrics = httpx2.get(f"{server.url}/metrics").text
    assert "model-" not in metrics
    assert len(metrics.splitlines()) < before + 60
    assert re.search(r'openai_proxy_requests_total\{model="box",outcome="ok"\} 20', metrics)
    states = httpx2.get(f"{server.url}/readyz").json()["models"]
    assert [each["id"] for each in states] == ["box"]


def test_a_table_falls_back_and_is_steered(serve: Serve, pair: tuple[Upstream, Upstream]) -> None:
    spare = '[models.spare]\nbackend = "echo"\n'
    server = serve(SERVER + box(pair).replace("[models.box]\n", '[models.box]\nfallback = ["spare"]\n') + spare)
    told = httpx2.get(f"{server.url}/admin/models/box/upstreams").json()
    assert told == {**httpx2.get(f"{server.url}/admin/models/only-a/upstreams").json(), "upstreams": told["upstreams"]}
    drained = httpx2.post(f"{server.url}/admin/models/box/upstreams/a/drain")
    assert drained.status_code == 200
    assert chat(server, "meta/shared").model == "meta/shared"
    assert asked(pair[0]) == []
    assert chat(server, "only-a").model == "spare"
    for order, state in (("unload", "unloaded"), ("load", "ready")):
        assert httpx2.post(f"{server.url}/admin/models/box/{order}").json()["state"] == state
    assert chat(server, "only-b").model == "only-b"


def test_a_reload_loses_no_name(serve: Serve, pair: tuple[Upstream, Upstream], tmp_path: Path) -> None:
    server = serve(SERVER + box(pair))
    file = next(tmp_path.glob("config*.toml"))
    file.write_text(SERVER + box(pair, 'models = "*", retries = 1'))
    for upstream in pair:
        upstream.script(latency=0.3)  # the new ones' first probes take so long
    assert httpx2.post(f"{server.url}/admin/reload").status_code == 200
    assert "only-a" in listed(server)
    assert chat(server, "only-b").model == "only-b"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('default_model = "box"', "box.*it cannot be the default_model"),
        ('[models.echo]\nbackend = "echo"\nfallback = ["box"]', "none can fall back to it"),
    ],
)
def test_a_table_is_no_model(pair: tuple[Upstream, Upstream], tmp_path: Path, more: str, says: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"{more}\n{box(pair)}")
    done = run("check", file)
    assert done.returncode == 2
    assert re.search(says, done.stdout)
    assert done.stdout.endswith("\n1 problem\n")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("models = []", "at least one, not an empty list"),
        ('models = ""', "models must be text that is not empty"),
        ('prefix = "a/"', 'prefix is for the names that models = "\\*" finds'),
        ('models = "*", prefix = " a"', "prefix must be printable"),
        ('models = "*", probe_every = 0', "probe_every must not be 0"),
    ],
)
def test_options_that_do_not_go_together(tmp_path: Path, options: str, says: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        f'[models.box]\nbackend = "remote"\nupstreams = [{{ url = "http://a" }}]\noptions = {{ {options} }}\n'
    )
    done = run("check", file)
    assert done.returncode == 2
    assert re.search(says, done.stdout)


def test_settings_that_a_table_cannot_have(tmp_path: Path) -> None:
    text = '[models.box]\nbackend = "remote"\naliases = ["b"]\noptions = { models = "*" }\n'
    file = tmp_path / "config.toml"
    file.write_text(text + 'upstreams = [{ url = "http://a" }]\n')
    assert "it can have no aliases" in run("check", file).stdout
    file.write_text(text.replace('aliases = ["b"]', 'load = "request"') + 'upstreams = [{ url = "http://a" }]\n')
    assert "it has to look for them before anybody can ask" in run("check", file).stdout
    file.write_text(text.replace('aliases = ["b"]\n', "") + 'upstreams = [{ url = "http://a", model = "b" }]\n')
    assert "upstream a: model has no use beside the option models" in run("check", file).stdout
