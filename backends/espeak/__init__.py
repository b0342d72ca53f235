"""espeak-ng where the user installed it: over a hundred languages, a voice like a robot's. Never a part of this server:
it is GPL-3, and run as a program of its own."""

from backends.espeak.backend import Espeak

__all__ = ["Espeak"]
