"""The settings of a remote model and of its upstreams."""

from __future__ import annotations

from typing import Any

import pytest

from backends.remote.address import read_address
from backends.remote.settings import read_settings
from tests.backends.remote.turning import options

BOX = {"url": "http://box:8000"}
SAFE = {"url": "https://box"}


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({}, "model m: remote needs 'upstreams'"),
        ({"upstreams": []}, "needs 'upstreams'"),
        ({"upstreams": ["http://box"]}, "model m: upstream 1 must be a table with a url"),
        ({"upstreams": [{"model": "x"}]}, "upstream 1: .*url"),
        ({"upstreams": [BOX], "strategie": "least"}, "did you mean 'strategy'"),
        ({"upstreams": [BOX], "wholly_else": 1}, "known are upstreams"),
        ({"upstreams": [BOX], "strategy": "fastest"}, 'strategy must be one of .*"least".*, not "fastest"'),
        ({"upstreams": [BOX], "retry_budget": 1.1}, "retry_budget must be a number from 0 up to 1, not 1.1"),
        ({"upstreams": [BOX], "connect_timeout": 0}, "connect_timeout must be a number above 0 up to 3600, not 0"),
        ({"upstreams": [BOX], "client": "httpx"}, "client must be one of"),
        (
            {"upstreams": [BOX], "models": []},
            "models must be text .* or a list of texts, at least one, not an empty list",
        ),
        ({"upstreams": [BOX], "models": ["a", 5]}, "a list of texts, at least one, not a list with a number in it"),
        ({"upstreams": [BOX], "probe_path": "health"}, "probe_path must be a path"),
        ({"upstreams": [BOX], "probe_path": "/a b"}, "probe_path must be a path"),
        ({"upstreams": [BOX, {"url": "http://box:8000/v1"}]}, "two upstreams are called 'box:8000'"),
        ({"upstreams": [{**BOX, "proxy": "http://proxy:3128"}]}, 'upstream box:8000: proxy needs .*"aiohttp"'),
    ],
)
def test_wrong_options_are_refused_with_a_sentence(table: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_settings("m", {key: table[key] for key in table if key != "upstreams"}, table.get("upstreams", ()))


@pytest.mark.parametrize(
    ("upstream", "says"),
    [
        ({**BOX, "wieght": 1}, "upstream 1: .*did you mean 'weight'"),
        ({**BOX, "name": "big", "weight": 0}, r"upstream 1 \(big\): .*weight"),
        ({**BOX, "weight": 1001}, "weight"),
        ({**BOX, "slots": 0}, "slots"),
        ({**BOX, "name": ""}, "name"),
        ({**BOX, "name": "a\nb"}, "name must be printable"),
        ({**BOX, "name": "x" * 101}, "name"),
        ({**BOX, "key_env": "A", "key_file": "b"}, "one of key_env and key_file"),
        ({**BOX, "headers": {"a b": "c"}}, "headers has the name 'a b'"),
        ({**BOX, "headers": {"Authorization": "Bearer x"}}, "'Authorization'; name a key with key_env or key_file"),
        ({**BOX, "headers": {"Host": "else"}}, "which the connection needs for itself"),
        ({**BOX, "headers": {"a": "b\r\nc: d"}}, "headers.a holds a character"),
        ({**BOX, "ca_file": "ca.pem"}, "needs a url that begins with https://"),
        ({**BOX, "verify": False}, "needs a url that begins with https://"),
        ({**SAFE, "cert_key_file": "key.pem"}, "cert_key_file needs cert_file"),
        ({**SAFE, "verify": False, "ca_file": "ca.pem"}, "no use when verify is false"),
        ({**SAFE, "proxy": "proxy:3128"}, "proxy must begin with http"),
        ({"url": 5}, "upstream 1: url must be text, not a number"),
        ({**BOX, "weight": "2"}, 'weight must be a number above 0 up to 1000, not "2"'),
        ({**BOX, "slots": 1.5}, "slots must be a whole number from 1, not 1.5"),
        ({**BOX, "verify": "no"}, 'verify must be true or false, not "no"'),
        ({**BOX, "model": ""}, 'model must be text that is not empty, not ""'),
        ({**BOX, "headers": "x: y"}, "headers must be a table of texts, not text"),
        ({**BOX, "headers": {"x-number": 5}}, "headers.x-number must be text, not a number"),
    ],
)
def test_wrong_settings_of_an_upstream_are_refused_with_a_sentence(upstream: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_settings("m", {}, [upstream])


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("box:8000", "must begin with http"),
        ("ftp://box", "must begin with http"),
        ("http://", "names no host"),
        ("http://box:0", "has no usable port"),
        ("http://box:99999", "is not a URL"),
        ("http://[::1", "is not a URL"),
        ("http://user:secret@box", "no user or password"),
        ("http://box/v1?key=secret", "no query"),
        ("http://box/#", "no fragment"),
        ("http://böx", "percent-encoded"),
        ("http://box/a b", "percent-encoded"),
        ("http://box/v1/chat/completions", 'leave out "/v1/chat/completions"'),
        ("http://box/openai/chat/completions/", 'leave out "/chat/completions/"'),
        ("http://box/v1/embeddings", 'leave out "/v1/embeddings"'),
        ("http://box/v1/models", 'leave out "/v1/models"'),
        ("http://box/v1/audio/speech", 'leave out "/v1/audio/speech"'),
        ("http://box:11434/api/chat", 'leave out "/api/chat"'),
    ],
)
def test_wrong_urls_are_refused_and_not_shown(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=f"upstream 1: url .*{says}") as caught:
        read_settings("m", {}, [{"url": url}])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        ("http://box:8000", "http://box:8000", b"/v1/models"),
        ("http://box:8000/", "http://box:8000", b"/v1/models"),
        ("http://box:8000/v1", "http://box:8000", b"/v1/models"),
        ("http://box:8000/v1/", "http://box:8000", b"/v1/models"),
        ("https://api.example/openai/v1", "https://api.example", b"/openai/v1/models"),
        ("https://api.example:443/openai", "https://api.example", b"/openai/v1/models"),
        ("http://[::1]:8000", "http://[::1]:8000", b"/v1/models"),
        ("HTTP://Box/xv1", "http://box", b"/xv1/v1/models"),
        ("http://box/models", "http://box", b"/models/v1/models"),
    ],
)
def test_a_url_may_end_in_v1_or_not(url: str, origin: str, target: bytes) -> None:
    address = read_address(url)
    assert (address.origin, address.target("/v1/models")) == (origin, target)


def test_a_path_of_no_api_lies_below_the_urls_own() -> None:
    assert read_address("https://api.example/openai/v1").target("/health") == b"/openai/health"


def test_the_name_is_host_and_port_or_what_is_said() -> None:
    first, second = options({"url": "https://api.example/v1"}, {"url": "http://box:8000", "name": "big"}).upstreams
    assert (first.called, second.called) == ("api.example", "big")


def test_limits_are_taken_as_they_are_said() -> None:
    own = options({"weight": 1000, "slots": 1, "drained": True}, retry_budget=1, probe_every=0, idle_connections=0)
    assert (own.upstreams[0].weight, own.upstreams[0].slots, own.retry_budget, own.probe_every) == (1000, 1, 1, 0)


def test_no_value_of_a_header_is_shown() -> None:
    own = options({"headers": {"x-api-key": "secret"}})
    assert "x-api-key" in repr(own)
    assert "secret" not in repr(own)
