"""Pictures as emoji are, by a small model of our own that needs no GPU."""

from backends.emoji.backend import Emoji

__all__ = ["Emoji"]
