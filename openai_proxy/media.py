"""Pictures and sounds as they arrive -> parts of a request. Looks at no more than their heads: engines decode them.

No address is fetched here: `fetching` does that.
"""

from __future__ import annotations

import binascii
import re
import urllib.parse
from collections.abc import Sequence

import pybase64

import audio
import vision
from backends.errors import BadAudio, BadImage, Refused
from backends.requests import Audio, Image
from openai_proxy.config import Limits

DATA_URL = re.compile(r"\s*data:[\w.+/-]*(?:;[\w.+-]+=[\w.+-]*)*;base64,", re.ASCII | re.IGNORECASE)
ADDRESS = re.compile(r"\s*(?!data:)[a-z][a-z0-9+.-]*:", re.ASCII | re.IGNORECASE)
# A head that is longer is none of a data URL's.
SHORT_HEAD = 200


def from_url(url: str, param: str, error: type[Refused] = BadImage) -> bytes:
    """What a data URL (RFC 2397, base64) holds. Raises `error`."""
    url = unwrapped(url)
    head = DATA_URL.match(url[:SHORT_HEAD])
    if head is not None:
        text = url[head.end() :]
        try:
            return from_base64(text, param, error)
        except error:
            return from_base64(_plain(text), param, error)
    kind = "image/png" if error is BadImage else "audio/wav"
    raise error(f"{param} must be a data URL with base64: data:{kind};base64,...", param=param)


def _plain(text: str) -> str:
    """Base64 that a browser would take too: broken into lines, without its padding, escaped as other URLs are."""
    plain = "".join(urllib.parse.unquote(text).split())
    return plain + "=" * (-len(plain) % 4)


def is_address(url: str) -> bool:
    """Whether this names a place where the picture is."""
    return ADDRESS.match(url[:SHORT_HEAD]) is not None


def unwrapped(url: str) -> str:
    """A data URL in the shape of Python's bytes, as h2oGPT's client sends it, without that: b'data:image/png;...'."""
    return url[2:-1] if url.startswith(("b'data:", 'b"data:')) and url[-1] == url[1] else url


def from_base64(text: str, param: str, error: type[Refused]) -> bytes:
    """Raises `error`."""
    try:
        return pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as cause:
        raise error(f"{param} is not base64.", param=param) from cause


def picture(data: bytes, limits: Limits, param: str) -> Image:
    """A picture whose head is in bounds. Raises BadImage."""
    found = seen(data, limits, param)
    return Image(data, found.media_type, found.width, found.height)


def seen(data: bytes, limits: Limits, param: str, kinds: Sequence[str] = tuple(vision.MEDIA_TYPES)) -> vision.Seen:
    """What the head of a picture says, if that is one of these kinds and in bounds. Raises BadImage."""
    try:
        return vision.inspect(data, vision.Limits(limits.image_pixels, limits.image_side), kinds)
    except vision.BadPicture as error:
        raise BadImage(f"{param} is a picture that is not taken: {error}.", param=param) from error


def sound(data: bytes, longest: float, param: str, kind: str | None = None) -> Audio:
    """Sound of a format that is known, and of `kind` if that is given. Raises BadAudio."""
    if not data:
        raise BadAudio(f"{param} is empty.", param=param)
    found = audio.sniff(data)
    if found is None:
        raise BadAudio(f"{param} is no sound that is read here: {', '.join(audio.FORMATS)}.", param=param)
    if kind is not None and found != kind:
        raise BadAudio(f"{param} is not {kind}.", param=param)
    return Audio(data, found, longest)
