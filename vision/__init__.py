"""Pictures: encoded bytes in, upright RGB pixels out, and back. Knows neither HTTP nor engines."""

from vision.kinds import is_picture
from vision.picture import MEDIA_TYPES, BadPicture, Limits, Pixels, Seen, alpha, fitted, inspect, load, over_white, soon
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
    "fitted",
    "inspect",
    "is_picture",
    "load",
    "over_white",
    "png",
    "soon",
    "unpacked",
    "written",
]
