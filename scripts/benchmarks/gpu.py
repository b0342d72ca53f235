"""What only a CUDA machine can show: throughput beside vLLM's own server, memory that sleep gives back, several cards.

Needs `scripts/install cuda`. Servers under comparison share the first card.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvloop
from beside import compare
from load import connect, post
from pinned import Pinned
from rivals import TOKENS, chat, ours, ready, written

# Three engines side by side, and room for what CUDA itself takes.
SHARE = 0.28
ENGINE: dict[str, Any] = {"max_model_len": 2048, "max_num_seqs": 256, "gpu_memory_utilization": SHARE}
# What sleep may leave on the card of what the engine had taken.
LEFT_ASLEEP = 0.25


def cards() -> list[int]:
    """MB in use on each card; empty without an NVIDIA driver."""
    if shutil.which("nvidia-smi") is None:
        return []
    asked = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    return [int(line) for line in subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()]


def checkpoint(folder: Path) -> str:
    """A made model, for when no real one is given."""
    script = Path(__file__).parents[1] / "checkpoints" / "make.py"
    subprocess.run([sys.executable, str(script), str(folder), "smollm2"], check=True)
    return str(folder / "smollm2")


def sleeps(model: str) -> bool:
    """Whether the card's memory returns when the model sleeps, and the same answer comes after it woke."""
    engine = {**ENGINE, "gpu_memory_utilization": 0.5, "enable_sleep_mode": True}
    before = cards()[0]
    with tempfile.TemporaryDirectory() as folder:
        server = ours(model, engine, Path(folder), "sleep", 0.02)
        try:
            uvloop.run(ready(server))
            first, awake = uvloop.run(answered(server)), cards()[0] - before
            state = uvloop.run(command(server, "sleep"))
            asleep = cards()[0] - before
            uvloop.run(command(server, "wake"))
            same = uvloop.run(answered(server)) == first
        finally:
            server.stop()
    print(f"sleep: {awake} MB awake, {asleep} MB {state}; {'the same' if same else 'ANOTHER'} answer after waking")
    return same and asleep <= awake * LEFT_ASLEEP


def parallel(model: str, count: int) -> bool:
    """Whether a model spread over `count` cards answers."""
    engine = {**ENGINE, "gpu_memory_utilization": 0.5, "tensor_parallel_size": count}
    with tempfile.TemporaryDirectory() as folder:
        server = ours(model, engine, Path(folder), "parallel", 0.02)
        try:
            uvloop.run(ready(server))
        finally:
            server.stop()
    print(f"tensor parallel over {count} cards: answers {TOKENS} tokens")
    return True


async def answered(server: Pinned) -> list[str]:
    """The text of a chat at temperature 0, in pieces."""
    [client] = await connect(server.port, 1)
    answer = await client.ask(chat(1))
    client.transport.close()
    assert written(answer) == TOKENS
    chunks: list[Mapping[str, Any]] = [json.loads(event) for event in answer.events()[:-1]]
    return ["".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])]


async def command(server: Pinned, verb: str) -> str:
    """Have the operator's API do something with the model; the state that the model then has."""
    [client] = await connect(server.port, 1)
    answer = await client.ask(post(f"/admin/models/m/{verb}", b""))
    client.transport.close()
    if not answer.succeeded():
        raise SystemExit(f"{verb}: {answer.raw.decode()[-300:]}")
    return str(json.loads(answer.raw.partition(b"\r\n\r\n")[2])["state"])


def main() -> int:
    """Measure and print; 1 when something is not as it must be, 2 without a card."""
    parser = argparse.ArgumentParser(prog="scripts/gpu_check", description=__doc__)
    parser.add_argument("model", nargs="?", help="a folder or organisation/name; absent: a small made one")
    parser.add_argument("--widths", type=int, nargs="+", default=[1, 64, 256], metavar="N", help="streams at once")
    parser.add_argument("--rounds", type=int, default=7, metavar="N")
    arguments = parser.parse_args()
    found = cards()
    if not found:
        print("gpu_check: no NVIDIA card here", file=sys.stderr)
        return 2
    # Measured where nobody waits for a download.
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or checkpoint(Path(folder))
        failed = compare(model, ENGINE, arguments.widths, arguments.rounds, as_json=False)
        failed += not sleeps(model)
        if len(found) > 1:
            failed += not parallel(model, 2)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
