"""Pipelines of Diffusers with random weights: what they draw means nothing, but depends on every word and number.

`tiny-diffusion` is of Stable Diffusion's family, `tiny-flux` of FLUX's, and `tiny-pixart` of PixArt's, which draws from
words alone.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

SEED = 41
WIDTH, HEADS, LONGEST = 32, 2, 77
START, END = "<|startoftext|>", "<|endoftext|>"


def make(source: Path, folder: Path) -> None:
    """Stable Diffusion: a UNet, of which text changes what an image changes. Nothing is taken from `source`."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    _seed()
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=32,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=HEADS,
        norm_num_groups=8,
    )
    StableDiffusionPipeline(
        vae=_vae(4),
        text_encoder=_clip(),
        tokenizer=_letters(),
        unet=unet,
        scheduler=DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)


def make_flux(source: Path, folder: Path) -> None:
    """FLUX: a transformer that sees patches of latents in a row."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    _seed()
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=HEADS,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=True,
    )
    FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_vae(4),
        text_encoder=_clip(),
        tokenizer=_letters(),
        text_encoder_2=_t5(),
        tokenizer_2=_pieces(),
        transformer=transformer,
    ).save_pretrained(folder)


def make_pixart(source: Path, folder: Path) -> None:
    """PixArt: the same without any way to begin with a picture."""
    from diffusers import DPMSolverMultistepScheduler, PixArtAlphaPipeline, PixArtTransformer2DModel

    _seed()
    transformer = PixArtTransformer2DModel(
        sample_size=32,
        num_layers=1,
        patch_size=2,
        attention_head_dim=16,
        num_attention_heads=HEADS,
        caption_channels=WIDTH,
        in_channels=4,
        out_channels=8,
        cross_attention_dim=HEADS * 16,
        use_additional_conditions=False,
    )
    PixArtAlphaPipeline(
        tokenizer=_pieces(),
        text_encoder=_t5(),
        vae=_vae(4),
        transformer=transformer,
        scheduler=DPMSolverMultistepScheduler(),
    ).save_pretrained(folder)


def _seed() -> None:
    import torch

    torch.manual_seed(SEED)


def _vae(channels: int) -> Any:
    """Of a scale of 2."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=[32, 64],
        in_channels=3,
        out_channels=3,
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=channels,
        norm_num_groups=8,
        shift_factor=0.1,
        scaling_factor=0.5,
    )


def _clip() -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    words = _vocabulary()
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=WIDTH,
        projection_dim=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        max_position_embeddings=LONGEST,
        bos_token_id=words[START],
        eos_token_id=words[END],
        pad_token_id=words[END],
        initializer_range=0.5,
    )
    return CLIPTextModel(config)


def _vocabulary() -> dict[str, int]:
    """Each letter as a token, inside a word and at its end."""
    letters = [*string.ascii_lowercase, *string.digits, *string.punctuation]
    words = [*letters, *(f"{letter}</w>" for letter in letters), START, END]
    return {word: number for number, word in enumerate(words)}


def _letters() -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer(vocab=_vocabulary(), merges=[], model_max_length=LONGEST)


def _t5() -> Any:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=128, d_model=WIDTH, d_kv=16, d_ff=2 * WIDTH, num_layers=2, num_heads=HEADS, initializer_factor=5.0
    )
    return T5EncoderModel(config)


def _pieces() -> Any:
    from transformers import T5Tokenizer

    letters = [*string.ascii_lowercase, *string.digits, *string.punctuation]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((letter, -3.0) for letter in letters)]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=LONGEST)
