from __future__ import annotations

from typing import Any

import pytest

from backends import Setup
from backends.llama_cpp import LlamaCpp
from backends.llama_cpp.options import Options


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"pth": "x"}, "did you mean 'path'"),
        ({"wholly_else": 1}, "known are path"),
        ({}, "needs one of"),
        ({"path": "x", "weights": "smollm2-135m-instruct"}, "needs one of"),
        ({"weights": "gpt"}, "known are smollm2"),
        ({"path": "x", "context": 0}, "context"),
        ({"path": "x", "cache_type": "q1"}, "cache_type"),
    ],
)
def test_wrong_options_are_refused_with_a_hint(table: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        LlamaCpp(Setup(name="m", options=table))


def test_a_template_is_text_or_a_file(tmp_path: Any) -> None:
    file = tmp_path / "template.jinja"
    file.write_text("{{ messages }}")
    assert Options(path="x", chat_template=str(file)).template() == "{{ messages }}"
    assert Options(path="x", chat_template="{{ x }}").template() == "{{ x }}"
    assert Options(path="x").template() == ""
