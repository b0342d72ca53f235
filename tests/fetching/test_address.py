"""Addresses in every spelling: what they mean, what is refused, and that none of the refused leads to a connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpcore2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_proxy.config import Media
from openai_proxy.errors import UrlNotAllowed
from openai_proxy.fetching.address import Address, LocalFile, follow, matches, read
from tests.fetching.fetching import fetcher, got

LONG = "a" * 64 + ".example"
HOSTILE = [
    # this machine, in all ways of writing it
    *("http://127.0.0.1", "http://127.0.0.2", "http://127.1", "http://127.0.1", "http://2130706433", "http://0"),
    *("http://0x7f000001", "http://0x7f.1", "http://0x7f.0x0.0x0.0x1", "http://017700000001", "http://0177.0.0.1"),
    *("http://127.0.0.01", "http://127.000.000.001", "http://0x7F.0.0.1", "http://127.0.0.1.", "http://1.2.3.4.5"),
    *("http://127.0.0.0x1", "http://00000000177.1", "http://0.0.0.0", "http://localhost", "http://LOCALHOST."),
    *("http://[::1]", "http://[::]", "http://[0:0:0:0:0:0:0:1]", "http://[0000::0001]", "http://[::127.0.0.1]"),
    *("http://[::ffff:127.0.0.1]", "http://[::ffff:7f00:1]", "http://[0:0:0:0:0:ffff:127.0.0.1]", "http://[::1%25lo]"),
    *("http://[64:ff9b::127.0.0.1]", "http://[2002:7f00:1::]", "http://[2001:0:7f00:1::]", "http://[fe80::1%eth0]"),
    *("http://[2607:f8b0::5efe:127.0.0.1]", "http://[::ffff:0:127.0.0.1]", "http://[64:ff9b:1::7f00:1]"),
    # its network, and what clouds tell their machines
    *("http://10.0.0.1", "http://172.16.0.1", "http://192.168.1.1", "http://100.64.0.1", "http://169.254.169.254"),
    *("http://169.254.169.254.", "http://168.63.129.16", "http://[fd00:ec2::254]", "http://[fe80::1]"),
    *("http://224.0.0.1", "http://255.255.255.255", "http://[ff02::1]", "http://192.0.2.1", "http://[2001:db8::1]"),
    # two readers, two meanings
    *("http://example.org@127.0.0.1", "http://user:word@example.org", "http://127.0.0.1\\@example.org", "http://@a.b"),
    *("http://example.org\\.a.b", "http:\\\\127.0.0.1", "http:/127.0.0.1", "http:127.0.0.1", "http:///127.0.0.1"),
    *("http://example.org:80:80", "http://example.org:", "http://example.org:0", "http://example.org:65536"),
    *("http://example.org:+80", "http://example.org:٨٠", "http://example.org: 80", "http://[::1", "http://::1"),
    *("http://exam\tple.org", "http://exam\nple.org", "\thttp://127.0.0.1", "http://127.0.0.1 ", "http://a\0b.org"),
    *("http://a\r\nHost: b", "http://example.org/\r\nX: y", "http://example.org/a b", "http://\u2460.example"),
    *(
        "http://127。0。0。1",
        "http://１２７.0.0.1",
        "http://exаmple.org",
        "http://bücher.example",
        "http://a\u00adb.org",
    ),
    *("http://127%2e0%2e0%2e1", "http://%31%32%37.0.0.1", "http://example.org%00.a", "http://a..b", "http://.a"),
    *("http://-a.example", "http://a-.example", f"http://{LONG}", f"http://{'a.' * 127}ab", "http://", "http://?x"),
    *("http://*.example", "http://a,b", "http://a;b", "http://a+b", "http://[v1.x]", "http://[1.2.3.4]", "http://."),
    # other kinds
    *("ftp://example.org/x", "gopher://127.0.0.1:6379/_x", "dict://127.0.0.1", "ldap://a", "jar:http://a!/", "HTTP:"),
    *("file:///etc/passwd", "file://example.org/x", "file:/etc/passwd", "javascript:alert(1)", "//example.org/x"),
]


@pytest.fixture(scope="module")
def canary() -> Iterator[socket.socket]:
    """Nobody may ever come here."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.setblocking(False)
        yield listener
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("url", HOSTILE)
def test_hostile_addresses(canary: socket.socket, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are refused before anything is connected to, whatever the port and with http allowed."""
    connected: list[Any] = []
    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", lambda *each: connected.append(each))
    port = canary.getsockname()[1]
    media = Media(fetch=True, schemes=("https", "http"), ports=(80, 443, port))
    for spelt in {url, url.replace("http://", "https://"), with_port(url, port)}:
        with pytest.raises(UrlNotAllowed) as caught:
            asyncio.run(got(fetcher(media), spelt))
        assert caught.value.param == "here"
    assert connected == []


def with_port(url: str, port: int) -> str:
    """The same host at the port of the canary, where the spelling has a place for one."""
    host = url.removeprefix("http://")
    plain = host.endswith("]") or ":" not in host
    return f"http://{host}:{port}/" if url.startswith("http://") and plain and "/" not in host else url


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("https://example.org", Address("https", "example.org", 443, "/")),
        ("HTTPS://Example.ORG./a/../b?c=d&e#f", Address("https", "example.org", 443, "/a/../b?c=d&e")),
        ("http://a_b.example:8080?x", Address("http", "a_b.example", 8080, "/?x")),
        ("http://xn--bcher-kva.example/%C3%BC", Address("http", "xn--bcher-kva.example", 80, "/%C3%BC")),
        ("https://[2001:4860:4860:0::8888]:444/", Address("https", "2001:4860:4860::8888", 444, "/")),
        ("https://8.8.8.8/a@b:c", Address("https", "8.8.8.8", 443, "/a@b:c")),
        (f"https://{'a' * 63}.example/", Address("https", f"{'a' * 63}.example", 443, "/")),
        (f"https://{'a.' * 126}a/", Address("https", "a." * 126 + "a", 443, "/")),
        ("https://a.b:65535/", Address("https", "a.b", 65535, "/")),
        ("https://0x.example/", Address("https", "0x.example", 443, "/")),
        ("file:///srv/a%20b.png", LocalFile("/srv/a b.png")),
        ("FILE://localhost/a", LocalFile("/a")),
    ],
)
def test_what_addresses_mean(text: str, meant: Address | LocalFile) -> None:
    assert read(text) == meant
    if isinstance(meant, Address):
        assert read(str(meant)) == meant


@pytest.mark.parametrize("url", ["file:///a?b", "file:///a#b", "file:///%ff", "file:///a%00b", "file://a/b", "file:a"])
def test_files_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match="a"):
        read(url)


@given(st.text(st.characters(), max_size=30))
def test_what_is_read_is_plain(text: str) -> None:
    """Whatever follows the scheme: it is refused, or read in one way that is written out as the same again."""
    try:
        found = read(f"https://{text}")
    except ValueError:
        return
    assert isinstance(found, Address)
    assert str(found).isascii()
    assert str(found).isprintable()
    assert read(str(found)) == found
    assert not set("@\\ %") & set(found.host)


@pytest.mark.parametrize(
    ("location", "meant"),
    [
        ("/b", "https://a.example:444/b"),
        ("c?d", "https://a.example:444/x/c?d"),
        ("../e", "https://a.example:444/e"),
        ("//b.example/f", "https://b.example/f"),
        ("http://127.0.0.1/", "http://127.0.0.1/"),
        ("?g", "https://a.example:444/x/y?g"),
    ],
)
def test_where_redirects_lead(location: str, meant: str) -> None:
    assert str(follow(Address("https", "a.example", 444, "/x/y?z"), location)) == meant


@pytest.mark.parametrize("location", ["file:///etc/passwd", "//u@b/", "/\t/b", "\\\\b", "https://b c", "ftp://b", "/ü"])
def test_redirects_to_nowhere(location: str) -> None:
    with pytest.raises(ValueError, match="a"):
        follow(Address("https", "a.example", 443, "/"), location)


def test_domains() -> None:
    listed = ("a.example", "*.b.example", "1.2.3.4")
    assert all(matches(host, listed) for host in ("a.example", "x.b.example", "x.y.b.example", "1.2.3.4"))
    others = ("b.example", "xb.example", "x.a.example", "a.example.org", "b.example.org", "11.2.3.4", ".b.example.x")
    assert not any(matches(host, listed) for host in others)
