"""The engine's process: `python -m backends.llama_cpp.child`.

One JSON line on standard input says what to load (`Load`); one JSON line on standard output says how that went
(`Loaded`). Afterwards llama.cpp's server answers on its Unix socket until standard input ends, which it does when
the parent closes it or dies in any way. The child takes the socket and its folder away, as a parent that was killed
cannot.
"""

from __future__ import annotations

import contextlib
import os

from msgspec import Struct

from backends.spawned import Loaded, Parent, outlast_signals


class Load(Struct, frozen=True, kw_only=True):
    """What to load, and where to listen: `socket` is a path in a folder that only this user may enter.

    `context` is tokens a slot; None takes what the model was trained for.
    """

    path: str
    mmproj: str = ""
    socket: str
    key: str
    slots: int
    threads: int
    batch: int
    context: int | None = None
    embedding: bool = False
    chat_template: str = ""
    gpu_layers: int | None = None
    flash_attention: bool | None = None
    cache_type: str = "f16"


def main() -> None:
    parent = Parent()
    load = parent.question(Load)
    loaded = Loaded()
    try:
        server = serve(load)  # noqa: F841 - it stops when the name goes
        outlast_signals()
    except (RuntimeError, ValueError, OSError) as error:
        loaded = Loaded(str(error) or "the engine gave no reason")
    parent.answer(loaded)
    if not loaded.error:
        while parent.said.read(65536):
            pass
    remove(load.socket)
    # Tearing the engine down in order takes as long as the request it is working on; there is nothing to save.
    os._exit(1 if loaded.error else 0)


def remove(socket: str) -> None:
    """Take away the socket and the folder made for it. The parent may do so at the same time."""
    with contextlib.suppress(OSError):
        os.unlink(socket)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(socket))


def serve(load: Load) -> object:
    """A running server; it stops when the object goes."""
    import xllamacpp  # type: ignore[import-untyped]

    parameters = xllamacpp.CommonParams()
    parameters.model.path = load.path
    parameters.mmproj.path = load.mmproj
    parameters.model_alias = ["model"]
    parameters.hostnames = [load.socket]
    parameters.api_keys = [load.key]
    parameters.cors_origins = ""
    parameters.ui = False
    parameters.verbosity = -1
    parameters.warmup = False
    parameters.use_jinja = True
    parameters.prefill_assistant = False
    parameters.cache_ram_mib = 0
    parameters.chat_template = load.chat_template
    parameters.cpuparams.n_threads = load.threads
    parameters.cpuparams_batch.n_threads = load.threads
    _size(parameters, load)
    _place(parameters, load, xllamacpp)
    return xllamacpp.Server(parameters)


def _size(parameters: object, load: Load) -> None:
    sizes = {"n_ctx": (load.context or 0) * load.slots, "n_parallel": load.slots}
    if load.embedding:
        # An embedding needs its whole input in one step.
        length = load.context or 512
        sizes |= {"embedding": True, "n_batch": length, "n_ubatch": length}
    else:
        sizes |= {"n_batch": load.batch, "n_ubatch": load.batch}
    for name, value in sizes.items():
        setattr(parameters, name, value)


def _place(parameters: object, load: Load, xllamacpp: object) -> None:
    flash = getattr(xllamacpp, "llama_flash_attn_type")  # noqa: B009
    cache = getattr(getattr(xllamacpp, "ggml_type"), f"GGML_TYPE_{load.cache_type.upper()}")  # noqa: B009
    places: dict[str, object] = {"cache_type_k": cache, "cache_type_v": cache}
    if load.gpu_layers is not None:
        places["n_gpu_layers"] = load.gpu_layers
    if load.flash_attention is not None:
        word = "ENABLED" if load.flash_attention else "DISABLED"
        places["flash_attn_type"] = getattr(flash, f"LLAMA_FLASH_ATTN_TYPE_{word}")
    for name, value in places.items():
        setattr(parameters, name, value)


if __name__ == "__main__":
    main()
