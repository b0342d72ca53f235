"""Whether the four packages of this application are its own: their names are general, so another wheel may hide one."""

from __future__ import annotations

import importlib.util
import pathlib

from openai_proxy.cli.ending import MISUSED, Ending

PACKAGES = ("openai_proxy", "backends", "audio", "vision")


def folders() -> dict[str, pathlib.Path | None]:
    """The folder that each package lies in; None when it cannot be found."""
    specs = {name: importlib.util.find_spec(name) for name in PACKAGES}
    return {
        name: pathlib.Path(spec.origin).parent.parent.resolve() if spec and spec.origin else None
        for name, spec in specs.items()
    }


def refuse_scattered() -> None:
    """End the command when the packages do not lie in one folder."""
    home, *others = folders().items()
    for name, folder in others:
        if folder != home[1]:
            place = f"lies in {folder}" if folder else "cannot be found"
            raise Ending(
                f"the package {name!r} {place}, but {home[0]!r} in {home[1]}: another package has that name; "
                "install openai-proxy into an environment of its own",
                MISUSED,
            )
