"""all-MiniLM-L6-v2: the packaged files, with what tells a sentence encoder how to pool."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from transformers import BertTokenizer

MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]
POOLING = {"word_embedding_dimension": 384, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
LENGTH = {"max_seq_length": 512, "do_lower_case": False}


def make(source: Path, folder: Path) -> None:
    """Write the checkpoint into `folder`; `source` is a file beside the packaged ones."""
    for name in ("model.safetensors", "config.json"):
        shutil.copyfile(source.parent / name, folder / name)
    write_tokenizer(source, folder)
    (folder / "modules.json").write_text(json.dumps(MODULES))
    (folder / "sentence_bert_config.json").write_text(json.dumps(LENGTH))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(POOLING))


def write_tokenizer(source: Path, folder: Path) -> None:
    """The tokenizer's files."""
    words = (source.parent / "vocab.txt").read_text(encoding="utf-8").splitlines()
    vocabulary = {word: number for number, word in enumerate(words)}
    BertTokenizer(vocab=vocabulary, do_lower_case=True, model_max_length=512).save_pretrained(folder)
