"""Pictures: encoded bytes in, upright RGB pixels out, and back. Knows neither HTTP nor engines."""

from vision.picture import MEDIA_TYPES, BadPicture, Limits, Pixels, Seen, alpha, inspect, load, load_soon, soon
from vision.writing import FORMATS, Written, blank, png, written

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
    "load",
    "load_soon",
    "png",
    "soon",
    "written",
]
