"""`/add_url` and `/add_text`: what a session hands in, it can ask about, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import servers
from tests.dialects.gradio.calling import Caller, Keyed, said, session
from tests.dialects.gradio.conftest import LOCKED, run_script
from tests.pages import may_fetch, pages

INDEX = {"submit_nochat_api": 0, "add_url": 10, "add_text": 11}
PAPAYA = "A papaya from far away."


@pytest.fixture(scope="module")
def web() -> Iterator[int]:
    with pages() as port:
        yield port


@pytest.fixture(scope="module")
def alice(tmp_path_factory: pytest.TempPathFactory, web: int) -> Iterator[Keyed]:
    with servers(tmp_path_factory.mktemp("additions")) as start:
        keys = f"alice={Keyed.alice},bob={Keyed.bob}"
        server = start(LOCKED + may_fetch(web), path="/livez", OPENAI_PROXY_KEYS=keys)
        yield Keyed(server, authorization=f"Bearer {Keyed.alice}")


def called(caller: Caller, name: str, *arguments: Any, place: str) -> dict[str, Any]:
    """The last message of an event of a session."""
    assert caller.join(place, *arguments, index=INDEX[name]).status == 200
    return next(each for each in caller.told(place) if each["msg"] == "process_completed")


def added(caller: Caller, name: str, *arguments: Any, place: str) -> Any:
    message = called(caller, name, *arguments, place=place)
    assert message["success"], message
    return message["output"]["data"]


def sources(caller: Caller, place: str, **more: Any) -> list[Any]:
    asked = {"instruction": "papaya?", "langchain_mode": "MyData", "langchain_action": "Query", **more}
    message = called(caller, "submit_nochat_api", str(asked), place=place)
    assert message["success"], message
    return [each["content"] for each in said(message)["sources"]]


def test_what_is_fetched_is_the_sessions_own(alice: Keyed, web: int) -> None:
    first, second = session(), session()
    url = f"http://127.0.0.1:{web}/far/page.html"
    assert added(alice, "add_url", url, place=first) == [None, "MyData", url, "", "page.html"]
    assert PAPAYA in sources(alice, first)[0]
    assert sources(alice, second) == []
    assert added(alice, "add_text", "The quince is near.", "MyData", True, 512, True, place=second)[1] == "MyData"
    assert sources(alice, second) == ["The quince is near."]
    assert sources(alice.by(authorization=f"Bearer {Keyed.bob}"), first) == []
    stores = alice.get("/v1/vector_stores").json["data"]
    assert [(each["name"], each["file_counts"]["total"]) for each in stores] == [("MyData", 0), ("UserData", 0)]


def test_several_at_once(alice: Keyed, web: int) -> None:
    place = session()
    urls = [f"http://127.0.0.1:{web}/{number}" for number in range(2)]
    assert added(alice, "add_url", str(urls), place=place)[2:] == ["\n".join(urls), "", "0\n1"]
    assert added(alice, "add_text", ["[one] fig", "a plum"], place=place)[4] == "user_paste.txt"
    assert len(sources(alice, place)) == 4
    assert len(sources(alice, place, top_k_docs=2)) == 2


def test_a_collection_that_lasts(alice: Keyed) -> None:
    mine = session()
    assert added(alice, "add_text", "A fig for all.", "UserData", place=mine)[1] == "UserData"
    assert sources(alice, mine) == []
    bob = alice.by(authorization=f"Bearer {Keyed.bob}")
    assert sources(bob, session(), langchain_mode="UserData") == ["A fig for all."]
    answer = alice.api("add_text", "A medlar that stays.")  # of a call without a session there is none
    assert answer.json["data"] == [None, "MyData", "user_paste.txt", "", "user_paste.txt"]
    assert alice.get("/v1/vector_stores/MyData/files").json["data"][0]["status"] == "completed"
    assert sources(alice, session()) == ["A medlar that stays."]


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("add_url", ["http://10.0.0.1/a"], "url"),
        ("add_url", ["file:///etc/passwd"], "url"),
        ("add_url", [""], "url must be"),
        ("add_url", [["http://127.0.0.1/"] * 21], "1 to 20"),
        ("add_url", [[1]], "url must be"),
        ("add_text", ["fig", "LLM"], "langchain_mode"),
        ("add_text", ["fig", 3], "langchain_mode"),
        ("add_text", ["fig", "Nowhere"], "no collection"),
        ("add_text", ["  "], "text must be"),
        ("add_text", [], "arguments"),
    ],
)
def test_what_is_refused(alice: Keyed, name: str, arguments: list[Any], why: str) -> None:
    message = called(alice, name, *arguments, place=session())
    assert not message["success"]
    assert why in message["output"]["error"]


def test_without_a_key_nothing_is_fetched(alice: Keyed, web: int) -> None:
    stranger = alice.by()
    assert stranger.api("add_url", f"http://127.0.0.1:{web}/a").status == 401
    assert stranger.api("add_text", "fig").status == 401


@pytest.mark.parametrize("version", ["2.7.2", "0.6.1"])
def test_the_released_clients(alice: Keyed, web: int, version: str) -> None:
    told = run_script(version, "adding", alice, f"http://127.0.0.1:{web}/page.html", Keyed.alice)
    assert told["added"] == [None, "MyData", f"http://127.0.0.1:{web}/page.html", "", "page.html"]
    assert [PAPAYA in each["content"] for each in told["sources"]] == [True]
    assert not any(PAPAYA in each["content"] for each in told["another"])
