"""A Whisper of one layer a part with random weights: it listens, quickly, and understands nothing.

The tokenizer is SmolLM2's words with Whisper's special tokens after them, in Whisper's order: times come last.
"""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import torch
from gguf_tokenizer import field, tokenizer
from tokenizers import AddedToken
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration
from transformers.models.whisper.tokenization_whisper import LANGUAGES

SEED = 31
# Heads of 32: the engine has kernels for no smaller ones.
WIDTH, HEADS, INNER = 64, 2, 128
MELS, SECONDS, LONGEST = 80, 30, 96
END = "<|endoftext|>"
TASKS = ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]


def make(source: Path, folder: Path) -> None:
    """Write the checkpoint into `folder`; the words are those of the GGUF `source`."""
    reader = gguf.GGUFReader(source)
    words: list[str] = field(reader, "tokenizer.ggml.tokens")
    made = tokenizer(reader, words)
    marks = ["<|startoftranscript|>", *(f"<|{language}|>" for language in LANGUAGES), *TASKS]
    times = [f"<|{step * 0.02:.2f}|>" for step in range(SECONDS * 50 + 1)]
    made.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    made.add_tokens([AddedToken(time, special=False, normalized=False) for time in times])
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": END, "eos_token": END, "pad_token": END})
    )
    WhisperFeatureExtractor(feature_size=MELS, chunk_length=SECONDS).save_pretrained(folder)
    torch.manual_seed(SEED)
    identity = made.token_to_id
    config = WhisperConfig(
        vocab_size=made.get_vocab_size(),
        num_mel_bins=MELS,
        d_model=WIDTH,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=INNER,
        decoder_ffn_dim=INNER,
        max_source_positions=SECONDS * 50,
        max_target_positions=LONGEST,
        init_std=0.2,
        decoder_start_token_id=identity("<|startoftranscript|>"),
        bos_token_id=identity(END),
        eos_token_id=identity(END),
        pad_token_id=identity(END),
    )
    WhisperForConditionalGeneration(config).save_pretrained(folder)
