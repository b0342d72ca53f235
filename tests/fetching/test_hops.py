"""Where a fetch goes: names that lie, redirects, certificates and the list of hosts."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from openai_proxy.errors import UrlNotAllowed, UrlNotListed
from tests.backends.remote.http.certificates import Authority
from tests.backends.remote.http.scripted import Line, Scripted
from tests.fetching.fetching import (
    HERE,
    PNG,
    REFUSAL,
    Names,
    Told,
    fetched,
    fetcher,
    got,
    not_fetched,
    opened,
    redirect,
    run,
    whole,
)


def test_every_address_of_a_name_must_be_allowed() -> None:
    for answer in (["127.0.0.1", "::1"], ["::1", "127.0.0.1"], ["127.0.0.1", "127.0.0.2", "192.168.0.1"], []):
        told = Told()

        async def work(server: Scripted, answer: list[str] = answer, told: Told = told) -> int:
            with pytest.raises(UrlNotAllowed):
                await got(
                    fetcher(opened(server), Names({"a.example": [answer]}), told), f"http://a.example:{server.port}"
                )
            return server.connections

        assert run(whole(PNG), work) == 0
        assert told.outcomes == ["blocked" if answer else "no_such_name"]


def test_a_name_that_means_something_else_the_second_time() -> None:
    """It is looked up once for each hop, and what was checked is what is connected to."""

    async def work(server: Scripted) -> tuple[bytes, list[str]]:
        names = Names({"a.example": [["127.0.0.1"], ["127.0.0.2"]]})
        data = await got(fetcher(opened(server, networks=["127.0.0.1/32"]), names), f"http://a.example:{server.port}")
        with pytest.raises(UrlNotAllowed):
            await got(fetcher(opened(server, networks=["127.0.0.1/32"]), names), f"http://a.example:{server.port}")
        return data, names.asked

    assert run(whole(PNG), work) == (PNG, ["a.example", "a.example"])


def test_the_other_family_is_tried_too() -> None:
    async def work(server: Scripted) -> bytes:
        names = Names({"a.example": [["::1", "127.0.0.1"]]})
        return await got(
            fetcher(opened(server, networks=["127.0.0.1/32", "::1/128"]), names), f"http://a.example:{server.port}"
        )

    assert run(whole(PNG), work) == PNG


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(status: int) -> None:
    assert fetched(redirect("/other", status), whole(PNG)) == PNG


def test_as_many_redirects_as_may_be() -> None:
    assert fetched(*[redirect("/other")] * 3, whole(PNG)) == PNG
    not_fetched(*[redirect("/other")] * 4, whole(PNG), reason="refused")
    assert fetched(redirect("/other"), whole(PNG), media={"redirects": 1}) == PNG
    not_fetched(redirect("/other"), whole(PNG), media={"redirects": 0}, reason="refused")


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        *(("http://127.0.0.2:{port}/", "blocked"), ("http://localhost:{port}/", "no_such_name")),
        *(
            ("http://10.0.0.1:{port}/", "blocked"),
            ("http://[::1]:{port}/", "blocked"),
            ("//in.example:{port}/", "blocked"),
        ),
        *(("http://a.example/", "blocked"), ("http://a.example:22/", "blocked"), ("ftp://a.example/", "blocked")),
        *(("file:///etc/passwd", "blocked"), ("http://u@a.example:{port}/", "blocked"), ("/\x01", "blocked")),
        *(("data:image/png;base64,AAAA", "blocked"), ("/" + "x" * 9000, "blocked"), ("", "malformed")),
        *(("http://2130706433:{port}/", "blocked"), ("https://a.example:{port}/", "unreachable")),
    ],
)
def test_redirects_out_of_bounds(location: str, reason: str) -> None:
    """Each hop is checked like the first; nothing else is asked."""
    told = Told()

    async def work(server: Scripted) -> int:
        names = Names(
            {
                "in.example": [["192.168.0.1"]],
                "127.0.0.2": [["127.0.0.2"]],
                "10.0.0.1": [["10.0.0.1"]],
                "::1": [["::1"]],
                **HERE,
            }
        )
        fetch = fetcher(opened(server, networks=["127.0.0.1/32"]), names, told)
        where.append(location.replace("{port}", str(server.port)))
        with pytest.raises(UrlNotAllowed, match=REFUSAL):
            await got(fetch, f"http://a.example:{server.port}/")
        return server.connections

    where: list[str] = []

    async def script(line: Line) -> None:
        await redirect(where[0])(line)

    async def deaf(line: Line) -> None:
        """It speaks no TLS."""

    assert run(script, work, deaf) == (2 if reason == "unreachable" else 1)
    assert told.outcomes == [reason]


def test_a_redirect_to_http_where_that_is_not_allowed(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command")
    authority = Authority(tmp_path, "ours")
    right, wrong = (authority.issue(name, f"DNS:{name}.example") for name in ("a", "b"))

    async def work(server: Scripted) -> list[str]:
        told = Told()
        media = opened(server, schemes=["https"], ca_file=str(authority.certificate))
        data = await got(fetcher(media, Names(HERE), told), f"https://a.example:{server.port}/")
        assert data == PNG
        with pytest.raises(UrlNotAllowed, match=REFUSAL):
            await got(fetcher(media, Names(HERE), told), f"https://a.example:{server.port}/")
        with pytest.raises(UrlNotAllowed, match="only https addresses"):
            await got(fetcher(media, Names(HERE), told), f"http://a.example:{server.port}/")
        untrusting = msgspec.structs.replace(media, ca_file=None)
        with pytest.raises(UrlNotAllowed, match=REFUSAL):
            await got(fetcher(untrusting, Names(HERE), told), f"https://a.example:{server.port}/")
        gone = msgspec.structs.replace(media, ca_file=str(tmp_path / "gone"))
        with pytest.raises(UrlNotAllowed, match=REFUSAL):
            await got(fetcher(gone, Names(HERE), told), f"https://a.example:{server.port}/")
        return told.outcomes

    found = run(whole(PNG), work, redirect("http://a.example/"), whole(PNG), ssl=authority.server(right))
    assert found == ["ok", "blocked", "unreachable", "unreachable"]

    async def other(server: Scripted) -> list[str]:
        """A certificate for another name."""
        told = Told()
        media = opened(server, ca_file=str(authority.certificate))
        with pytest.raises(UrlNotAllowed, match=REFUSAL):
            await got(fetcher(media, Names(HERE), told), f"https://a.example:{server.port}/")
        return told.outcomes

    assert run(whole(PNG), other, ssl=authority.server(wrong)) == ["unreachable"]


def test_domains_that_are_listed() -> None:
    """The first address off the list is told so; where a redirect leads is nobody's business."""

    async def work(server: Scripted) -> list[Any]:
        media = opened(server, domains=["a.example", "*.b.example"])
        names = Names({**HERE, "x.b.example": [["127.0.0.1"]], "b.example": [["127.0.0.1"]]})
        seen: list[Any] = [
            await got(fetcher(media, names), f"http://{host}:{server.port}/") for host in ("a.example", "x.b.example")
        ]
        with pytest.raises(UrlNotListed, match="nothing is fetched from this host"):
            await got(fetcher(media, names), f"http://b.example:{server.port}/")
        where.append(f"http://b.example:{server.port}/")
        with pytest.raises(UrlNotAllowed) as caught:
            await got(fetcher(media, names), f"http://a.example:{server.port}/")
        return [*seen, type(caught.value), caught.value.message, names.asked]

    where: list[str] = []

    async def later(line: Line) -> None:
        await redirect(where[0])(line)

    asked = ["a.example", "x.b.example", "a.example"]
    assert run(whole(PNG), work, whole(PNG), later) == [PNG, PNG, UrlNotAllowed, REFUSAL, asked]
