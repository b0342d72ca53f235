"""The small commands, as processes: what they print, in which form, and how they end."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from openai_proxy import __version__, default
from openai_proxy.__main__ import COMMANDS, main
from openai_proxy.cli import installation
from openai_proxy.cli.ending import Ending
from tests.cli.imitation import imitation
from tests.cli.terminal import command, here, run, terminal
from tests.running import ROOT, Running, environment

WRONG = '[server]\nprot = 1\n[models.a]\nbackend = "ecko"\n'


def imported(statement: str) -> set[str]:
    """The modules that a fresh interpreter holds after this statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT).stdout.split())


def test_the_version_and_the_list_of_commands_need_next_to_nothing() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"openai-proxy {__version__}\n")
    listed = run("--help").stdout
    assert all(name in listed for name in COMMANDS)
    assert "msgspec" not in imported("import openai_proxy.__main__")


def test_the_server_never_imports_what_only_a_terminal_needs() -> None:
    modules = imported("import openai_proxy.cli.serve")
    assert "openai_proxy.server" in modules
    assert not modules & {"openai", "rich", "prompt_toolkit", "pydantic", "httpx"}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0
    assert "openai-proxy" in done.stdout.partition("usage:")[2]
    assert done.stderr == ""


def test_wrong_usage_ends_with_2() -> None:
    assert run("nonsense").returncode == 2
    assert here("chat", "--nonsense").returncode == 2
    assert here().returncode == 2


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        (("serve", "--nonsense"), "openai-proxy serve"),
        (("chat", "hi", "--nonsense"), "openai-proxy chat"),
        (("keys", "new", "me", "--nonsense"), "openai-proxy keys new"),
        (("--nonsense", "check"), "openai-proxy"),
    ],
)
def test_an_unknown_argument_shows_the_usage_of_its_own_command(arguments: tuple[str, ...], usage: str) -> None:
    done = here(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"usage: {usage} [-h]")
    assert done.stderr.endswith(f"{usage}: error: unrecognized arguments: --nonsense\n")


def test_check_tells_each_problem_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(WRONG)
    done = here("check", "--config", str(file))
    assert done.returncode == 2
    assert done.stdout.splitlines() == [
        f"{file}:2: server.prot is not a setting; did you mean port?",
        f"{file}:4: no backend is called 'ecko'; did you mean 'echo'?",
        "2 problems",
    ]
    told = json.loads(here("check", "--config", str(file), "--json").stdout)
    assert told["ok"] is False
    assert told["problems"][0] == {
        "where": str(file),
        "message": "server.prot is not a setting; did you mean port?",
        "line": 2,
    }


def test_check_sums_up_what_is_right(tmp_path: Path) -> None:
    file = tmp_path / "right.toml"
    file.write_text('default_model = "echo"\n[models.echo]\nbackend = "echo"\naliases = ["gpt"]\n')
    done = here("check", "--config", str(file))
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == f"{file} is right"
    assert "model echo: echo, also called gpt, serves requests that name no model" in done.stdout
    told = json.loads(here("check", "--json", OPENAI_PROXY_CONFIG=str(file), OPENAI_PROXY_SERVER_PORT="77").stdout)
    assert told["ok"] is True
    assert told["config"]["server"]["port"] == 77


@pytest.mark.parametrize(
    ("setting", "env", "said"),
    [
        (
            "port = 0",
            {},
            "listens on 127.0.0.1, a free port\nmodel echo: echo\nkeys: none, so everybody on this machine",
        ),
        ("port = 1", {"OPENAI_PROXY_KEYS": "sk-12345678"}, "127.0.0.1, port 1\nmodel echo: echo\nkeys: 1 key may call"),
        ("host = '0.0.0.0'", {"OPENAI_PROXY_KEYS": "sk-12345678,sk-87654321"}, "keys: 2 keys may call"),
        ("host = '0.0.0.0'", {}, "keys: none, so `openai-proxy serve` will not listen on 0.0.0.0"),
        ("allow_unauthenticated = true", {}, "keys: none, so EVERYBODY who reaches this port may call"),
    ],
)
def test_check_says_who_may_call(setting: str, env: dict[str, str], said: str, tmp_path: Path) -> None:
    file = tmp_path / "right.toml"
    file.write_text(f'[server]\n{setting}\n[models.echo]\nbackend = "echo"\n')
    done = here("check", "--config", str(file), **env)
    assert done.returncode == 0
    assert said in done.stdout


def test_check_reads_the_keys_too(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("secret-thing\n")
    file = tmp_path / "c.toml"
    file.write_text(f'auth.key_file = "{tmp_path}/keys"\n[models.echo]\nbackend = "echo"\n')
    done = here("check", "--config", str(file))
    assert done.returncode == 2
    assert done.stdout == (
        f"keys: {tmp_path}/keys, line 1: expected a name, scopes and a SHA-256 in hex, and maybe a time\n1 problem\n"
    )


def test_check_hands_out_the_schema_and_a_file_to_start_from(tmp_path: Path) -> None:
    schema = json.loads(run("check", "--schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$defs"]["Server"]["properties"]["port"]["description"]
    assert run("check", "--default").stdout == default.TEXT


def test_packages_in_two_places_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installation.refuse_scattered()
    monkeypatch.setattr(
        installation,
        "folders",
        lambda: {"openai_proxy": ROOT, "backends": tmp_path, "audio": ROOT, "vision": ROOT},
    )
    with pytest.raises(Ending, match=r"the package 'backends' lies in .* another package has that name"):
        installation.refuse_scattered()
    assert main(["check"]) == 2
    monkeypatch.setattr(installation, "folders", lambda: {"openai_proxy": ROOT, "audio": None})
    with pytest.raises(Ending, match="the package 'audio' cannot be found"):
        installation.refuse_scattered()


def test_models_lists_ids_states_and_aliases() -> None:
    with imitation() as server:
        done = here("models", "--base-url", server.base_url)
        assert (done.returncode, done.stdout) == (0, "tiny\tready\ngpt\t\t-> tiny\n")
        told = json.loads(here("models", "--json", OPENAI_BASE_URL=server.base_url).stdout)
        assert [model["id"] for model in told["data"]] == ["tiny", "gpt"]
        with terminal("models", "--base-url", server.base_url) as person:
            person.wait_for("tiny  ready\ngpt          -> tiny\n")
            assert person.wait() == 0


def test_models_follows_the_states() -> None:
    with imitation() as server:
        server.events = [
            {"id": "tiny", "state": "loading", "note": "reading\x1b[31m", "fraction": 0.5},
            {"id": "tiny", "state": "ready"},
        ]
        done = here("models", "--watch", "--base-url", server.base_url)
        assert done.stdout == "tiny  loading  50%  reading[31m\ntiny  ready\n"
        lines = here("models", "--watch", "--json", "--base-url", server.base_url).stdout.splitlines()
        assert json.loads(lines[1]) == {"id": "tiny", "state": "ready", "note": "", "fraction": None}


def test_models_explains_why_it_cannot() -> None:
    with imitation() as server:
        server.key = "right"
        denied = here("models", "--base-url", server.base_url)
        assert denied.returncode == 1
        assert "asks for an API key: put it into the variable OPENAI_API_KEY" in denied.stderr
        assert here("models", "--base-url", server.base_url, OPENAI_API_KEY="right").returncode == 0
        elsewhere = here("models", "--base-url", f"http://127.0.0.1:{server.port}/v2", OPENAI_API_KEY="right")
        assert elsewhere.stderr == (f"openai-proxy: http://127.0.0.1:{server.port}/v2/models answered 404: not here\n")
    gone = here("models", "--base-url", server.base_url)
    assert gone.returncode == 1
    assert gone.stderr.startswith(f"openai-proxy: nothing answers at {server.base_url}")


def test_a_closed_pipe_is_no_traceback() -> None:
    shell = f"{sys.executable} -m openai_proxy check --schema | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", shell], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "{\n"
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", [("check", "--schema"), ("keys", "list"), ("doctor",)])
def test_an_output_that_takes_nothing_is_told(arguments: tuple[str, ...], tmp_path: Path) -> None:
    here("keys", "new", "me", "--key-file", str(tmp_path / "keys"))
    env = environment(OPENAI_PROXY_AUTH_KEY_FILE=str(tmp_path / "keys"))
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command(*arguments), stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=env)
    assert done.returncode == 1
    assert done.stderr == "openai-proxy: cannot write: No space left on device\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("check", "--schema"), 0),
        (("check", "--config", "/nowhere"), 2),
        (("serve", "--config", "/nowhere"), 2),
        (("chat",), 2),
    ],
)
def test_closed_standard_streams_do_not_change_the_ending(arguments: tuple[str, ...], code: int) -> None:
    closing = "import os, sys; [os.close(number) for number in range(3)]; os.execv(sys.argv[1], sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", closing, *command(*arguments)], cwd=ROOT, env=environment())
    assert done.returncode == code


def test_keys_are_shown_once_and_revoked_by_name(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "keys"
    made = run("keys", "new", "laptop", "--key-file", str(file))
    token = made.stdout.strip()
    assert made.returncode == 0
    assert token.startswith("sk-")
    assert f"--key-file {file}" in made.stderr
    assert token not in made.stderr + file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    admin = json.loads(here("keys", "new", "ops", "--scope", "admin", "--json", "--key-file", str(file)).stdout)
    assert admin["scopes"] == ["admin", "user"]
    listed = json.loads(here("keys", "list", "--json", "--key-file", str(file)).stdout)
    assert [(key["name"], key["scopes"]) for key in listed] == [("laptop", ["user"]), ("ops", ["admin", "user"])]
    table = here("keys", "list", OPENAI_PROXY_AUTH_KEY_FILE=str(file)).stdout
    assert table.startswith("laptop\tuser\t20")
    assert here("keys", "revoke", "laptop", "--key-file", str(file)).stderr == "revoked 1 key of laptop\n"
    again = here("keys", "revoke", "laptop", "--key-file", str(file))
    assert again.returncode == 1
    assert "has no key of 'laptop'" in again.stderr


def test_keys_says_what_is_wrong(tmp_path: Path) -> None:
    none = here("keys", "list", "--key-file", str(tmp_path / "none"))
    assert none.returncode == 1
    assert none.stderr == (
        f"openai-proxy: there is no key file {tmp_path}/none; `openai-proxy keys new NAME` makes it\n"
    )
    assert "letters, digits" in here("keys", "new", "a b", "--key-file", str(tmp_path / "keys")).stderr
    folder = here("keys", "new", "a", "--key-file", str(tmp_path))
    assert folder.stderr == f"openai-proxy: the key file {tmp_path} cannot be used: Is a directory\n"
    (tmp_path / "file").touch()
    below = here("keys", "new", "a", "--key-file", str(tmp_path / "file" / "keys"))
    assert below.stderr == f"openai-proxy: the key file {tmp_path}/file/keys cannot be used: its folder is a file\n"
    nowhere = here("keys", "new", "a", "--key-file", "/proc/none/keys")
    assert nowhere.stderr == "openai-proxy: the key file /proc/none/keys cannot be used: No such file or directory\n"
    (tmp_path / "c.toml").write_text("auth.key_flie = 'x'\n")
    wrong = here("keys", "list", "--config", str(tmp_path / "c.toml"))
    (tmp_path / "nul.toml").write_text('auth.key_file = "a\\u0000b"\n')
    nul = here("keys", "list", "--config", str(tmp_path / "nul.toml"))
    assert (nul.returncode, nul.stderr) == (
        2,
        f'openai-proxy: {tmp_path}/nul.toml:1: "a\\u0000b" cannot name a file\n',
    )
    nobody = here("keys", "list", OPENAI_PROXY_AUTH_KEY_FILE="~nobody-of-that-name/keys")
    assert nobody.stderr.startswith("openai-proxy: there is no key file ~nobody-of-that-name/keys;")
    assert wrong.returncode == 2
    assert "did you mean key_file?" in wrong.stderr


def test_a_key_file_that_others_can_read_is_pointed_out(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    here("keys", "new", "a", "--key-file", str(file))
    file.chmod(0o644)
    assert f"chmod 600 {file}" in here("keys", "list", "--key-file", str(file)).stderr


def test_the_clients_work_with_our_own_server(echo_server: Running) -> None:
    answer = json.loads(here("chat", "--json", "--base-url", echo_server.base_url, "hello there").stdout)
    assert answer["text"]
    assert answer["model"] == "echo"
    assert answer["usage"]["completion_tokens"] > 0
    assert here("models", "--base-url", echo_server.base_url).stdout.startswith("echo\tready")
    unknown = here("chat", "--model", "none", "--base-url", echo_server.base_url, "hi")
    assert unknown.returncode == 1
    assert "has no model 'none'" in unknown.stderr


def test_states_of_our_own_server_are_followed(echo_server: Running) -> None:
    watching = subprocess.Popen(
        command("models", "--watch", "--json", "--base-url", echo_server.base_url),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=environment(),
    )
    assert watching.stdout is not None
    with watching.stdout:
        assert json.loads(watching.stdout.readline())["state"] == "ready"
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 130
