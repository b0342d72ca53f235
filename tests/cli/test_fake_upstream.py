"""`openai-proxy fake-upstream` as a process: its flags, its port and its end."""

from __future__ import annotations

import signal
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from openai_proxy.fake_upstream.faults import FAULTS
from tests.cli.terminal import here, run
from tests.upstream import certificate, upstream

QUESTION: Any = [{"role": "user", "content": "hello"}]


def test_flags_make_the_script() -> None:
    script = {"--chunks": 3, "--size": 4, "--dimensions": 2, "--fault": "status-503", "--fault-every": 2}
    flags = [str(part) for pair in script.items() for part in pair] + ["--retry-after", "7", "--probes", "--keep", "1"]
    with upstream("--model", "a", "--model", "b", "--name", "left", *flags) as fake:
        found = fake.script()
        told = {"chunks": 3, "size": 4, "dimensions": 2, "fault": "status-503", "fault_every": 2, "retry_after": 7.0}
        assert found.items() >= {**told, "probes": True, "text": None}.items()
        answer = fake.client().chat.completions.create(model="b", messages=QUESTION)
        assert (answer.choices[0].message.content, answer.system_fingerprint) == ("000 001 002 ", "left")
        assert fake.seen().name == "left"
        fake.script(fault=None)
        fake.client().models.list()
        assert len(fake.seen().last) == 1


def test_a_key_and_tls(tmp_path: Path) -> None:
    chain, key = map(str, certificate(tmp_path))
    flags = ("--key", "SECRET", "--tls-cert", chain, "--tls-key", key)
    with upstream(*flags, SECRET="abc") as fake:
        assert fake.url.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=chain)
        with (
            socket.create_connection(("127.0.0.1", fake.port), 10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            connection.sendall(
                b"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer abc\r\nx-fake: close=1\r\n\r\n"
            )
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200 ")
        with (
            socket.create_connection(("127.0.0.1", fake.port), 10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            connection.sendall(b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-fake: fault=reset-before\r\n\r\n")
            assert b" 401 " in connection.recv(65536)
        assert fake.seen().answered == 2


def test_nobody_can_connect() -> None:
    with upstream("--fault", "refuse") as fake, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", fake.port), 10)


def test_it_can_be_frozen_and_killed() -> None:
    with upstream() as fake:
        fake.freeze()
        with socket.create_connection(("127.0.0.1", fake.port), 0.2) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            with pytest.raises(TimeoutError):
                connection.recv(1)
            fake.thaw()
            connection.settimeout(10)
            assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")
        fake.kill()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", fake.port), 10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(number: signal.Signals) -> None:
    with upstream() as fake:
        assert fake.process is not None
        fake.process.send_signal(number)
        assert fake.process.wait(10) == 0


def test_what_cannot_be_meant(tmp_path: Path) -> None:
    with upstream() as fake:
        taken = run("fake-upstream", "--port", str(fake.port))
    assert (taken.returncode, taken.stdout) == (1, "")
    assert taken.stderr == f"openai-proxy: cannot listen on 127.0.0.1:{fake.port}: Address already in use\n"
    for arguments, words in (
        (("--fault", "nonsense"), "there is no fault 'nonsense'"),
        (("--fault-rate", "2"), "fault_rate"),
        (("--key", "NO_SUCH"), "the environment variable NO_SUCH holds no key"),
        (("--tls-cert", str(tmp_path / "none.pem")), "cannot be used: No such file"),
    ):
        done = here("fake-upstream", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr


def test_the_help_lists_every_fault() -> None:
    text = here("fake-upstream", "--help").stdout
    assert all(f"\n  {name} " in text for name in FAULTS)
