"""`[media]` and `fetch` of a model: what `check` finds wrong."""

from __future__ import annotations

import pathlib

import pytest

from tests.edge.test_configure import ECHO, config, problems

REMOTE = '[models.far]\nbackend = "remote"\nupstreams = [{ url = "http://127.0.0.1:9" }]\n'
HOST = 'is not the name of a host such as "example.org" or "*.example.org"'


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("fetch = 'on'", 'media.fetch must be true or false, not "on"'),
        ("schemes = ['ftp']", 'media.schemes must be a list, each one of "http", "https", not a list with "ftp" in it'),
        ("schemes = []", "media.schemes is empty: nothing could be fetched"),
        ("ports = []", "media.ports is empty: nothing could be fetched"),
        ("ports = [443, 0]", "media.ports must be a list, each a whole number from 1 up to 65535, not [443, 0]"),
        ("domains = ['https://a.b']", f'"https://a.b" {HOST}'),
        ("domains = ['*']", f'"*" {HOST}'),
        ("domains = ['a.*']", f'"a.*" {HOST}'),
        ("domains = ['']", f'"" {HOST}'),
        ("domains = ['*.Example.org.']", '"*.Example.org." has to be written "*.example.org"'),
        ("domains = ['bücher.example']", f'"bücher.example" {HOST}'),
        ("networks = ['10.0.0.1/8']", '"10.0.0.1/8" is not a network such as "10.0.0.0/8"'),
        ("networks = ['x']", '"x" is not a network such as "10.0.0.0/8"'),
        ("local_dir = '/nowhere'", 'media.local_dir: "/nowhere" is not a folder'),
        ("local_dir = '/etc/passwd'", 'media.local_dir: "/etc/passwd" is not a folder'),
        ('local_dir = "a\\u0000b"', 'media.local_dir: "a\\u0000b" is not a folder'),
        ("ca_file = '/nowhere.pem'", 'media.ca_file: "/nowhere.pem" cannot be read'),
        ("ca_file = '/etc/passwd'", 'media.ca_file: "/etc/passwd" holds no certificates'),
        ("redirects = 11", "media.redirects must be a whole number from 0 up to 10, not 11"),
        ("at_once = 0", "media.at_once must be a whole number from 1, not 0"),
        ("queue = -1", "media.queue must be a whole number from 0, not -1"),
    ],
)
def test_what_is_wrong(tmp_path: pathlib.Path, setting: str, problem: str) -> None:
    assert problems(tmp_path, f"[media]\n{setting}\n{ECHO}") == [f"file.toml:2: {problem}"]


def test_what_is_right(tmp_path: pathlib.Path) -> None:
    text = (
        "[media]\nfetch = true\nschemes = ['https', 'http']\nports = [443, 8443]\nlocal_dir = '/tmp'\nredirects = 0\n"
    )
    lists = "domains = ['example.org', '*.example.org', '10.0.0.1', '::1']\nnetworks = ['10.0.0.0/8', 'fd00::/8']\n"
    read = config(tmp_path, text + lists + ECHO + REMOTE + 'fetch = "upstream"\n')
    assert (read.media.ports, read.media.redirects, read.models["far"].fetch) == ((443, 8443), 0, "upstream")


def test_lists_from_the_environment(tmp_path: pathlib.Path) -> None:
    environ = {"OPENAI_PROXY_MEDIA_PORTS": "443, 8443", "OPENAI_PROXY_MEDIA_SCHEMES": "http,https"}
    media = config(tmp_path, ECHO, environ | {"OPENAI_PROXY_MEDIA_FETCH": "true"}).media
    assert (media.fetch, media.ports, media.schemes) == (True, (443, 8443), ("http", "https"))
    assert problems(tmp_path, ECHO, {"OPENAI_PROXY_MEDIA_PORTS": "443,x"}) == [
        'OPENAI_PROXY_MEDIA_PORTS: media.ports must be a list, each a whole number from 1 up to 65535, not "443,x"'
    ]


def test_who_fetches(tmp_path: pathlib.Path) -> None:
    problem = 'the backend "echo" has no servers behind it that could fetch pictures'
    assert problems(tmp_path, ECHO + 'fetch = "upstream"\n') == [f"file.toml:3: {problem}"]
    read_here = 'with vision = "ocr" pictures are read here, and have to be fetched "here"'
    assert problems(tmp_path, REMOTE + 'fetch = "upstream"\nvision = "ocr"\n') == [f"file.toml:4: {read_here}"]
    wrong = 'models.far.fetch must be one of "here", "upstream", not "there"'
    assert problems(tmp_path, REMOTE + 'fetch = "there"\n') == [f"file.toml:4: {wrong}"]
