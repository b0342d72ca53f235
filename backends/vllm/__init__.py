"""Hugging Face models, by vLLM's engine in this process: CUDA hosts, or any host with its CPU build."""

from backends.vllm.backend import Vllm

__all__ = ["Vllm"]
