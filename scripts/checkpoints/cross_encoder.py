"""A BERT of two layers with random weights and MiniLM's tokenizer, that reads pairs: its scores mean nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import minilm
import numpy as np
from safetensors.numpy import save_file
from tiny_llama import HEADS, HIDDEN, INNER

LAYERS = 2
SEED = 21
# Wide enough for pairs to get scores that differ.
SPREAD = 0.3
SIZES: dict[str, Any] = {
    "vocab_size": 30522,
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": INNER,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
}
CONFIG: dict[str, Any] = SIZES | {
    "architectures": ["BertForSequenceClassification"],
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
    "id2label": {"0": "LABEL_0"},
    "label2id": {"LABEL_0": 0},
    "torch_dtype": "float32",
}


def make(source: Path, folder: Path) -> None:
    """Write the checkpoint into `folder`; the tokenizer is that of the file `source`."""
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=1))
    minilm.write_tokenizer(source, folder)
    draw = np.random.default_rng(SEED)
    tensors = {}
    for name, shape in shapes().items():
        values = draw.normal(0, SPREAD, shape) if len(shape) > 1 else np.full(shape, float("LayerNorm.weight" in name))
        tensors[name] = values.astype(np.float32)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def shapes() -> dict[str, tuple[int, ...]]:
    """Every tensor by its name."""
    found: dict[str, tuple[int, ...]] = {
        "bert.embeddings.word_embeddings.weight": (SIZES["vocab_size"], HIDDEN),
        "bert.embeddings.position_embeddings.weight": (SIZES["max_position_embeddings"], HIDDEN),
        "bert.embeddings.token_type_embeddings.weight": (SIZES["type_vocab_size"], HIDDEN),
        **norm("bert.embeddings.LayerNorm"),
        **linear("bert.pooler.dense", HIDDEN, HIDDEN),
        **linear("classifier", 1, HIDDEN),
    }
    for number in range(LAYERS):
        layer = f"bert.encoder.layer.{number}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            found |= linear(f"{layer}.attention.{part}", HIDDEN, HIDDEN)
        found |= norm(f"{layer}.attention.output.LayerNorm") | norm(f"{layer}.output.LayerNorm")
        found |= linear(f"{layer}.intermediate.dense", INNER, HIDDEN) | linear(f"{layer}.output.dense", HIDDEN, INNER)
    return found


def linear(name: str, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}


def norm(name: str) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (HIDDEN,), f"{name}.bias": (HIDDEN,)}
