"""A request has one id and one place in a trace, through whomever it goes."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from tests.backends.remote.asking import SAID
from tests.backends.remote.serving import FORGIVING, SERVER, model
from tests.conftest import servers
from tests.running import Running
from tests.upstream import SeenRequest, Upstream, threaded

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STATE = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"


@pytest.fixture(scope="module")
def fake() -> Iterator[Upstream]:
    with threaded(models=("theirs",)) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def busy() -> Iterator[Upstream]:
    with threaded(models=("theirs",)) as upstream:
        upstream.script(fault="status-503")
        yield upstream


@pytest.fixture(scope="module")
def server(fake: Upstream, busy: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    one, other = {"url": fake.url}, {"url": busy.url, "weight": 1000}
    models = [
        model("own", one),
        model("aiohttp", one, settings={**FORGIVING, "client": "aiohttp"}),
        model("both", one, other, settings={**FORGIVING, "strategy": "weighted"}),
        model("named", {**one, "headers": {"X-Request-Id": "theirs"}}),
    ]
    with servers(tmp_path_factory.mktemp("traces")) as start:
        yield start(SERVER + "".join(models))


@pytest.fixture(autouse=True)
def forgotten(fake: Upstream) -> None:
    fake.reset()


def ask(server: Running, name: str, headers: dict[str, str], *, stream: bool = False) -> httpx2.Response:
    body = {"model": name, "messages": SAID, "stream": stream}
    answer = httpx2.post(f"{server.base_url}/chat/completions", json=body, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer


def arrived(fake: Upstream) -> SeenRequest:
    """The only chat that came."""
    [request] = [each for each in fake.seen().last if each.path == "/v1/chat/completions"]
    return request


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["own", "aiohttp"])
def test_what_the_client_calls_its_request_goes_on(server: Running, fake: Upstream, name: str, stream: bool) -> None:
    ask(server, name, {"x-request-id": "mine.1", "traceparent": PARENT, "tracestate": STATE}, stream=stream)
    request = arrived(fake)
    assert [request.header(each) for each in ("x-request-id", "traceparent", "tracestate")] == ["mine.1", PARENT, STATE]


@pytest.mark.parametrize("offered", [{}, {"x-request-id": "not an id"}])
def test_a_request_without_a_name_goes_on_under_ours(server: Running, fake: Upstream, offered: dict[str, str]) -> None:
    answer = ask(server, "own", offered)
    request = arrived(fake)
    assert request.header("x-request-id") == answer.headers["x-request-id"]
    assert answer.headers["x-request-id"].startswith("req_")
    assert request.header("traceparent") is request.header("tracestate") is None


@pytest.mark.parametrize(
    ("parent", "passes"),
    [
        (PARENT, True),
        (PARENT.replace("00-", "01-", 1) + "-what-comes-later", True),
        (PARENT + "-more", False),
        (PARENT.upper(), False),
        (PARENT.replace("00-", "ff-", 1), False),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", False),
        (f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01", False),
        ("", False),
    ],
)
def test_a_malformed_trace_ends_here(server: Running, fake: Upstream, parent: str, passes: bool) -> None:
    ask(server, "own", {"traceparent": parent, "tracestate": STATE})
    request = arrived(fake)
    assert request.header("traceparent") == (parent if passes else None)
    assert request.header("tracestate") == (STATE if passes else None)


def test_a_state_of_no_sense_or_size_is_dropped_alone(server: Running, fake: Upstream) -> None:
    for state, passes in (("a=" + "x" * 4094, True), ("a=" + "x" * 4095, False), ("a=é", False)):
        fake.reset()
        httpx2.post(
            f"{server.base_url}/chat/completions",
            json={"model": "own", "messages": SAID},
            headers=[(b"traceparent", PARENT.encode()), (b"tracestate", state.encode())],
            timeout=30,
        )
        assert arrived(fake).header("traceparent") == PARENT
        assert arrived(fake).header("tracestate") == (state if passes else None)


def test_a_second_try_has_the_same_name(server: Running, fake: Upstream, busy: Upstream) -> None:
    ask(server, "both", {"x-request-id": "twice", "traceparent": PARENT})
    for upstream in (fake, busy):
        assert arrived(upstream).header("x-request-id") == "twice"
        assert arrived(upstream).header("traceparent") == PARENT


def test_requests_of_one_connection_have_names_of_their_own(server: Running, fake: Upstream) -> None:
    with httpx2.Client(timeout=30) as client:
        body = {"model": "own", "messages": SAID}
        first = client.post(f"{server.base_url}/chat/completions", json=body, headers={"traceparent": PARENT})
        second = client.post(f"{server.base_url}/chat/completions", json=body)
    one, other = [each for each in fake.seen().last if each.path == "/v1/chat/completions"]
    assert one.header("x-request-id") == first.headers["x-request-id"]
    assert other.header("x-request-id") == second.headers["x-request-id"] != first.headers["x-request-id"]
    assert other.header("traceparent") is None


def test_probes_are_nobodys_requests(server: Running, fake: Upstream) -> None:
    seen = fake.wait_for(lambda seen: "/v1/models" in seen.paths)
    probes = [each for each in seen.last if each.path == "/v1/models"]
    assert {each.header("x-request-id") for each in probes} <= {None, "theirs"}  # an operator's own is for all requests


def test_an_operators_own_header_wins(server: Running, fake: Upstream) -> None:
    ask(server, "named", {"x-request-id": "mine", "traceparent": PARENT})
    assert arrived(fake).header("x-request-id") == "theirs"
    assert arrived(fake).header("traceparent") is None
