"""Running a grammar before the engine does: a walk through what it allows, and what the steps of the walk cost.

An ambiguous grammar compiles at once and costs more with every byte of the answer: the parser keeps every way to read
what is there. The time of late steps tells, in milliseconds of processor time for each:

                                        step 25   step 400
    JSON, free text, arithmetic            0.01       0.01
    right recursion (list: item list)      0.01       0.25
    root: x*   x: "a" | "b" | x x          0.02      21
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

STEPS = 400
WINDOW = 25
# Early steps may be slow in any grammar, as they build the lexer's states.
WARM = 100
SLOW = 0.001
TRIES = 16


class Invalid(ValueError):
    """No grammar, and why."""


class Costly(ValueError):
    """A grammar that costs too much to run."""


def check(grammar: str) -> None:
    """Raises Invalid for what the library does not compile, Costly for what it cannot run or runs ever slower."""
    from llguidance import LLMatcher, LLParserLimits, LLTokenizer

    tokenizer = LLTokenizer("byte")
    for varied in (True, False):
        # Errors without the parser's state, which is of no use to a client.
        matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=LLParserLimits(verbose_errors=False))
        if matcher.is_error():
            raise Invalid(matcher.get_error())
        _walk(matcher, tokenizer, varied)
        # What compiled and stops while it runs, though each step was allowed, met a limit of the library or a dead end.
        if matcher.is_error():
            raise Costly("this matches no text at all or is too complex to run")


def _walk(matcher: LLMatcher, tokenizer: LLTokenizer, varied: bool) -> None:
    """Takes ever other bytes, or those after which the answer could end; away from the end where that is possible."""
    times: list[float] = []
    last = -1
    for step in range(STEPS):
        begun = time.process_time()
        allowed = matcher.compute_logit_bias()
        choices = [token for token in range(tokenizer.vocab_size) if allowed[token] and token != tokenizer.eos_token]
        times.append(time.process_time() - begun)
        if matcher.is_error() or not choices:
            return
        turn = step * 7919 % len(choices)
        order = choices[turn:] + choices[:turn] if varied else [last, *choices] if last in choices else choices
        last = _choice(matcher, order[:TRIES], varied)
        begun = time.process_time()
        matcher.consume_token(last)
        times[-1] += time.process_time() - begun
        if matcher.is_stopped():
            return
        if step >= WARM and step % WINDOW == 0 and statistics.median(times[-WINDOW:]) > SLOW:
            raise Costly("this is too ambiguous: it takes longer with every character of the answer")


def _choice(matcher: LLMatcher, order: list[int], varied: bool) -> int:
    """The first byte that does not end the answer and, unless `varied`, after which it could end."""
    going = order[0]
    found = False
    for token in order:
        matcher.consume_token(token)
        stopped, accepting = matcher.is_stopped(), matcher.is_accepting()
        if matcher.is_error() or not matcher.rollback(1):
            return token
        if not stopped and (varied or accepting):
            return token
        if not stopped and not found:
            going, found = token, True
    return going
