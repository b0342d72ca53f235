"""A projector of one layer with random weights, for models of any width: it looks at a picture as at four tokens.

Its family is Gemma 3's, of which llama.cpp shrinks every picture to one square. What it sees means nothing.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

# Pixels of the square, of a patch of it, and patches that become one token, each way.
SIDE, PATCH, MERGED = 64, 16, 2
TOKENS = (SIDE // PATCH // MERGED) ** 2
WIDTH, HEADS, INNER = 64, 2, 128
SEED = 40


def make(file: Path, width: int) -> None:
    """Write the GGUF for a model whose embeddings have so many columns."""
    writer = gguf.GGUFWriter(file, "clip")
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type(gguf.VisionProjectorType.GEMMA3)
    writer.add_vision_use_gelu(True)
    writer.add_vision_image_size(SIDE)
    writer.add_vision_patch_size(PATCH)
    writer.add_vision_projector_scale_factor(MERGED)
    writer.add_vision_projection_dim(width)
    writer.add_vision_embedding_length(WIDTH)
    writer.add_vision_feed_forward_length(INNER)
    writer.add_vision_block_count(1)
    writer.add_vision_head_count(HEADS)
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_image_mean([0.5, 0.5, 0.5])
    writer.add_vision_image_std([0.5, 0.5, 0.5])
    draw = np.random.default_rng(SEED)
    for name, shape in _shapes(width).items():
        kind = np.float32 if len(shape) == 1 or "position" in name else np.float16
        ones = name.endswith("weight") and len(shape) == 1
        writer.add_tensor(name, np.ones(shape, kind) if ones else draw.normal(0, 0.2, shape).astype(kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _shapes(width: int) -> dict[str, tuple[int, ...]]:
    layer: dict[str, tuple[int, ...]] = {f"attn_{part}.weight": (WIDTH, WIDTH) for part in ("q", "k", "v", "out")}
    layer |= {f"attn_{part}.bias": (WIDTH,) for part in ("q", "k", "v", "out")}
    layer |= {f"{norm}.{part}": (WIDTH,) for norm in ("ln1", "ln2") for part in ("weight", "bias")}
    layer |= {"ffn_up.weight": (INNER, WIDTH), "ffn_up.bias": (INNER,)}
    layer |= {"ffn_down.weight": (WIDTH, INNER), "ffn_down.bias": (WIDTH,)}
    return {
        "v.patch_embd.weight": (WIDTH, 3, PATCH, PATCH),
        "v.patch_embd.bias": (WIDTH,),
        "v.position_embd.weight": ((SIDE // PATCH) ** 2, WIDTH),
        "v.post_ln.weight": (WIDTH,),
        "v.post_ln.bias": (WIDTH,),
        "mm.soft_emb_norm.weight": (WIDTH,),
        "mm.input_projection.weight": (WIDTH, width),
        **{f"v.blk.0.{name}": shape for name, shape in layer.items()},
    }
