"""The conversation at a terminal: a prompt with history, small commands, and Ctrl-C that stops only the answer."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Callable, Mapping

import openai
import platformdirs
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from rich.console import Console
from rich.text import Text

from openai_proxy.cli.conversation import Answer, Conversation, explain, statistics
from openai_proxy.cli.display import Display
from openai_proxy.cli.plain import one_line, safe

HELP = """\
/help            this list
/clear           forget the conversation
/system [TEXT]   show, or set, how the model shall behave; "/system -" takes it away
/model [ID]      list the models, or go on with another one
/stats           tokens and times after each answer, on or off
/exit            leave, as Ctrl-D does
Enter sends, Alt-Enter begins a new line, Up and Down walk through earlier questions, Ctrl-C stops an answer."""
COMMANDS = [line.split()[0] for line in HELP.splitlines() if line.startswith("/")]


def talk(
    runner: asyncio.Runner,
    conversation: Conversation,
    display: Callable[[], Display],
    environ: Mapping[str, str],
    url: str,
    *,
    stats: bool,
) -> int:
    """Ask and answer until the user leaves."""
    note(f"{one_line(conversation.model)} at {url}. /help lists commands, Ctrl-D leaves.")
    talking = Session(runner, conversation, display, url, stats)
    prompt: PromptSession[str] = PromptSession(
        history=history(environ),
        completer=WordCompleter(COMMANDS, sentence=True),
        key_bindings=keys(),
        prompt_continuation="  ",
        reserve_space_for_menu=6,
    )
    while talking.going:
        try:
            line = prompt.prompt("> ").strip()
        except EOFError:
            break
        except KeyboardInterrupt:
            if prompt.default_buffer.text:
                continue
            break
        if line:
            talking.take(line)
    return 0


class Session:
    """What a line that was typed does."""

    def __init__(
        self,
        runner: asyncio.Runner,
        conversation: Conversation,
        display: Callable[[], Display],
        url: str,
        stats: bool,
    ) -> None:
        self.runner = runner
        self.conversation = conversation
        self.display = display
        self.url = url
        self.stats = stats
        self.going = True
        conversation.count = conversation.count or stats

    def take(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        try:
            if word in COMMANDS or word == "/quit":
                self.command(word, rest.strip())
            elif word.startswith("/") and word[1:].isalpha():
                note(f"there is no command {one_line(word)}; /help lists them")
            else:
                self.ask(line)
        except openai.APIError as error:
            note(str(explain(error, self.url, self.conversation.model)))
        except KeyboardInterrupt:
            note("(stopped)")

    def command(self, word: str, rest: str) -> None:
        match word:
            case "/help":
                print(HELP)
            case "/clear":
                self.conversation.clear()
                note("the conversation is forgotten")
            case "/system":
                self.system(rest)
            case "/model":
                self.model(rest)
            case "/stats":
                self.stats = self.conversation.count = not self.stats
                note("statistics on" if self.stats else "statistics off")
            case _:
                self.going = False

    def system(self, text: str) -> None:
        if text:
            self.conversation.system = None if text == "-" else text
        note(f"system: {one_line(self.conversation.system or 'none')}")

    def model(self, name: str) -> None:
        if name:
            self.conversation.model = name
            note(f"model: {one_line(name)}")
            return
        for listed in self.runner.run(self.conversation.models()):
            print("*" if listed == self.conversation.model else " ", safe(listed))

    def ask(self, question: str) -> None:
        answer = Answer()
        with self.display() as shown:
            self.runner.run(self.conversation.ask(question, answer, shown.show))
        if self.stats:
            note(statistics(answer))


def keys() -> KeyBindings:
    """Alt-Enter begins a new line."""
    bindings = KeyBindings()

    @bindings.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return bindings


def history(environ: Mapping[str, str]) -> History:
    """Earlier questions, from a file that only its owner may read; in memory where no file can be written."""
    home = environ.get("OPENAI_PROXY_HOME")
    folder = pathlib.Path(home) if home else platformdirs.user_state_path("openai-proxy")
    file = folder / "chat-history"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(file)


def note(text: str) -> None:
    """A line that is not the model's."""
    Console(highlight=False).print(Text(text, style="dim"), soft_wrap=True)
