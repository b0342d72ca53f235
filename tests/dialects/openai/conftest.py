"""One application for all tests of the dialect."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dialects.openai.local import Local


@pytest.fixture(scope="session")
def local() -> Iterator[Local]:
    """The application with default limits."""
    with Local() as application:
        yield application
