"""A BERT sentence encoder's safetensors -> GGUF: `python -m backends.llama_cpp.bert_gguf FOLDER FILE`.

FOLDER holds model.safetensors, config.json and vocab.txt. Matrices are stored as float16; vectors and the tables of
positions and token types stay float32. The safetensors header is read by hand: it is a length and JSON, and reading
it takes fewer lines than naming another dependency would.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np

TABLES = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.LayerNorm": "token_embd_norm",
}
LAYER = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
SINGLE = ("position_embd.weight", "token_types.weight")
WORD_START = "\u2581"


def main(folder: Path, target: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    writer = gguf.GGUFWriter(target, "bert")
    _describe(writer, config)
    _vocabulary(writer, (folder / "vocab.txt").read_text(encoding="utf-8").splitlines())
    for name, values in _tensors(folder / "model.safetensors"):
        new = _renamed(name, config["num_hidden_layers"])
        if new is not None:
            matrix = values.ndim == 2 and new not in SINGLE
            writer.add_tensor(new, values.astype(np.float16 if matrix else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    writer.add_name("all-MiniLM-L6-v2")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def _vocabulary(writer: gguf.GGUFWriter, words: list[str]) -> None:
    special = [word.startswith("[") and word.endswith("]") for word in words]
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([word if mark else _piece(word) for word, mark in zip(words, special, strict=True)])
    writer.add_token_types([gguf.TokenType.CONTROL if mark else gguf.TokenType.NORMAL for mark in special])
    writer.add_token_type_count(2)
    at = words.index
    writer.add_bos_token_id(at("[CLS]"))
    writer.add_eos_token_id(at("[SEP]"))
    writer.add_sep_token_id(at("[SEP]"))
    writer.add_unk_token_id(at("[UNK]"))
    writer.add_pad_token_id(at("[PAD]"))
    writer.add_uint32("tokenizer.ggml.cls_token_id", at("[CLS]"))
    writer.add_mask_token_id(at("[MASK]"))


def _piece(word: str) -> str:
    return word[2:] if word.startswith("##") else WORD_START + word


def _tensors(path: Path) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        for name, entry in header.items():
            if name == "__metadata__" or entry["dtype"] != "F32":
                continue
            begin, end = entry["data_offsets"]
            file.seek(8 + length + begin)
            yield name.removeprefix("bert."), np.frombuffer(file.read(end - begin), "<f4").reshape(entry["shape"])


def _renamed(name: str, layers: int) -> str | None:
    """llama.cpp's name of a tensor; None for what it does not need (the pooler)."""
    if name in TABLES:
        return TABLES[name]
    stem, _, kind = name.rpartition(".")
    if stem in TABLES:
        return f"{TABLES[stem]}.{kind}"
    for layer in range(layers):
        rest = stem.removeprefix(f"encoder.layer.{layer}.")
        if rest != stem and rest in LAYER:
            return f"blk.{layer}.{LAYER[rest]}.{kind}"
    return None


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
