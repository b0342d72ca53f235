"""What is checked of the section `[documents]`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.edge.test_configure_jobs import problems


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('documents.model = "ecco"', 'documents.model is "ecco", which is no model; did you mean "echo"?'),
        ('documents.home = "/etc/passwd"', "documents.home: /etc/passwd is a file, not a folder"),
        ("documents.count = 0", "documents.count must be a whole number from 1, not 0"),
        ("documents.chunk = 15", "documents.chunk must be a whole number from 16 up to 8192, not 15"),
        ('documents.shared = "none"', 'documents.shared must be one of "admins", "all", not "none"'),
    ],
)
def test_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    assert problems(tmp_path, text) == [message]


def test_what_is_right(tmp_path: Path) -> None:
    assert problems(tmp_path, f'documents.home = "{tmp_path}/new"\ndocuments.model = "echo"') == []
