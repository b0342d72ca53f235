"""What vLLM raises -> our errors. Its messages reach a client on one line and short, never as Python's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from backends.errors import EngineFailed, Overloaded, Refused
from backends.vllm.compat import Library

LONGEST = 300


@contextmanager
def translated(library: Library, param: str | None = None) -> Iterator[None]:
    """Around everything that asks vLLM for work; `param` names the field when vLLM does not."""
    try:
        yield
    except library.ClientError as error:
        # Python's text of the error adds vLLM's own names of fields and the value.
        said = str(error.args[0]) if error.args else "The engine refused the request."
        raise Refused(" ".join(said.split())[:LONGEST], param=getattr(error, "parameter", None) or param) from error
    except library.GracefulError as error:
        raise Overloaded from error
    except library.DeadError as error:
        raise EngineFailed("The engine ended while it worked on this request.") from error
    except library.GenerateError as error:
        raise EngineFailed from error
