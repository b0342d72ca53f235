"""Pictures: encoded bytes in, upright RGB pixels out, and back. Knows neither HTTP nor engines."""

from vision.kinds import is_picture
from vision.picture import MEDIA_TYPES, BadPicture, Limits, Pixels, Seen, alpha, inspect, load, load_soon, soon
from vision.writing import FORMATS, Written, blank, png, unpacked, written

__all__ = [
    "FORMATS",
    "MEDIA_TYPES",
    "BadPicture",
    "Limits",
    "Pixels",
    "Seen",
    "Written",
    "alpha",
    "blank",
    "inspect",
    "is_picture",
    "load",
    "load_soon",
    "png",
    "soon",
    "unpacked",
    "written",
]
