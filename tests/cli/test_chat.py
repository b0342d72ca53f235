"""`openai-proxy chat` as a person and as a script use it, against a server that streams prepared words."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.imitation import WORDS, Imitation, imitation
from tests.cli.terminal import ALT_ENTER, CTRL_C, CTRL_D, UP, Terminal, command, here, run, terminal
from tests.running import ROOT, environment

SLOW = tuple(f"word{number} " for number in range(400))


@pytest.fixture
def server() -> Iterator[Imitation]:
    with imitation() as running:
        yield running


def chat(server: Imitation, *arguments: str, stdin: str = "", **env: str) -> tuple[int, str, str]:
    done = here("chat", "--base-url", server.base_url, *arguments, stdin=stdin, **env)
    return done.returncode, done.stdout, done.stderr


def test_one_question_gives_one_raw_answer(server: Imitation) -> None:
    server.words = (
        "# Hi\n",
        "**raw** \x1b[31m",
    )
    done = run("chat", "--base-url", server.base_url, "say", "hi")
    assert (done.returncode, done.stdout, done.stderr) == (0, "# Hi\n**raw** \x1b[31m\n", "")
    assert server.requests == [
        {"model": "tiny", "messages": [{"role": "user", "content": "say hi"}], "stream": True},
    ]


def test_what_is_piped_in_is_added_to_the_question(server: Imitation) -> None:
    arguments = ("--model", "gpt", "--system", "be brief", "--temperature", "0", "--max-tokens", "5", "--seed", "3")
    assert chat(server, *arguments, "--top-p", "0.5", "sum up", stdin="a long text\n")[0] == 0
    assert server.requests == [
        {
            "model": "gpt",
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "sum up\n\na long text"},
            ],
            "temperature": 0.0,
            "max_tokens": 5,
            "seed": 3,
            "top_p": 0.5,
            "stream": True,
        },
    ]


def test_json_gives_one_object(server: Imitation) -> None:
    server.reasoning = "hm"
    server.delay = 0.01
    code, output, errors = chat(server, "--json", stdin="hi")
    answer = json.loads(output)
    assert (code, errors) == (0, "")
    assert (answer["text"], answer["reasoning"], answer["finish_reason"]) == ("Hello, world", "hm", "stop")
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}
    assert 0 < answer["ttft"] < answer["seconds"]
    assert answer["tokens_per_second"] > 0
    assert answer["model"] == "tiny"


def test_statistics_go_to_standard_error(server: Imitation) -> None:
    code, output, errors = chat(server, "--stats", "hi")
    assert (code, output) == (0, "Hello, world\n")
    assert errors.startswith("3 tokens, first after ")
    assert "tokens/s" in errors


def test_without_a_question_or_a_terminal_it_says_what_is_missing(server: Imitation) -> None:
    assert chat(server) == (2, "", "openai-proxy: there is no question: give it as words or through a pipe\n")


def test_errors_are_one_clear_line(server: Imitation) -> None:
    code, _, errors = chat(server, "--model", "none", "hi")
    assert code == 1
    assert errors == (f"openai-proxy: {server.base_url} has no model 'none'; `openai-proxy models` lists what it has\n")
    server.error_after = 1
    code, output, errors = chat(server, "hi")
    assert (code, output) == (1, "Hello\n")
    assert errors == "openai-proxy: the answer broke off: the engine broke[2J\n"


def test_a_missing_and_a_wrong_key_are_told_apart(server: Imitation) -> None:
    server.key = "right"
    assert "asks for an API key: put it into the variable OPENAI_API_KEY" in chat(server, "hi")[2]
    wrong = chat(server, "--api-key-env", "MINE", "hi", MINE="wrong-secret")
    assert wrong[0] == 1
    assert "does not accept the API key in MINE" in wrong[2]
    assert "wrong-secret" not in wrong[2]
    assert chat(server, "--api-key-env", "MINE", "hi", MINE="right")[:2] == (0, "Hello, world\n")


@pytest.mark.parametrize("key", ["ключ", "two words", "two\nlines"])
@pytest.mark.parametrize("arguments", [("chat", "hi"), ("models",)])
def test_what_is_no_key_is_never_sent(arguments: tuple[str, ...], key: str, server: Imitation) -> None:
    done = here(*arguments, "--base-url", server.base_url, OPENAI_API_KEY=key)
    assert done.returncode == 2
    assert done.stderr == "openai-proxy: the API key in OPENAI_API_KEY has characters that no key has\n"


@pytest.mark.parametrize("utf8", ["0", "1"])
def test_bytes_that_are_no_text_are_replaced(utf8: str, server: Imitation) -> None:
    words: list[str | bytes] = [*command("chat", "--base-url", server.base_url, "--system"), b"be \xff", b"sum \xff up"]
    env = environment(PYTHONUTF8=utf8, LC_ALL="C.UTF-8")
    done = subprocess.run(words, input=b"a \xfe b", capture_output=True, cwd=ROOT, env=env)
    assert done.returncode == 0
    contents = [message["content"] for message in server.requests[0]["messages"]]
    assert contents == ["be \ufffd", "sum \ufffd up\n\na \ufffd b"]


@pytest.mark.parametrize("flag", ["--temperature", "--top-p"])
@pytest.mark.parametrize("value", ["nan", "-inf", "warm"])
def test_what_is_no_number_is_refused(flag: str, value: str) -> None:
    done = here("chat", f"{flag}={value}", "hi")
    assert done.returncode == 2
    assert done.stderr.endswith(f"error: argument {flag}: invalid number value: '{value}'\n")


def test_nobody_there_is_told_at_once() -> None:
    done = here("chat", "--base-url", "http://127.0.0.1:1/v1", "hi")
    assert done.returncode == 1
    assert done.stderr.startswith("openai-proxy: nothing answers at http://127.0.0.1:1/v1; start a server with")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "ftp://x/v1",
        "http://",
        "http://x:y/v1",
        "http://a..b/v1",
        f"http://{'a' * 64}/v1",
        "http://x/é",
        "http://x/v 1",
        "http://x:99999/v1",
    ],
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    done = here("chat", "--base-url", url, "hi")
    assert done.returncode == 2
    assert "is not a base URL like http://127.0.0.1:8000/v1" in done.stderr


def test_an_interrupt_ends_a_single_question_and_the_servers_work(server: Imitation) -> None:
    server.words, server.delay = SLOW, 0.02
    with terminal("chat", "--base-url", server.base_url, "hi", TERM="dumb") as person:
        person.wait_for("word3")
        person.press(CTRL_C)
        assert person.wait() == 130
    assert server.stopped.wait(5)


# A conversation at a terminal.


@contextmanager
def talking(server: Imitation, home: Path) -> Iterator[Terminal]:
    with terminal("chat", "--base-url", server.base_url, OPENAI_PROXY_HOME=str(home)) as person:
        person.wait_for("tiny at http.*leaves.*>")
        yield person


@pytest.fixture
def person(server: Imitation, tmp_path: Path) -> Iterator[Terminal]:
    with talking(server, tmp_path) as sitting:
        yield sitting


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Imitation, Terminal]]:
    with imitation() as server, talking(server, tmp_path_factory.mktemp("lasting")) as person:
        yield server, person


@pytest.fixture
def sitting(lasting: tuple[Imitation, Terminal]) -> tuple[Imitation, Terminal]:
    """A conversation that goes on from test to test, each time from the beginning."""
    server, person = lasting
    person.type("/clear")
    person.wait_for("forgotten.*>")
    person.output, person.seen = "", 0
    server.words, server.reasoning = WORDS, ""
    server.requests.clear()
    return server, person


def test_ctrl_c_stops_the_answer_and_not_the_program(server: Imitation, person: Terminal) -> None:
    server.words, server.delay = SLOW, 0.02
    person.type("a long story")
    person.wait_for("word5")
    person.press(CTRL_C)
    person.wait_for(r"\(stopped\).*>")
    assert server.stopped.wait(5)
    server.words, server.delay = ("done",), 0.0
    person.type("and now")
    person.wait_for("done.*>")
    assert server.requests[1]["messages"][1]["content"].startswith("word0 word1 ")
    person.press("half a line")
    person.wait_for("half a line")
    person.press(CTRL_C)
    person.wait_for(">")
    person.press(CTRL_C)
    assert person.wait() == 0


def test_markdown_is_rendered_and_escape_sequences_are_not_passed_on(sitting: tuple[Imitation, Terminal]) -> None:
    server, person = sitting
    server.words = ("# Title\n\nSome **bold**", " text \x1b]0;owned\x07and \x1b[2Jmore\n\n", "- one\n", "- two\n")
    person.type("markdown please")
    person.wait_for("two.*>")
    assert "Title" in person.text
    assert "Some bold text" in person.text
    assert "**" not in person.text
    assert " • one" in person.text
    assert "\x1b[1mbold" in person.output
    assert "\x1b]0;" not in person.output
    assert "\x1b[2J" not in person.output


def test_commands(sitting: tuple[Imitation, Terminal]) -> None:
    server, person = sitting
    person.type("/help")
    person.wait_for("/system .*stops an answer")
    person.type("/system talk like a pirate")
    person.wait_for("system: talk like a pirate")
    person.type("/model")
    person.wait_for(r"\* tiny.*  gpt")
    person.type("/model gpt")
    person.wait_for("model: gpt")
    person.type("/stats")
    person.wait_for("statistics on")
    person.type("hello there")
    person.wait_for(r"3 tokens, first after \d+\.\d\d s.*>")
    person.type("/clear")
    person.wait_for("forgotten")
    person.type("/system -")
    person.wait_for("system: none")
    person.type("/nonsense")
    person.wait_for("no command /nonsense")
    person.type("/model none")
    person.type("hello again")
    person.wait_for("has no model 'none'.*>")
    person.type("/model tiny")
    person.wait_for("model: tiny.*>")
    person.type("/stats")
    person.wait_for("statistics off")
    assert server.requests[0]["model"] == "gpt"
    assert server.requests[0]["messages"][0] == {"role": "system", "content": "talk like a pirate"}
    assert server.requests[1]["messages"] == [{"role": "user", "content": "hello again"}]


def test_turns_are_remembered_and_questions_come_back_in_the_next_session(
    server: Imitation, tmp_path: Path, person: Terminal
) -> None:
    person.type("first question")
    person.wait_for("Hello, world.*>")
    person.type("a memorable question")
    person.wait_for("Hello, world.*>")
    assert [message["content"] for message in server.requests[1]["messages"]] == [
        "first question",
        "Hello, world",
        "a memorable question",
    ]
    person.press(CTRL_D)
    assert person.wait() == 0
    assert stat.S_IMODE((tmp_path / "chat-history").stat().st_mode) == 0o600
    with talking(server, tmp_path) as again:
        again.press(UP)
        again.wait_for("memorable question")
        again.press(ALT_ENTER + "and more")
        again.wait_for("and more")
        again.press("\r")
        again.wait_for("Hello, world.*>")
        assert server.requests[2]["messages"][0]["content"] == "a memorable question\nand more"
        again.type("/exit")
        assert again.wait() == 0


def test_a_long_answer_is_printed_whole_and_in_order(sitting: tuple[Imitation, Terminal]) -> None:
    server, person = sitting
    server.words = tuple(f"paragraph {number}.\n\n" for number in range(80))
    person.type("write a lot")
    person.wait_for("paragraph 79.*>")
    places = [person.text.rindex(f"paragraph {number}.") for number in range(80)]
    assert places == sorted(places)


def test_reasoning_is_shown_before_the_answer(sitting: tuple[Imitation, Terminal]) -> None:
    server, person = sitting
    server.reasoning = "let me think"
    person.type("a riddle")
    person.wait_for("let me think.*Hello, world.*>")


def test_a_hangup_ends_it(person: Terminal) -> None:
    person.process.send_signal(signal.SIGTERM)
    assert person.wait() in (-signal.SIGTERM, 143)
