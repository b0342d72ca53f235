"""What engines share that make speech in threads of this process. It knows none of them."""

from backends.speaking.packaged import LoadFailed
from backends.speaking.speaker import Engine, Said, Speaker

__all__ = ["Engine", "LoadFailed", "Said", "Speaker"]
