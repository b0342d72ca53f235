"""Where files lie, and what is told where that does not work."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from openai_proxy.config import Config
from openai_proxy.errors import StoreFailed
from openai_proxy.jobs.files import Files
from openai_proxy.jobs.uploads import Uploads

NAME = f"{'a' * 43}.png"


class Broken:
    """A file system with an error of its own for all that is done."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("Unable to locate credentials")


def test_each_system_has_errors_of_its_own(tmp_path: Path) -> None:
    async def check() -> None:
        files, uploads = Files("s3://bucket", ""), Uploads("s3://bucket", Config)
        files._folder._opened = uploads._folder._opened = Broken(), "bucket"
        for work in (files.put(b"", "image/png"), files.read(NAME), files.size(NAME), uploads.of("ann")):
            with pytest.raises(StoreFailed) as failed:
                await work
            assert "credentials" not in failed.value.message

    asyncio.run(check())


def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    async def check() -> None:
        (tmp_path / "file").touch()
        files = Files(str(tmp_path / "file" / "in"), "")
        with pytest.raises(StoreFailed):
            await files.put(b"", "image/png")
        files = Files(str(tmp_path / "none"), "")
        assert (await files.read(NAME), await files.size(NAME)) == (None, None)
        await files.delete([NAME])
        with pytest.raises(StoreFailed):
            [each async for each in files.pieces(NAME, 1)]
        assert await files.read(await files.put(b"abc", "image/png")) == b"abc"

    asyncio.run(check())
