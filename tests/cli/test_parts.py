"""Parts of the terminal that are easier to ask alone."""

from __future__ import annotations

import http.server
import io
import socket
import threading
from collections.abc import Iterator

import httpx2
import openai
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from openai_proxy.cli import ask
from openai_proxy.cli.conversation import Answer, explain, statistics, unreachable
from openai_proxy.cli.display import LiveMarkdown, rendered, split
from openai_proxy.cli.ending import Ending
from openai_proxy.cli.plain import one_line, safe
from openai_proxy.configure.rules import is_origin


@given(st.text())
@example("safe\u202eexe.\u2066txt")
@example("\x1b]0;title\x07\x9b31m\x7f\r\n\ttext")
def test_safe_text_has_no_control_characters_and_loses_nothing_else(text: str) -> None:
    turns = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    kept = [
        char for char in text if char in "\n\t" or not (ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 or char in turns)
    ]
    assert safe(text) == "".join(kept)


def test_one_line_is_one_line() -> None:
    assert one_line("a\nb\tc\x1b[0m ") == "a b c[0m"
    assert one_line("x" * 400, 10) == "xxxxxxxxx…"


MARKDOWN = "# T\n\npara\n\n- a\n\n  more\n- b\n\n```py\nx = 1\n\ny = 2\n```\n\n~~~~\n```\n\n~~~~\n\nend"


@given(st.lists(st.sampled_from(["a", "\n", "\n\n", "```", "~~~", " ", "- ", "# "]), max_size=30).map("".join))
@example(MARKDOWN)
def test_splitting_keeps_the_text_and_ends_blocks_at_a_line(text: str) -> None:
    done, rest = split(text)
    assert done + rest == text
    assert not done or done.endswith("\n")


def test_blocks_are_split_where_they_are_finished() -> None:
    assert split("para\n\n") == ("", "para\n\n")
    assert split("para\n\nnext") == ("para\n\n", "next")
    assert split("- a\n\n  more") == ("", "- a\n\n  more")
    assert split("```\nx\n\ny") == ("", "```\nx\n\ny")
    assert split("```\nx\n\ny\n```\n\nend") == ("```\nx\n\ny\n```\n\n", "end")
    assert split(MARKDOWN)[1] == "end"


def test_rendered_rows_begin_and_end_with_text() -> None:
    console = Console(file=io.StringIO(), width=40)
    rows = rendered(console, "- a\n- b\n")
    assert ["".join(segment.text for segment in row).strip() for row in rows] == ["• a", "• b"]
    assert rendered(console, "\n") == []


def test_an_answer_taller_than_the_screen_shows_its_end_while_it_grows() -> None:
    console = Console(file=io.StringIO(), width=40, height=8, force_terminal=True)
    live = LiveMarkdown(console)
    live.growing = "\n".join(f"- entry {number}" for number in range(30))
    with console.capture() as captured:
        console.print(live)
    assert "entry 29" in captured.get()
    assert "entry 3\n" not in captured.get()


def test_statistics_say_what_is_known() -> None:
    assert statistics(Answer(seconds=0.5)) == "0 pieces, 0.50 s in all"
    counted = Answer(usage={"completion_tokens": 11}, pieces=3, ttft=0.5, seconds=1.5)
    assert statistics(counted) == "11 tokens, first after 0.50 s, 10.0 tokens/s, 1.50 s in all"
    assert Answer(pieces=1, ttft=0.5, seconds=1).tokens_per_second is None


def test_errors_of_the_sdk_in_words() -> None:
    request = httpx2.Request("POST", "http://x/v1/chat/completions")
    assert str(explain(openai.APITimeoutError(request), "http://x/v1", "m")) == "http://x/v1 did not answer in time"
    response = httpx2.Response(500, request=request)
    told = openai.InternalServerError("broke\nbadly", response=response, body={"message": "it\x1b[2J broke"})
    assert str(explain(told, "http://x/v1", "m")) == "http://x/v1 answered 500: it[2J broke"
    bare = openai.InternalServerError("broke\nbadly", response=response, body=None)
    assert str(explain(bare, "http://x/v1", "m")) == "http://x/v1 answered 500: broke badly"
    lost = unreachable("http://x/v1", socket.gaierror(-2, "Name or service not known"))
    assert str(lost) == "cannot reach http://x/v1: Name or service not known"
    assert str(unreachable("http://x/v1", RuntimeError())) == "cannot reach http://x/v1: RuntimeError"


class Odd(http.server.BaseHTTPRequestHandler):
    """Answers that no model server gives."""

    def do_GET(self) -> None:
        status = 500 if self.path == "/broken" else 200
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"<html>\x1b[31mno</html>")

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def odd() -> Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Odd)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_answers_of_another_kind_of_server_are_one_line(odd: str) -> None:
    with pytest.raises(Ending, match="answered something else than JSON"):
        ask.json(f"{odd}/v1/models", {})
    with pytest.raises(ask.Refused, match=r"/broken answered 500: <html>\[31mno</html>"):
        ask.json(f"{odd}/broken", {})
    with pytest.raises(Ending, match="cannot be read"):
        ask.json(odd.replace("http:", "https:"), {})


@pytest.mark.parametrize("text", ["http://[", "https://x:99999", "x", "file:///x", "https://x/"])
def test_what_is_no_web_origin(text: str) -> None:
    assert not is_origin(text)


@pytest.mark.parametrize("text", ["http://localhost:3000", "https://a.example", "http://[::1]:80"])
def test_what_is_a_web_origin(text: str) -> None:
    assert is_origin(text)
