"""The process that has what decodes loaded, and forks a child of its own for each sound: `python -m audio.nursery`.

It reads no sound itself. A child may use so much memory and processor time, write no file and open next to none; it is
killed by whoever asked for it, who has its id. Standard input is a socket on which one message asks for one child and
brings the socket to talk with it:

    child    its id
    asker    a Task and the sound
    asker    one byte for each Answer that it wants
    child    an Answer: sound, or what is wrong with it, or nothing at its end
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Iterator

from audio.clip import WIDTH, Clip
from audio.decode import RATE, BadSound, TooLong, load, pieces
from audio.wav import wav

HELLO = struct.Struct("<I")
# The longest that it may be, in seconds, the rate to bring it to, and its size in bytes.
TASK = struct.Struct("<dIQ")
# What follows, and how many bytes of it.
ANSWER = struct.Struct("<cI")
SOUND, END, BAD, LONG = b"s", b"e", b"b", b"l"
ASK = b"?"

MEMORY = 1 << 30
PROCESSOR_SECONDS = 60
# Processor time above that: a second for each minute that the sound may last.
FASTER = 60
FILES = 16
NO_NEW_PRIVILEGES = 38


def main() -> None:
    """Serves until whoever started it closes the socket."""
    load(wav(Clip(bytes(RATE * WIDTH), RATE)), 1)  # what children have from here, they need not do
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
                _live(socket.socket(fileno=given[0]))
            for each in given:
                os.close(each)


def _live(asker: socket.socket) -> None:
    """A child's life."""
    try:
        os.setsid()
        with contextlib.suppress(OSError), asker:
            _serve(asker)
    finally:
        os._exit(0)


def _serve(asker: socket.socket) -> None:
    with asker.makefile("rb") as heard:
        asker.sendall(HELLO.pack(os.getpid()))
        longest, rate, size = TASK.unpack(heard.read(TASK.size))
        _limit(longest, size)
        answers = _answers(heard.read(size), longest, rate)
        while heard.read(1) == ASK:
            kind, data = next(answers)
            asker.sendall(ANSWER.pack(kind, len(data)) + data)


def _answers(data: bytes, longest: float, rate: int) -> Iterator[tuple[bytes, bytes]]:
    try:
        for piece in pieces(data, longest, rate):
            yield SOUND, piece
    except TooLong as error:
        yield LONG, str(error).encode()
    except BadSound as error:
        yield BAD, str(error).encode()
    yield END, b""


def _limit(longest: float, size: int) -> None:
    """Of now on; a child that passes a limit dies."""
    with contextlib.suppress(OSError), open("/proc/self/statm", encoding="ascii") as statm:
        held = int(statm.read().split()[0]) * resource.getpagesize()
        _set(resource.RLIMIT_AS, held + size + MEMORY)
    _set(resource.RLIMIT_CPU, int(PROCESSOR_SECONDS + longest / FASTER))
    _set(resource.RLIMIT_FSIZE, 0)
    _set(resource.RLIMIT_NOFILE, FILES)
    _set(resource.RLIMIT_CORE, 0)


def _set(kind: int, most: int) -> None:
    hard = resource.getrlimit(kind)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    main()
