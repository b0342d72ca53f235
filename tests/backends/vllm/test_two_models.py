"""Two engines in one server: their figures stand side by side, through a death too, and the log holds no noise."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.backends.conftest import CHAT_ENGINE, ENVIRONMENT
from tests.backends.vllm.conftest import LOADING, configuration
from tests.conftest import servers
from tests.running import Running

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

NAMES = ("first", "second")
NOISE = ("nanobind", "leaked", "Loading safetensors", "FutureWarning", "NUMA", "Triton is not installed", "Traceback")
Samples = dict[tuple[str, str], float]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with servers(tmp_path_factory.mktemp("two")) as start:
        models = dict.fromkeys(NAMES, ("tiny-llama", CHAT_ENGINE))
        yield start(configuration(models), timeout=LOADING, **ENVIRONMENT)


def figures(server: Running) -> Samples:
    """Every sample of an engine's series: by its name and model; buckets and ranks are added up."""
    with urllib.request.urlopen(f"{server.url}/metrics") as answer:
        told = answer.read().decode()
    found: Samples = {}
    for family in text_string_to_metric_families(told):
        for sample in family.samples:
            model = sample.labels.get("model_name", sample.labels.get("model"))
            if model is not None:
                found[sample.name, model] = found.get((sample.name, model), 0.0) + sample.value
    return found


def complete(server: Running, model: str) -> None:
    body = json.dumps({"model": model, "prompt": "Once upon a time", "max_tokens": 20, "ignore_eos": True}).encode()
    request = urllib.request.Request(f"{server.base_url}/completions", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer)["usage"]["completion_tokens"] == 20


def engines(server: Running) -> list[int]:
    """The two engines' main processes, as they were started."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()[1:]]
    return sorted(int(pid) for pid, parent, words in rows if int(parent) == server.pid and "EngineCore" in words)


def test_each_model_has_its_own_figures(server: Running) -> None:
    before = figures(server)
    complete(server, "second")
    after = figures(server)
    assert {name for name, model in after if model == "first"} == {name for name, model in after if model == "second"}

    def more(name: str, model: str) -> float:
        return after[name, model] - before[name, model]

    for name, by in (
        ("openai_proxy_engine_generation_tokens_total", 20),
        ("vllm:generation_tokens_total", 20),
        ("openai_proxy_engine_prompt_tokens_total", 4),
        ("openai_proxy_engine_first_token_seconds_count", 1),
        ("openai_proxy_engine_inter_token_seconds_count", 19),
        ("openai_proxy_engine_queue_seconds_count", 1),
        ("openai_proxy_engine_prefix_cache_queried_tokens_total", 4),
        ("openai_proxy_engine_prefix_cache_hit_tokens_total", 0),
        ("vllm:request_success_total", 1),
    ):
        assert more(name, "second") == pytest.approx(by), name
        assert more(name, "first") == 0, name
    assert 0 < more("openai_proxy_engine_first_token_seconds_sum", "second") < 60


def test_a_death_takes_no_figure_away(server: Running) -> None:
    before = figures(server)
    victim = engines(server)[0]
    os.kill(victim, signal.SIGKILL)
    end = time.monotonic() + 10
    while server.status("/readyz") == 200:
        assert time.monotonic() < end
        time.sleep(0.1)
    during = figures(server)
    assert during.keys() == before.keys()
    server.wait_for("/readyz", LOADING)
    after = figures(server)
    assert after.keys() == before.keys()
    grown = [name for name in before if name[0].endswith(("_total", "_count", "_bucket"))]
    assert all(before[name] <= during[name] <= after[name] for name in grown)
    for model in NAMES:
        complete(server, model)


def test_the_log_holds_no_noise(server: Running) -> None:
    assert server.stop(signal.SIGTERM, timeout=60) == 0
    # The death above was an error, and is told as one.
    said = server.log.read_text().splitlines()
    assert any("restarts" in line for line in said)
    quiet = [line for line in said if '"level":"error"' not in line]
    assert [line for line in quiet if any(word in line for word in NOISE)] == []
