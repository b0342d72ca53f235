"""How a picture looks before it is finished: what the sampler has of it by now, decoded by the model's own VAE."""

from __future__ import annotations

from typing import Any


def preview(torch: Any, pipeline: Any, latents: Any, width: int, height: int) -> Any:
    """The pictures of latents in the middle of the work, as Pillow has them. Raises whatever the pipeline does.

    This is the end of a pipeline's call, which has no name of its own there.
    """
    vae = pipeline.vae
    if latents.ndim == 3:  # FLUX and its kin keep patches in a row
        latents = pipeline._unpack_latents(latents, height, width, pipeline.vae_scale_factor)
    latents = _unscaled(torch, vae.config, latents)
    overflows = vae.dtype == torch.float16 and bool(vae.config.get("force_upcast"))
    if overflows:
        vae.to(dtype=torch.float32)
    try:
        decoded = vae.decode(latents.to(vae.dtype), return_dict=False)[0]
    finally:
        if overflows:
            vae.to(dtype=torch.float16)
    if decoded.ndim == 5:  # films of one picture
        decoded = decoded[:, :, 0]
    return pipeline.image_processor.postprocess(decoded.detach(), output_type="pil")


def _unscaled(torch: Any, config: Any, latents: Any) -> Any:
    scale = config.get("scaling_factor") or 1.0
    mean, spread = config.get("latents_mean"), config.get("latents_std")
    if mean is None or spread is None:
        return latents / scale + (config.get("shift_factor") or 0.0)
    shape = (1, len(mean)) + (1,) * (latents.ndim - 2)
    mean, spread = (
        torch.tensor(each, device=latents.device, dtype=latents.dtype).view(shape) for each in (mean, spread)
    )
    return latents * spread / scale + mean
