"""Pictures by any pipeline of Hugging Face's Diffusers, each model in a process of its own."""

from backends.diffusers.backend import Diffusers

__all__ = ["Diffusers"]
