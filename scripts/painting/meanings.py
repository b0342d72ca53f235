"""What words mean, without a language model at hand later: each word alone as all-MiniLM-L6-v2 has it, in 96 columns.

Only words are kept: those of the captions, and the most common of English as the model's own vocabulary has them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

WORD = 96
COMMON = 11_000
BATCH = 512
KNOWN = re.compile(r"[a-z]{2,}|[a-z]")


class Encoder:
    """all-MiniLM-L6-v2 from its safetensors and its vocabulary."""

    def __init__(self, folder: Path) -> None:
        self.tensors = load_file(folder / "model.safetensors")
        config = json.loads((folder / "config.json").read_text())
        self.layers, self.heads = config["num_hidden_layers"], config["num_attention_heads"]
        pieces = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
        self.numbers = {piece: number for number, piece in enumerate(pieces)}

    def pieces(self, word: str) -> list[int]:
        """WordPiece: the longest piece first."""
        found, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = ("##" if start else "") + word[start:end]
                if piece in self.numbers:
                    found.append(self.numbers[piece])
                    start = end
                    break
            else:
                return [self.numbers["[UNK]"]]
        return found

    def vectors(self, texts: list[str]) -> Tensor:
        """[texts, 384], of length 1."""
        rows = [[101, *(piece for word in text.split() for piece in self.pieces(word)), 102] for text in texts]
        longest = max(map(len, rows))
        tokens = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
        there = torch.tensor([[1.0] * len(row) + [0.0] * (longest - len(row)) for row in rows])
        hidden = self._normal("embeddings.LayerNorm", self._embedded(tokens))
        for layer in range(self.layers):
            hidden = self._layer(f"encoder.layer.{layer}.", hidden, there)
        mean = (hidden * there[..., None]).sum(1) / there.sum(1, keepdim=True)
        return functional.normalize(mean)

    def _embedded(self, tokens: Tensor) -> Tensor:
        table = "embeddings.{}_embeddings.weight"
        words = self.tensors[table.format("word")][tokens]
        places = self.tensors[table.format("position")][: tokens.shape[1]]
        return words + places + self.tensors[table.format("token_type")][0]

    def _layer(self, name: str, hidden: Tensor, there: Tensor) -> Tensor:
        rows, length, width = hidden.shape
        shape = (rows, length, self.heads, width // self.heads)
        query, key, value = (
            self._linear(f"{name}attention.self.{each}", hidden).view(shape).transpose(1, 2)
            for each in ("query", "key", "value")
        )
        mask = (there[:, None, None] - 1) * 1e4
        mixed = functional.scaled_dot_product_attention(query, key, value, mask).transpose(1, 2).flatten(2)
        mixed = self._linear(f"{name}attention.output.dense", mixed)
        hidden = self._normal(f"{name}attention.output.LayerNorm", hidden + mixed)
        wide = functional.gelu(self._linear(f"{name}intermediate.dense", hidden))
        return self._normal(f"{name}output.LayerNorm", hidden + self._linear(f"{name}output.dense", wide))

    def _linear(self, name: str, given: Tensor) -> Tensor:
        return functional.linear(given, self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"])

    def _normal(self, name: str, given: Tensor) -> Tensor:
        size = (given.shape[-1],)
        return functional.layer_norm(given, size, self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"], 1e-12)


def vocabulary(wanted: set[str], pieces: dict[str, int]) -> list[str]:
    """The wanted words first, in order; then common ones."""
    common = [piece for piece in pieces if KNOWN.fullmatch(piece)]
    return sorted(wanted) + [word for word in common if word not in wanted][:COMMON]


@torch.no_grad()
def table(words: list[str], encoder: Encoder) -> np.ndarray[Any, np.dtype[np.float32]]:
    """[words, 96]: the main components of the vectors, of mean length 1."""
    vectors = torch.cat([encoder.vectors(words[start : start + BATCH]) for start in range(0, len(words), BATCH)])
    vectors = vectors - vectors.mean(0)
    _, _, directions = torch.linalg.svd(vectors, full_matrices=False)
    columns = vectors @ directions[:WORD].T
    found: np.ndarray[Any, np.dtype[np.float32]] = (columns / columns.norm(dim=1).mean()).numpy().astype(np.float32)
    return found
