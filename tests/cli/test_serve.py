"""`openai-proxy serve` as the person who starts it sees it."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.terminal import command, run, terminal
from tests.conftest import Serve
from tests.edge.raw import everything, get, status, wait_for
from tests.running import ROOT, environment

ECHO = '[server]\ngrace = 0\n[models.echo]\nbackend = "echo"\naliases = ["gpt"]\n'


def test_the_banner_says_where_what_who_and_how_to_try(serve: Serve) -> None:
    server = serve(ECHO)
    output = server.output()
    assert f"listens on {server.url}\n" in output
    assert "model  echo (echo) " in output
    assert ", also gpt" in output
    assert "keys  none, so everybody on this machine may call" in output
    line = re.search(r"try  (curl .*)", output)
    assert line is not None
    answer = subprocess.run(["bash", "-c", f"{line[1]} -sS"], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout)["choices"][0]["message"]["content"]


def test_the_curl_line_works_with_a_key_too(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    token = run("keys", "new", "me", "--key-file", str(file)).stdout.strip()
    server = serve(ECHO, "--key-file", str(file), path="/livez")
    output = server.output()
    assert "keys  1 key may call" in output
    line = re.search(r"try  (curl .*)", output)
    assert line is not None
    env = {**environment(), "KEY": token}
    answer = subprocess.run(["bash", "-c", f"{line[1]} -sS"], capture_output=True, text=True, check=True, env=env)
    assert json.loads(answer.stdout)["choices"][0]["message"]["content"]
    assert token not in server.output()


def test_the_port_is_open_before_a_slow_model_is_ready(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import asyncio\nfrom backends import State\nfrom backends.echo import Echo\n"
        "class Slow(Echo):\n"
        "    loading = True\n"
        "    @property\n"
        "    def state(self):\n"
        "        return State('loading', 'reading', 0.5) if self.loading else super().state\n"
        "    async def start(self):\n"
        "        await asyncio.sleep(0.5)\n"
        "        self.loading = False\n"
        "        await super().start()\n"
    )
    server = serve('server.grace = 0\n[models.slow]\nbackend = "slow:Slow"\n', path="/livez", PYTHONPATH=str(tmp_path))
    assert '"model slow is loading 50%, reading"' in server.output()
    assert server.status("/readyz") == 503
    server.wait_for("/readyz", 10)
    while "model slow is ready" not in server.output():
        time.sleep(0.05)
    assert server.output().count("slow is ready") == server.output().count("ready after") == 1
    after_the_banner = server.output().partition("  try  ")[2].splitlines()[1:]
    assert all(line.startswith('{"time":') for line in after_the_banner)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--port", "70000"), "--port: server.port must be a whole number from 0 up to 65535, not 70000"),
        (("--model", "none"), "--model: 'none' is neither a configured model nor a GGUF file; configured are echo"),
        (("--model", "ecco"), "--model: 'ecco' is neither a configured model nor a GGUF file; did you mean echo?"),
        (("--model", "a.gguf"), f"--model: there is no file {ROOT}/a.gguf"),
        (("--model", ""), "--model: is empty: name a GGUF file or a configured model"),
        (("--model", "~nobody-of-that-name/a.gguf"), f"--model: there is no file {ROOT}/~nobody-of-that-name/a.gguf"),
        (("--host", "a" * 64), "is not an address or the name of a machine"),
        (("--backend", "ecko"), "--model, --backend: no backend is called 'ecko'; did you mean 'echo'?"),
        (("--host", "0.0.0.0"), "refusing to listen on 0.0.0.0 without an API key"),
        (("--key-file", "/nowhere/keys"), '--key-file: the key file "/nowhere/keys" cannot be read'),
    ],
)
def test_what_cannot_be_configured_ends_with_2(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    file = tmp_path / "echo.toml"
    file.write_text(ECHO)
    done = run("serve", "--config", str(file), *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_malformed_key_file_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("secret-thing\n")
    done = run("serve", "--backend", "echo", "--key-file", str(tmp_path / "keys"))
    assert done.returncode == 2
    assert f"{tmp_path}/keys, line 1" in done.stderr
    assert "secret-thing" not in done.stderr


def test_one_model_of_the_file_can_be_served_alone(serve: Serve) -> None:
    server = serve(ECHO + '[models.other]\nbackend = "echo"\n', "--model", "gpt")
    with server.client() as client:
        assert [model.id for model in client.models.list()] == ["echo", "gpt"]
    assert "model  echo (echo, default)" in server.output()


def test_a_backend_can_be_served_without_a_file(serve: Serve) -> None:
    server = serve(
        None, "--backend", "echo", "--model", "my/echo", "--log-format", "text", OPENAI_PROXY_SERVER_GRACE="0"
    )
    with server.client() as client:
        assert [model.id for model in client.models.list()] == ["my/echo"]
    assert not re.search(r'^\{"time"', server.output(), re.MULTILINE)


def test_bars_at_a_terminal_and_ctrl_c_ends_with_0(tmp_path: Path) -> None:
    file = tmp_path / "echo.toml"
    file.write_text(ECHO)
    with terminal("serve", "--port", "0", "--config", str(file)) as person:
        person.wait_for("listens on http://127.0.0.1:")
        person.wait_for("echo.*━.*ready after")
        time.sleep(0.2)
        person.press("\x03")
        assert person.wait() == 0


def test_sigterm_ends_with_0(tmp_path: Path) -> None:
    file = tmp_path / "echo.toml"
    file.write_text(ECHO)
    process = subprocess.Popen(
        command("serve", "--port", "0", "--config", str(file)), cwd=ROOT, stderr=subprocess.PIPE, env=environment()
    )
    assert process.stderr is not None
    with process.stderr:
        while b"ready after" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_full_or_closed_standard_error_does_not_keep_it_from_serving(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for redirection in ("2>/dev/full", "0<&- 1>&- 2>&-"):
        words = ["bash", "-c", f'exec "$@" {redirection}', "bash", *command("serve", "--backend", "echo")]
        process = subprocess.Popen(
            [*words, "--port", str(port)], cwd=ROOT, env=environment(OPENAI_PROXY_SERVER_GRACE="0")
        )
        try:
            wait_for(lambda: answers(port))
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(get("/livez"))
            return status(everything(connection)) == 200
    except ConnectionError:
        return False
