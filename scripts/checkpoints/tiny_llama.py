"""A Llama of one layer with random weights and SmolLM2's tokenizer: it says nothing, quickly."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import smollm2
from gguf_tokenizer import write_tokenizer
from safetensors.numpy import save_file

# Heads of 32: the engine has kernels for no smaller ones.
HIDDEN, HEADS, INNER = 64, 2, 128
SEED = 20


def make(source: Path, folder: Path) -> None:
    """Write the checkpoint into `folder`; the tokenizer is that of the GGUF `source`."""
    reader = gguf.GGUFReader(source)
    config = smollm2.configuration(reader) | {
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": 1,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    write_tokenizer(reader, folder)
    draw = np.random.default_rng(SEED)
    shapes = {smollm2.renamed(f"blk.0.{part}.weight"): shape for part, shape in layer().items()}
    shapes |= {"model.embed_tokens.weight": (config["vocab_size"], HIDDEN), "model.norm.weight": (HIDDEN,)}
    tensors = {name: tensor(draw, shape) for name, shape in shapes.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def layer() -> dict[str, tuple[int, ...]]:
    """The shapes of one layer, by llama.cpp's names."""
    attention = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (HIDDEN, HIDDEN))
    norms = dict.fromkeys(("attn_norm", "ffn_norm"), (HIDDEN,))
    return {**attention, **norms, "ffn_gate": (INNER, HIDDEN), "ffn_up": (INNER, HIDDEN), "ffn_down": (HIDDEN, INNER)}


def tensor(draw: np.random.Generator, shape: tuple[int, ...]) -> smollm2.Array:
    """Small random numbers; ones for a norm."""
    if len(shape) == 1:
        return np.ones(shape, np.float16)
    return draw.normal(0, 0.05, shape).astype(np.float16)
