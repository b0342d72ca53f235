"""An Idefics3 of one layer a part with random weights: it looks, quickly, and says nothing.

Its family needs no torchvision. The tokenizer is SmolLM2's with the tokens that frame a picture.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import smollm2
import torch
from gguf_tokenizer import field, tokenizer, write_tokenizer
from tokenizers import AddedToken
from transformers import Idefics3Config, Idefics3ForConditionalGeneration

SEED = 30
# Heads of 32: the engine has kernels for no smaller ones.
HIDDEN, HEADS, INNER = 64, 2, 128
SIDE, PATCH, SCALE = 56, 14, 2
TILES = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
FRAMES = ["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *TILES]
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# One size for every picture, and no tiles: four tokens each.
PICTURES = {
    "image_processor_type": "Idefics3ImageProcessor",
    "do_convert_rgb": True,
    "do_resize": True,
    "size": {"longest_edge": SIDE},
    "max_image_size": {"longest_edge": SIDE},
    "do_image_splitting": False,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "do_pad": True,
}


def make(source: Path, folder: Path) -> None:
    """Write the checkpoint into `folder`; the tokenizer is that of the GGUF `source`."""
    reader = gguf.GGUFReader(source)
    words: list[str] = field(reader, "tokenizer.ggml.tokens")
    made = tokenizer(reader, words)
    made.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in FRAMES])
    write_tokenizer(reader, folder)
    made.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    (folder / "preprocessor_config.json").write_text(json.dumps(PICTURES, indent=1))
    seen = (SIDE // PATCH // SCALE) ** 2
    (folder / "processor_config.json").write_text(
        json.dumps({"processor_class": "Idefics3Processor", "image_seq_len": seen})
    )
    torch.manual_seed(SEED)
    image = made.token_to_id("<image>")
    assert image is not None
    model = Idefics3ForConditionalGeneration(configuration(reader, made.get_vocab_size(), image))
    model.save_pretrained(folder)


def configuration(reader: gguf.GGUFReader, words: int, image: int) -> Idefics3Config:
    """config.json; `words` is the size of the vocabulary, `image` the token that stands for a picture."""
    text: dict[str, Any] = smollm2.configuration(reader) | {
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": 1,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "vocab_size": words,
        "initializer_range": 0.2,
    }
    vision = {
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": 1,
        "num_attention_heads": HEADS,
        "image_size": SIDE,
        "patch_size": PATCH,
        "initializer_range": 0.2,
    }
    return Idefics3Config(
        vision_config=vision,
        text_config=text,
        scale_factor=SCALE,
        image_token_id=image,
        pad_token_id=text["pad_token_id"],
        bos_token_id=text["bos_token_id"],
        eos_token_id=text["eos_token_id"],
        tie_word_embeddings=True,
        initializer_range=0.2,
    )
