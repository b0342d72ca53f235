"""The worker that tries grammars before the engine sees them: `python -m backends.llama_cpp.compile`.

One `Job` a line in, one `Compiled` a line out. It compiles with llguidance, the library the engine compiles with,
within a limit of processor time and memory, and takes some steps, as some grammars only explode while they run.
The engine drops a constraint it cannot compile without a word, so nothing may reach it untried.
"""

from __future__ import annotations

import re
import resource
import sys
import time
from typing import Literal

import msgspec
from msgspec import Struct

PROCESSOR_SECONDS = 2
MEMORY = 512 * 1024 * 1024
STEPS = 32
LONGEST_REASON = 200
MATCHER = "%llguidance {}\n"
LITERAL = re.compile(r'"(?:\\.|[^"\\\n])*"|/(?:\\.|[^/\\\n])*/')
NAMED_TOKEN = re.compile(r"<(?!\[)")


class Job(Struct, frozen=True):
    """A grammar in llguidance's Lark dialect, or in llama.cpp's GBNF."""

    kind: Literal["lark", "gbnf"]
    text: str


class Compiled(Struct, frozen=True):
    """`grammar` is what the engine takes; with `error` the text is invalid, and why."""

    grammar: str = ""
    error: str = ""


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
    text = job.text
    if job.kind == "gbnf" and text.startswith("%llguidance") and "%json" in text:
        return Compiled(error="a schema belongs in response_format, where it is checked")
    if job.kind == "gbnf" and not text.startswith("%llguidance"):
        try:
            text = _translated(text)
        except Exception as error:  # noqa: BLE001 - the translator says "invalid" with Exception itself
            return Compiled(error=str(error) if type(error) is Exception else "it cannot be read as GBNF")
    if not text.startswith("%llguidance"):
        text = MATCHER + text
    reason = _unknown_to_the_engine(job.kind, text) or attempt(text)
    return Compiled(error=_first_words(reason)) if reason else Compiled(text)


def _first_words(reason: str) -> str:
    """The library's reason without the dump of its state that follows it."""
    return " ".join(reason.partition("<state>")[0].split())[:LONGEST_REASON] or "it was refused"


def _unknown_to_the_engine(kind: str, text: str) -> str:
    """What this worker would take and the engine would not: its texts end at NUL, its tokens have other names."""
    if "\0" in text:
        return "a NUL can only be written as \\x00"
    if kind == "gbnf" and NAMED_TOKEN.search(LITERAL.sub("", text)):
        return "tokens cannot be called by name"
    return ""


def _translated(text: str) -> str:
    """GBNF in Lark. The translator does not know escapes by number, so plain characters take their place."""
    from llguidance.gbnf_to_lark import gbnf_to_lark

    def plain(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0]
        character = chr(int(found[1][1:], 16))
        return found[0] if character in '"\\[]^-' or not character.isprintable() else character

    escapes = r"\\(?:\\|(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}))"
    lark: str = gbnf_to_lark(re.sub(escapes, plain, text))
    return lark


def attempt(grammar: str) -> str:
    """Why the grammar cannot be used; empty when it can."""
    from llguidance import LLMatcher, LLTokenizer

    tokenizer = LLTokenizer("byte")
    matcher = LLMatcher(tokenizer, grammar, log_level=0)
    for step in range(STEPS):
        if matcher.is_error():
            break
        allowed = matcher.compute_logit_bias()
        choices = [token for token in range(tokenizer.vocab_size) if allowed[token] and token != tokenizer.eos_token]
        if matcher.is_error() or matcher.is_stopped() or not choices:
            break
        matcher.consume_token(choices[step * 7919 % len(choices)])
    return str(matcher.get_error()) if matcher.is_error() else ""


def _limit_memory() -> None:
    with open("/proc/self/statm", encoding="ascii") as statm:
        held = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))


def _limit_time() -> None:
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + PROCESSOR_SECONDS, hard))


if __name__ == "__main__":
    main()
