"""Engines that block, each in a process of its own: its imports, its work and its death hold up nobody else.

The server's side is `Workshop`, which asks, mostly for a backend that is a `Resident`; the engine's side is a class
that is named "module:Class" and answers.
"""

from backends.workshop.resident import Resident
from backends.workshop.work import Asked
from backends.workshop.workshop import Workshop

__all__ = ["Asked", "Resident", "Workshop"]
