"""The engine's process: `python -m backends.workshop.child`.

One JSON line on standard input says what to load (`Load`); one on standard output says how that went (`Loaded`).
Afterwards frames come and go (`backends.workshop.messages`) until standard input ends, which it does when the server
closes it or dies in any way.
"""

from __future__ import annotations

import os
import pkgutil
import threading

import msgspec

from backends import telemetry
from backends.errors import BackendError
from backends.spawned import Loaded, Parent, outlast_signals
from backends.workshop.messages import LENGTH, Load, Telling, asking, framed
from backends.workshop.work import Engine, Work


def main() -> None:
    parent = Parent()
    load = parent.question(Load)
    telemetry.switch_off()
    try:
        engine: Engine = pkgutil.resolve_name(load.engine)(**load.options)
        loaded = Loaded(about=msgspec.Raw(msgspec.json.encode(engine.about)))
        outlast_signals()
    except BackendError as error:
        loaded = Loaded(error.message)
    except Exception as error:  # noqa: BLE001 - whoever asked is told
        loaded = Loaded(str(error) or type(error).__name__)
    parent.answer(loaded)
    if not loaded.error:
        serve(parent, engine, load.threads)
    # What runs is wanted by nobody.
    os._exit(1 if loaded.error else 0)


def serve(parent: Parent, engine: Engine, threads: int) -> None:
    """Answer until nobody asks any more."""
    turn = threading.Lock()

    def tell(message: Telling) -> None:
        data = framed(message)
        with turn:
            parent.send(data)

    work = Work(engine, threads, tell)
    while len(head := parent.said.read(LENGTH.size)) == LENGTH.size:
        (size,) = LENGTH.unpack(head)
        work.take(asking(parent.said.read(size)))


if __name__ == "__main__":
    main()
