"""What engines share that make speech, each in a process of its own. It knows none of them."""

from backends.speaking.engine import Engine, Phrase
from backends.speaking.speaker import Speaker

__all__ = ["Engine", "Phrase", "Speaker"]
