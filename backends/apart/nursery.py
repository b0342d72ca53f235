"""The process that has what decodes loaded, and forks a child of its own for each file.

It reads no file itself. A child may use so much memory and processor time, write no file and open next to none; it is
killed by whoever asked for it, who has its id. Standard input is a socket on which one message asks for one child and
brings the socket to talk with it; the child begins and says its id. The rest is its work's.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import resource
import signal
import socket
import struct
import sys
from typing import BinaryIO, Protocol, cast

HELLO = struct.Struct("<I")
ASK = b"?"

MEMORY = 1 << 30
FILES = 16
NO_NEW_PRIVILEGES = 38
# Where cores are short, whoever streams goes first.
LATER = 10


class Work(Protocol):
    """What the children of a nursery do: a module beside this one, or one with dots in its name."""

    def warm(self) -> None:
        """Load all that they need. Raises ImportError."""

    def serve(self, heard: BinaryIO, asker: socket.socket) -> None:
        """One child's life, from its task on."""


def work(name: str) -> Work:
    return cast("Work", importlib.import_module(name if "." in name else f"backends.apart.{name}"))


def main(name: str) -> None:
    """Serves until whoever started it closes the socket."""
    does = work(name)
    os.nice(LATER)
    does.warm()  # what children have from here, they need not do
    gc.freeze()  # and share with it, as nobody looks at it again
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    with socket.socket(fileno=os.dup(0)) as asked, open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)  # no child may hear what others are asked
        while True:
            message, given, _, _ = socket.recv_fds(asked, 1, 1)
            if not message:
                return
            if os.fork() == 0:
                asked.close()
                _live(does, socket.socket(fileno=given[0]))
            for each in given:
                os.close(each)


def _live(does: Work, asker: socket.socket) -> None:
    """A child's life."""
    try:
        os.setsid()
        with contextlib.suppress(OSError), asker, asker.makefile("rb") as heard:
            asker.sendall(HELLO.pack(os.getpid()))
            does.serve(heard, asker)
    finally:
        os._exit(0)


def limit(seconds: float, size: int, memory: int = MEMORY) -> None:
    """Of now on, with `size` bytes to come, so much processor time and memory; a child that passes a limit dies."""
    with contextlib.suppress(OSError), open("/proc/self/statm", encoding="ascii") as statm:
        held = int(statm.read().split()[0]) * resource.getpagesize()
        _set(resource.RLIMIT_AS, held + size + memory)
    _set(resource.RLIMIT_CPU, int(seconds))
    _set(resource.RLIMIT_FSIZE, 0)
    _set(resource.RLIMIT_NOFILE, FILES)
    _set(resource.RLIMIT_CORE, 0)


def _set(kind: int, most: int) -> None:
    hard = resource.getrlimit(kind)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))
