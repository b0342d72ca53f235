"""Pictures and sounds that an input names: a data URI, a file that was uploaded here, or an address elsewhere."""

from __future__ import annotations

import pybase64
from msgspec import Struct

import audio
import vision
from backends.errors import BadAudio, BadImage, Refused
from openai_proxy import media
from openai_proxy.errors import InvalidRequest
from openai_proxy.fetching.fetcher import Fetcher
from openai_proxy.jobs.uploads import Uploads


class Sources(Struct, frozen=True):
    """What one caller may name. `place` is where files lie that were uploaded here, as clients know it."""

    fetcher: Fetcher
    uploads: Uploads
    owner: str
    place: str

    async def picture(self, url: str, param: str) -> bytes:
        """Raises InvalidRequest, BadImage, UrlNotAllowed and their kin."""
        return await self._read(url, param, BadImage)

    async def sound(self, url: str, param: str) -> bytes:
        """Raises InvalidRequest, BadAudio, UrlNotAllowed and their kin."""
        return await self._read(url, param, BadAudio)

    async def shown(self, url: str, param: str) -> str:
        """The same picture at an address that a chat may have."""
        if not url.startswith(self.place):
            return url
        return f"data:application/octet-stream;base64,{pybase64.b64encode(await self._uploaded(url, param)).decode()}"

    async def _read(self, url: str, param: str, error: type[Refused]) -> bytes:
        if url.startswith(self.place):
            return await self._uploaded(url, param)
        if not media.is_address(url):
            return media.from_url(url, param, error)
        begins = vision.is_picture if error is BadImage else _is_sound
        return await self.fetcher.fetch(self.fetcher.read(url, param), param, begins, owner=self.owner)

    async def _uploaded(self, url: str, param: str) -> bytes:
        id = url.removeprefix(self.place).partition("/")[0]
        found = await self.uploads.read(id, self.owner)
        if found is None:
            raise InvalidRequest(f"{param}: there is no such file, or it has expired.", param=param)
        return found


def _is_sound(head: bytes) -> bool:
    return audio.sniff(head) is not None
