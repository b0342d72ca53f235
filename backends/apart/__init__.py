"""Files that nobody vouches for, decoded in processes of their own that may use little and are killed at the end.

A process that has all of it loaded forks them (`nursery`); there is one for sounds and one for pictures, which starts
with the first of them. One child always waits, so that a short sound does not. Nothing is written to disk.
"""

from backends.apart.asker import NoDecoder
from backends.apart.pictures import Made, Shown, keep, shown_soon
from backends.apart.sounds import pieces_soon, warm

__all__ = ["Made", "NoDecoder", "Shown", "keep", "pieces_soon", "shown_soon", "warm"]
