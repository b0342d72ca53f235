"""Jobs outlive the server that took them, chains in the middle too."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.conftest import servers
from tests.dialects.infernet.calls import CONTAINER, call, ended, results, said, submit
from tests.dialects.infernet.conftest import ECHO


def test_jobs_go_on_where_they_were(tmp_path: Path) -> None:
    text = " ".join(["word"] * 30)
    with servers(tmp_path) as start:
        first = start(ECHO)
        done = submit(first, prompt="a b")
        before = ended(first, done)
        chain = submit(first, CONTAINER, "openai-inference", **said(text, script={"delay": 0.05}))
        assert call(first, "PUT", "/api/status", {"id": "x", "status": "failed", "containers": []}) == (200, {})
        ids = call(first, "GET", "/api/jobs")[1]
        first.stop(signal.SIGTERM)
        second = start(ECHO)
        assert call(second, "GET", "/api/jobs")[1] == ids
        assert results(second, done, "x") == [before, {"id": "x", "status": "failed", "result": None}]
        result = ended(second, chain, intermediate="true")
        assert (result["status"], result["result"]["output"]) == ("success", text)
        assert result["intermediate_results"] == [{"container": CONTAINER, "output": text}]
