"""The tokenizer and the chat template that a GGUF of SmolLM2's family carries, as Hugging Face files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

CONTROL = gguf.TokenType.CONTROL


def field(reader: gguf.GGUFReader, name: str) -> Any:
    """A value of the file's head. Raises KeyError."""
    return reader.fields[name].contents()


def write_tokenizer(reader: gguf.GGUFReader, folder: Path) -> None:
    """tokenizer.json, tokenizer_config.json and the template. Raises ValueError for another kind of tokenizer."""
    if field(reader, "tokenizer.ggml.pre") != "smollm":
        raise ValueError("this GGUF has a tokenizer of another family")
    words: list[str] = field(reader, "tokenizer.ggml.tokens")
    tokenizer(reader, words).save(str(folder / "tokenizer.json"))
    named = {name: words[field(reader, f"tokenizer.ggml.{name}_token_id")] for name in ("bos", "eos", "unknown")}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": named["bos"],
        "eos_token": named["eos"],
        "unk_token": named["unknown"],
        "pad_token": named["eos"],
        "clean_up_tokenization_spaces": False,
        "model_max_length": field(reader, "llama.context_length"),
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1))
    (folder / "chat_template.jinja").write_text(field(reader, "tokenizer.chat_template"))


def tokenizer(reader: gguf.GGUFReader, words: list[str]) -> Tokenizer:
    """Byte-level BPE in which every digit stands alone."""
    merges = [tuple(merge.split(" ")) for merge in field(reader, "tokenizer.ggml.merges")]
    made = Tokenizer(models.BPE(vocab={word: number for number, word in enumerate(words)}, merges=merges))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.decoder = decoders.ByteLevel()
    kinds = field(reader, "tokenizer.ggml.token_type")
    special = [word for word, kind in zip(words, kinds, strict=True) if kind == CONTROL]
    made.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in special])
    return made
