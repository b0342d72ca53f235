"""What vector stores do not take, and how that is said."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.dialects.vector_stores.people import TEXT


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("", {"expires_after": {"anchor": "last_active_at", "days": 1}}, "expires_after"),
        ("", {"name": "x" * 257}, "name"),
        ("", {"name": "MyData"}, "name"),
        ("", {"name": "UserData"}, "name"),
        ("", {"metadata": {str(number): "a" for number in range(17)}}, "metadata"),
        ("", {"file_ids": ["x"] * 501}, "file_ids"),
        ("/MyData/search", {"query": ""}, "query"),
        ("/MyData/search", {"query": []}, "query"),
        ("/MyData/search", {"query": "a", "max_num_results": 51}, "max_num_results"),
        ("/MyData/search", {"query": "a", "max_num_results": 0}, "max_num_results"),
        ("/MyData/search", {"query": "a", "rewrite_query": True}, "rewrite_query"),
        ("/MyData/search", {"query": "a", "ranking_options": {"ranker": "x"}}, "ranking_options.ranker"),
        ("/MyData/search", {"query": "a", "filters": {"type": "eq"}}, "filters"),
        ("/MyData/search", {"query": "x" * 10_001}, "query"),
        ("/MyData/files", {}, "file_id"),
        ("/MyData/files", {"file_id": "file-x", "url": "http://a.example"}, "file_id"),
        ("/MyData/files", {"file_id": "file-x", "chunking_strategy": {"type": "static"}}, "chunking_strategy.type"),
        ("/MyData/files", {"file_id": "file-x", "attributes": {"a": [1]}}, None),
        ("/MyData/files", {"file_id": "file-x", "attributes": {"a": "x" * 513}}, None),
    ],
)
def test_bodies_that_are_refused(ann: openai.OpenAI, path: str, body: dict[str, Any], param: str | None) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ann.post(f"/vector_stores{path}", cast_to=object, body=body)
    assert param is None or caught.value.param == param


def test_files_that_are_not_there(ann: openai.OpenAI, bob: openai.OpenAI) -> None:
    theirs = bob.files.create(file=("a.txt", TEXT), purpose="user_data").id
    for id in (theirs, "file-x", "file-" + "0" * 32):
        with pytest.raises(openai.NotFoundError):
            ann.vector_stores.files.create("MyData", file_id=id)
        with pytest.raises(openai.NotFoundError):
            ann.vector_stores.create(file_ids=[id])
