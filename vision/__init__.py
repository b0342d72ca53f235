"""Pictures: encoded bytes in, upright RGB pixels out. Knows neither HTTP nor engines."""

from vision.picture import MEDIA_TYPES, BadPicture, Limits, Seen, inspect, load, load_soon

__all__ = ["MEDIA_TYPES", "BadPicture", "Limits", "Seen", "inspect", "load", "load_soon"]
