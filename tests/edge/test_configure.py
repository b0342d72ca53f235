"""The configuration: strength of its sources, every problem with its place, and no other exception for any file."""

from __future__ import annotations

import datetime
import pathlib
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from openai_proxy import default
from openai_proxy.config import Config
from openai_proxy.configure import ConfigError, file_of, read
from openai_proxy.configure import layers as sources
from openai_proxy.configure.lines import Path, lines
from openai_proxy.configure.schema import json_schema

NO_ADDRESS = 'is not an address like "https://a.example"'
ECHO = '[models.echo]\nbackend = "echo"\n'


def problems(
    folder: pathlib.Path, text: str, environ: Mapping[str, str] = {}, overrides: Mapping[str, Any] = {}
) -> list[str]:
    """The problems of a file, as lines, without the folder's name."""
    file = folder / "file.toml"
    file.write_text(text, encoding="utf-8")
    try:
        read(file, environ, overrides)
    except ConfigError as error:
        return str(error).replace(f"{folder}/", "").splitlines()
    return []


def config(
    folder: pathlib.Path, text: str, environ: Mapping[str, str] = {}, overrides: Mapping[str, Any] = {}
) -> Config:
    file = folder / "file.toml"
    file.write_text(text, encoding="utf-8")
    return read(file, environ, overrides)


def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default(tmp_path: pathlib.Path) -> None:
    text = "[server]\nport = 1\nhost = '::1'\nconnections = 9\n" + ECHO
    environ = {"OPENAI_PROXY_SERVER_PORT": "2", "OPENAI_PROXY_SERVER_HOST": "127.0.0.2"}
    server = config(tmp_path, text, environ, {"server.port": 3}).server
    assert (server.port, server.host, server.connections, server.keep_alive) == (3, "127.0.0.2", 9, 15.0)


def test_the_environment_gives_values_of_every_type(tmp_path: pathlib.Path) -> None:
    environ = {
        "OPENAI_PROXY_SERVER_ALLOW_UNAUTHENTICATED": "true",
        "OPENAI_PROXY_SERVER_HOSTS": "a.example, b.example,",
        "OPENAI_PROXY_TIMEOUTS_QUEUE": "2.5",
        "OPENAI_PROXY_LIMITS_N": "4",
        "OPENAI_PROXY_DEFAULT_MODEL": "echo",
        "OPENAI_PROXY_LIMITS_STOP": "",
    }
    read_config = config(tmp_path, ECHO, environ)
    assert read_config.server.allow_unauthenticated is True
    assert read_config.server.hosts == ("a.example", "b.example")
    assert read_config.timeouts.queue == 2.5
    assert (read_config.limits.n, read_config.limits.stop) == (4, 16)
    assert read_config.default_model == "echo"


def test_variables_of_other_programs_are_left_alone(tmp_path: pathlib.Path) -> None:
    assert problems(tmp_path, ECHO, {"OPENAI_PROXY_PORT": "tcp://10.0.0.1:80", "OPENAI_PROXY_KEYS": "x"}) == []


def test_wrong_variables_are_named(tmp_path: pathlib.Path) -> None:
    environ = {"OPENAI_PROXY_SERVER_PROT": "3", "OPENAI_PROXY_SERVER_PORT": "http"}
    assert problems(tmp_path, ECHO, environ) == [
        'OPENAI_PROXY_SERVER_PORT: server.port must be a whole number from 0 up to 65535, not "http"',
        "OPENAI_PROXY_SERVER_PROT: server.prot is not a setting; did you mean port?",
    ]


def test_wrong_flags_are_named(tmp_path: pathlib.Path) -> None:
    overrides = {"server.port": 70000, "auth.key_file": str(tmp_path / "none")}
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, ECHO, {}, overrides)
    found = str(caught.value).splitlines()
    assert found[0] == f'--key-file: the key file "{tmp_path}/none" cannot be read: No such file or directory'
    assert found[1] == "--port: server.port must be a whole number from 0 up to 65535, not 70000"


def test_the_file_comes_from_the_environment_when_none_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.toml").write_text("[server]\nport = 7\n" + ECHO)
    environ = {"OPENAI_PROXY_CONFIG": str(tmp_path / "a.toml")}
    assert read(None, environ, {}).server.port == 7
    assert file_of(pathlib.Path("b.toml"), environ) == pathlib.Path("b.toml")
    assert file_of(None, {}) is None


def test_every_problem_is_reported_with_its_line(tmp_path: pathlib.Path) -> None:
    text = """\
port = 3
[server]
prot = 9
keep_alive = nan
origins = ["https://a.example/path"]
trusted_proxies = ["10.0.0.0/8", "x"]
[auth]
key_file = "/nowhere/keys"
[modles.x]
[models.a]
backend = "ecko"
aliases = ["b",
  "c"]
[models."b.c"]
backend = "echo"
aliases = ["a", "c"]
options = { dely = 3 }
[models.q]
queue = -1
"""
    assert problems(tmp_path, text) == [
        "file.toml:1: port is not a setting; did you mean server.port?",
        "file.toml:3: server.prot is not a setting; did you mean port?",
        "file.toml:4: server.keep_alive must be a number above 0 up to 604800, not nan",
        'file.toml:5: "https://a.example/path" is not a web origin like "https://example.org"',
        'file.toml:6: "x" is not an address or network',
        'file.toml:8: the key file "/nowhere/keys" cannot be read: No such file or directory',
        "file.toml:9: modles is not a setting; did you mean models?",
        "file.toml:11: no backend is called 'ecko'; did you mean 'echo'?",
        "file.toml:14: options of the echo model b.c: Object contains unknown field `dely`",
        'file.toml:16: the alias "a" is taken: it is already a model',
        'file.toml:16: the alias "c" is taken: it is already an alias of "a"',
        "file.toml:18: models.q needs the setting backend",
        "file.toml:19: models.q.queue must be a whole number from 0, not -1",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'default_model = "eco"\n' + ECHO,
            'file.toml:1: default_model is "eco", which is no model; did you mean "echo"?',
        ),
        ('default_model = "zz"\n' + ECHO, 'file.toml:1: default_model is "zz", which is no model; known are "echo"'),
        (
            'default_model = "gpt"\n' + ECHO + 'aliases = ["gpt"]\n',
            'file.toml:1: default_model is "gpt", which is no model; did you mean "echo"?',
        ),
        ("[models]\n", "file.toml:1: no model is configured: add a table [models.NAME]"),
        ("models = 3\n", "file.toml:1: models must be a table, not 3"),
        ("server = []\n" + ECHO, "file.toml:1: server must be a table, not a list"),
        ("server.hosts = 'x'\n" + ECHO, 'file.toml:1: server.hosts must be a list of texts, not "x"'),
        (ECHO + 'aliases = ["a", "a"]\n', 'file.toml:3: the alias "a" is taken: it is already an alias of "echo"'),
        (
            '[models.echo]\nbackend = "vllm"\nmodel = "/x"\naliases = ["a"]\nadapters = { a = "/x" }\n',
            'file.toml:5: the adapter "a" is taken: it is already an alias of "echo"',
        ),
        (
            ECHO + 'adapters = { a = "/x" }\n',
            "file.toml:1: model echo: echo has no setting 'adapters'; it takes options",
        ),
        (
            ECHO + 'aliases = [" "]\n',
            'file.toml:3: " " cannot name a model: use 1 to 200 printable characters, no spaces around',
        ),
        ('[models.a]\nbackend = "os:sep"\n', 'file.toml:2: "os:sep" is not a backend'),
        (
            '[models.a]\nbackend = "nowhere:X"\n',
            "file.toml:2: backend 'nowhere:X' cannot be imported: No module named 'nowhere'",
        ),
        (
            '[models.a]\nbackend = "no where:X"\n',
            "file.toml:2: backend 'no where:X' is not of the form 'module:Class'",
        ),
        ("[models.a]\nbackend = ':'\n", "file.toml:2: backend ':' is not of the form 'module:Class'"),
        ("server.host = ''\n" + ECHO, 'file.toml:1: "" is not an address or the name of a machine'),
        ("server.host = 'a..b'\n" + ECHO, 'file.toml:1: "a..b" is not an address or the name of a machine'),
        (
            'server.host = "a\\u0000b"\n' + ECHO,
            'file.toml:1: "a\\u0000b" is not an address or the name of a machine',
        ),
        (
            "auth.key_file = '~nobody-of-that-name/keys'\n" + ECHO,
            'file.toml:1: the key file "~nobody-of-that-name/keys" cannot be read: No such file or directory',
        ),
        ("server.public_url = 'https://a.example/b'\n" + ECHO, f'file.toml:1: "https://a.example/b" {NO_ADDRESS}'),
        ("server.zzzzzz = 3\n" + ECHO, "file.toml:1: server.zzzzzz is not a setting"),
    ],
)
def test_one_problem(tmp_path: pathlib.Path, text: str, message: str) -> None:
    assert problems(tmp_path, text) == [message]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "[::1]", "0.0.0.0", "bücher.example", "a_b"])
def test_hosts_that_may_exist(tmp_path: pathlib.Path, host: str) -> None:
    assert problems(tmp_path, f"server.host = '{host}'\n{ECHO}") == []


def test_a_byte_order_mark_is_no_problem(tmp_path: pathlib.Path) -> None:
    assert problems(tmp_path, "\ufeff" + ECHO) == []


def test_bytes_that_are_no_text_are_told(tmp_path: pathlib.Path) -> None:
    odd = b"\xff".decode("utf-8", "surrogateescape")
    with pytest.raises(ConfigError, match="OPENAI_PROXY_SERVER_HOST: is not UTF-8 text"):
        read(None, {"OPENAI_PROXY_SERVER_HOST": odd}, {})
    with pytest.raises(ConfigError, match=r'--host: "\\\\udcff" is not an address'):
        read(None, {}, {"server.host": odd})


def test_files_that_cannot_be_read(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file or directory"):
        read(tmp_path / "none.toml", {}, {})
    (tmp_path / "latin.toml").write_bytes(b"# ok\nx = '\xe9'\n")
    with pytest.raises(ConfigError, match=r"latin\.toml:2: is not UTF-8 text"):
        read(tmp_path / "latin.toml", {}, {})
    assert "is not TOML" in problems(tmp_path, "[server\n")[0]
    assert problems(tmp_path, "a = " + "[" * 5000) == ["file.toml: is nested too deeply"]


def test_without_a_file_the_embedded_models_are_served() -> None:
    built = read(None, {}, {})
    assert list(built.models) == ["smollm2-135m-instruct", "all-minilm-l6-v2", "whisper-base", "hibari", "emoji"]
    assert built.default_model == "smollm2-135m-instruct"
    assert "gpt-4o-mini" in built.models["smollm2-135m-instruct"].aliases
    assert {"dall-e-3", "gpt-image-1"} < set(built.models["emoji"].aliases)
    assert set(built.models["hibari"].aliases) == {"tts-1", "tts-1-hd", "gpt-4o-mini-tts"}


def test_a_file_without_models_keeps_the_embedded_ones(tmp_path: pathlib.Path) -> None:
    assert list(config(tmp_path, "server.port = 1\n").models) == list(default.tree()["models"])
    assert config(tmp_path, ECHO).default_model is None


def test_the_folder_of_the_weights_is_handed_on(tmp_path: pathlib.Path) -> None:
    built = read(None, {"OPENAI_PROXY_HOME": str(tmp_path), "OPENAI_PROXY_WHEELS": "/wheels"}, {})
    options = built.models["all-minilm-l6-v2"].options
    assert options["home"] == str(tmp_path)
    assert options["wheels"] == "/wheels"


def test_the_schema_takes_what_the_program_takes_and_explains_every_setting() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(default.tree())
    assert not validator.is_valid({"server": {"prot": 1}})
    assert not validator.is_valid({"server": {"port": 65536}})
    assert not validator.is_valid({"models": {"a": {}}})
    for name, part in schema["$defs"].items():
        for setting, entry in part["properties"].items():
            assert entry.get("description"), f"{name}.{setting} has no description"


def test_every_setting_but_models_has_a_variable() -> None:
    names = {sources.variable(path) for path, _ in sources.settings()}
    assert {"OPENAI_PROXY_SERVER_PORT", "OPENAI_PROXY_AUTH_KEY_FILE", "OPENAI_PROXY_DEFAULT_MODEL"} <= names
    assert not any("MODELS" in name for name in names)


# Any TOML whatever: random trees written as TOML in several styles.

texts = st.text(max_size=8)
names = st.one_of(
    texts,
    st.sampled_from([*Config.__struct_fields__, "port", "host", "backend", "aliases", "options", "echo", "key_file"]),
)
scalars = st.one_of(
    texts,
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates(),
    st.datetimes(),
    st.sampled_from(["echo", "echo:x", ":", "a b:c", "..:x", "", "localhost", "https://x"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=4)),
    max_leaves=12,
)
trees = st.dictionaries(names, values, max_size=5)


def written(value: object) -> str:
    """A value in TOML's inline form."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return quoted(value)
        case dict():
            return "{" + ", ".join(f"{quoted(name)} = {written(entry)}" for name, entry in value.items()) + "}"
        case list():
            return "[\n" + ",\n".join(written(entry) for entry in value) + " # ]\n]"
        case datetime.datetime() | datetime.date():
            return value.isoformat()
        case _:
            return str(value)


def quoted(text: str) -> str:
    return '"' + "".join(char if char.isalnum() and char.isascii() else f"\\U{ord(char):08X}" for char in text) + '"'


def document(tree: Mapping[str, Any]) -> str:
    """A tree as a TOML file: plain values first, then a table for each that is one."""
    plain = [f"{quoted(name)} = {written(value)}" for name, value in tree.items() if not isinstance(value, dict)]
    tables = [
        "\n".join([f"[{quoted(name)}] # table", *(f"{quoted(key)} = {written(entry)}" for key, entry in value.items())])
        for name, value in tree.items()
        if isinstance(value, dict)
    ]
    return "\n".join([*plain, *tables, ""])


def paths(tree: Any, at: Path = ()) -> Iterator[Path]:
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, value in inside:
        yield (*at, name)
        yield from paths(value, (*at, name))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trees)
@example({"models": {"a": {"backend": "echo", "aliases": [], "options": {"x": datetime.date(2020, 1, 1)}}}})
@example({"limits": {"n": 16**9000}})
def test_no_tree_raises_anything_but_a_config_error(tmp_path: pathlib.Path, tree: dict[str, Any]) -> None:
    text = document(tree) if tree != {"limits": {"n": 16**9000}} else f"limits.n = 0x1{'0' * 9000}"
    assert all(line.isprintable() for line in problems(tmp_path, text))


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
@example('a.b = [{c = 1}, {\'d\' = """x\n\\"""""}]\n[[e]]\nf = 1\n[e.g]\n[[e]]\nf = 2')
def test_any_text_that_is_toml_has_a_line_for_every_key(text: str) -> None:
    try:
        tree = tomllib.loads(text)
    except ValueError:
        return
    assert set(paths(tree)) <= set(lines(text))


@settings(max_examples=300, deadline=None)
@given(trees)
def test_every_key_of_a_tree_is_found_on_the_line_that_names_it(tree: dict[str, Any]) -> None:
    text = document(tree)
    found = lines(text)
    rows = text.split("\n")
    for path in paths(tomllib.loads(text)):
        if isinstance(path[-1], str):
            assert quoted(path[-1]) in rows[found[path] - 1]


def test_lines_of_every_way_to_write_a_key() -> None:
    text = '''\
# [comment]
a . "b" = 1
[t.u] # x = 3
'lit.eral' = """
x = 1
"""
list = [
  1, # one
  [2, 3],
  { in = "}", line = [4] },
]
[[array]]
x = 1
[array.sub]
y = 'it''s'
[[array]]
x = 2020-01-01T00:00:00Z
'''.replace("'it''s'", "'its'")
    found = lines(text)
    assert found[("a", "b")] == 2
    assert found[("t", "u", "lit.eral")] == 4
    inside = ("t", "u", "list")
    assert (found[inside], found[(*inside, 0)], found[(*inside, 1, 1)]) == (7, 8, 9)
    assert (found[(*inside, 2, "in")], found[(*inside, 2, "line", 0)]) == (10, 10)
    assert (found[("array", 0, "sub", "y")], found[("array", 1, "x")]) == (15, 17)


def test_config_errors_are_value_errors_with_all_problems() -> None:
    with pytest.raises(ValueError, match="port") as caught:
        read(None, {}, {"server.port": -1, "models": {}})
    assert isinstance(caught.value, ConfigError)
    assert len(caught.value.problems) == 2


def test_a_config_is_a_frozen_value() -> None:
    built = read(None, {}, {})
    with pytest.raises(AttributeError):
        built.server.port = 1  # type: ignore[misc]
    assert built == read(None, {}, {})
    assert msgspec.structs.replace(built, default_model=None) != built
