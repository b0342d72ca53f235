"""The worker that tries grammars before the engine sees them: `python -m backends.constraints.compile`.

One `Job` a line in, one `Compiled` a line out. It compiles with llguidance, the library the engine compiles with,
within a limit of processor time and memory, and takes some steps, as some grammars only explode while they run.
The engine drops a constraint it cannot compile without a word, so nothing may reach it untried.
"""

from __future__ import annotations

import resource
import sys
import time
from typing import Literal

import msgspec
from msgspec import Struct

from backends.constraints import gbnf, trial

PROCESSOR_SECONDS = 2
MEMORY = 512 * 1024 * 1024
MATCHER = "%llguidance {}\n"
# An option of the library for JSON schemas, set only to learn whether an overlapping `oneOf` is what it refuses.
STRICT, COERCED = '"x-guidance": {', '"x-guidance": {"coerce_one_of": true, '


class Job(Struct, frozen=True):
    """A grammar in llguidance's Lark dialect, or in llama.cpp's GBNF."""

    kind: Literal["lark", "gbnf"]
    text: str


class Compiled(Struct, frozen=True):
    """`grammar` is what the engine takes; with `error` it takes none: why, and of which kind the reason is."""

    grammar: str = ""
    error: str = ""
    kind: Literal["invalid", "complex", "unsupported"] = "invalid"


def main() -> None:
    import llguidance  # loads before the memory limit is measured

    llguidance.LLTokenizer("byte")
    _limit_memory()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin.buffer:
        job = msgspec.json.decode(line, type=Job)
        _limit_time()
        sys.stdout.write(msgspec.json.encode(compiled(job)).decode() + "\n")
        sys.stdout.flush()


def compiled(job: Job) -> Compiled:
    """The grammar, tried."""
    try:
        if job.kind == "gbnf":
            text = gbnf.translated(job.text)
            gbnf.check_loops(text)
        else:
            text = MATCHER + job.text
        if "\0" in text:
            return Compiled(error="a NUL can only be written as \\x00")
        trial.check(text)
        for start in gbnf.loops(text) if job.kind == "gbnf" else ():
            trial.check(gbnf.started(text, start))
    except trial.Costly as error:
        return Compiled(error=str(error), kind="complex")
    except trial.Invalid as error:
        if job.kind == "lark" and _overlaps(text):
            return Compiled(error="a oneOf whose branches may overlap cannot be enforced", kind="unsupported")
        return Compiled(error=str(error))
    return Compiled(text)


def _overlaps(text: str) -> bool:
    """Whether an overlapping `oneOf` is all that keeps a schema from being taken."""
    if '"oneOf"' not in text:
        return False
    try:
        trial.check(text.replace(STRICT, COERCED))
    except (trial.Invalid, trial.Costly):
        return False
    return True


def _limit_memory() -> None:
    with open("/proc/self/statm", encoding="ascii") as statm:
        held = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))


def _limit_time() -> None:
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + PROCESSOR_SECONDS, hard))


if __name__ == "__main__":
    main()
