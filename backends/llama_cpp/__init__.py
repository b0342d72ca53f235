"""GGUF models, by llama.cpp's server in a child process of ours."""

from backends.llama_cpp.backend import LlamaCpp

__all__ = ["LlamaCpp"]
