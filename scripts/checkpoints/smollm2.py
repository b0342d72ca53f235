"""SmolLM2 135M Instruct: the packaged GGUF, its weights made numbers again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeAlias

import gguf
import numpy as np
from gguf_tokenizer import field, write_tokenizer
from safetensors.numpy import save_file

Array: TypeAlias = np.ndarray[Any, Any]

LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
WHOLE = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}


def make(source: Path, folder: Path) -> None:
    """Write the checkpoint of the GGUF `source` into `folder`."""
    reader = gguf.GGUFReader(source)
    config = configuration(reader)
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    generation = {"bos_token_id": config["bos_token_id"], "eos_token_id": config["eos_token_id"]}
    (folder / "generation_config.json").write_text(json.dumps(generation))
    write_tokenizer(reader, folder)
    tensors = {renamed(tensor.name): weights(tensor, config) for tensor in reader.tensors}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def configuration(reader: gguf.GGUFReader) -> dict[str, Any]:
    """config.json."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": field(reader, "llama.embedding_length"),
        "intermediate_size": field(reader, "llama.feed_forward_length"),
        "num_hidden_layers": field(reader, "llama.block_count"),
        "num_attention_heads": field(reader, "llama.attention.head_count"),
        "num_key_value_heads": field(reader, "llama.attention.head_count_kv"),
        "max_position_embeddings": field(reader, "llama.context_length"),
        "rms_norm_eps": field(reader, "llama.attention.layer_norm_rms_epsilon"),
        "rope_theta": field(reader, "llama.rope.freq_base"),
        "vocab_size": field(reader, "llama.vocab_size"),
        "bos_token_id": field(reader, "tokenizer.ggml.bos_token_id"),
        "eos_token_id": field(reader, "tokenizer.ggml.eos_token_id"),
        "pad_token_id": field(reader, "tokenizer.ggml.padding_token_id"),
        "tie_word_embeddings": True,
        "torch_dtype": "float16",
    }


def renamed(name: str) -> str:
    """Hugging Face's name of a tensor. Raises KeyError for one this model does not have."""
    if name in WHOLE:
        return WHOLE[name]
    _, layer, part, _ = name.split(".")
    return f"model.layers.{layer}.{LAYER[part]}.weight"


def weights(tensor: gguf.ReaderTensor, config: dict[str, Any]) -> Array:
    """The tensor as float16, with the rows of queries and keys in Hugging Face's order."""
    values: Array = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float16)
    if ".attn_q." in tensor.name:
        return unpermuted(values, config["num_attention_heads"])
    if ".attn_k." in tensor.name:
        return unpermuted(values, config["num_key_value_heads"])
    return values


def unpermuted(values: Array, heads: int) -> Array:
    """llama.cpp stores the two halves of each head's rotation interleaved."""
    rows, columns = values.shape
    pairs = values.reshape(heads, rows // heads // 2, 2, columns)
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(rows, columns))
