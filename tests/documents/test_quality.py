"""With the embedded models: passages are found by what they mean, and questions are answered from them."""

from __future__ import annotations

import pytest

from tests.documents.library import NAMES, QUESTIONS, answers, data
from tests.running import Running

pytestmark = pytest.mark.engine
ENOUGH = 27


def test_the_right_passage_is_among_the_first_three(embedded_server: Running) -> None:
    with embedded_server.client() as client:
        store = client.vector_stores.create(name="library").id
        for name in NAMES:
            file = client.vector_stores.files.upload_and_poll(
                vector_store_id=store, file=(name, data(name)), poll_interval_ms=100
            )
            assert file.status == "completed", file.last_error
        right = []
        for question in QUESTIONS:
            best = client.vector_stores.search(store, query=question.text, max_num_results=3).data
            if any(each.filename == question.document and answers(each.content[0].text, question) for each in best):
                right.append(question)
        assert all(0 <= each.score <= 1 for each in best)
        client.vector_stores.delete(store)
    assert len(right) >= ENOUGH, [question.text for question in QUESTIONS if question not in right]
