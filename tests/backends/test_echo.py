"""The backend `echo` and its script."""

from __future__ import annotations

import array
import asyncio
from typing import Any

import msgspec
import pytest

from backends import Model, Setup, UnknownBackend, resolve
from backends.echo import Echo
from backends.errors import EngineFailed, Refused, Unavailable, Unsupported
from backends.events import Candidate, Delta, Event, Finish, Outcome, PromptLogprobs, Segment, Sound, Usage
from backends.requests import (
    Audio,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Image,
    Message,
    NamedTool,
    Request,
    Sampling,
    ScoreRequest,
    SpeechRequest,
    Text,
    TokenizeRequest,
    Tool,
    ToolChoice,
    TranscriptionRequest,
)
from tests.pictures import picture
from tests.sounds import tone


def chat(text: str = "one two three", sampling: Sampling | None = None, **script: Any) -> ChatRequest:
    message = Message(role="user", parts=(Text(text),))
    extra = {"script": script} if script else {}
    return ChatRequest(model="echo", messages=(message,), sampling=sampling or Sampling(), extra=extra)


async def events(request: Request, limit: int = 1000, **options: Any) -> list[Event]:
    echo = Echo(Setup(name="echo", options=options))
    await echo.start()
    found = []
    async for event in echo.run(request):
        found.append(event)
        if len(found) == limit:
            break
    await echo.close()
    return found


def outcome(request: Request, **options: Any) -> Outcome:
    async def gather() -> Outcome:
        echo = Echo(Setup(name="echo", options=options))
        await echo.start()
        return await Outcome.of(echo.run(request))

    return asyncio.run(gather())


@pytest.mark.parametrize("text", ["", " ", "one", " one  two\n", "👩‍💻 ü\u2028x", "a" * 5000])
def test_it_says_back_every_character(text: str) -> None:
    found = outcome(chat(text))
    assert [(answer.text, answer.reason) for answer in found.answers] == [(text, "stop")]


def test_one_word_is_one_token() -> None:
    assert outcome(chat(), load=0.01).usage == Usage(prompt=3, completion=3)
    assert asyncio.run(events(chat()))[-2:] == [Finish("stop"), Usage(3, 3)]


def test_sampling_is_honoured() -> None:
    found = outcome(chat(sampling=Sampling(n=2, max_tokens=2)))
    assert [(answer.text, answer.reason) for answer in found.answers] == [("one two", "length")] * 2
    found = outcome(chat(sampling=Sampling(stop=("o th",))))
    assert (found.answers[0].text, found.answers[0].reason) == ("one tw", "stop")
    found = outcome(chat(sampling=Sampling(stop=("threes",))))
    assert found.answers[0].text == "one two three"
    found = outcome(chat(sampling=Sampling(logprobs=1)))
    assert found.answers[0].logprobs is not None
    assert [entry.token for entry in found.answers[0].logprobs] == ["one", " two", " three"]
    assert [len(entry.top) for entry in found.answers[0].logprobs] == [1, 1, 1]


def test_scripts_say_what_to_say() -> None:
    assert outcome(chat(chunks=3, size=4)).answers[0].text == "0   1   2   "
    assert outcome(chat(text="x", chunks=None)).answers[0].text == "x"
    assert outcome(chat(), text="from the options").answers[0].text == "from the options"
    calls = outcome(chat(calls=[{"name": "f", "arguments": '{"a": 1, "b": "long"}'}, {"name": "g"}])).answers[0]
    assert [(call.name, call.arguments) for call in calls.calls] == [("f", '{"a": 1, "b": "long"}'), ("g", "{}")]
    assert calls.reason == "tool_calls"
    assert len({call.id for call in calls.calls}) == 2


@pytest.mark.parametrize(
    ("script", "before", "error"),
    [
        ({"fail": "early"}, 0, EngineFailed),
        ({"fail": "unavailable"}, 0, Unavailable),
        ({"fail": "late", "after": 2}, 2, EngineFailed),
        ({"chunks": -1}, 0, Refused),
        ({"chunks": 1_000_000, "size": 1_000_000}, 0, Refused),
        ({"nonsense": 1}, 0, Refused),
    ],
)
def test_faults(script: dict[str, Any], before: int, error: type[Exception]) -> None:
    found: list[Event] = []

    async def run() -> None:
        echo = Echo(Setup(name="echo"))
        await echo.start()
        async for event in echo.run(chat(**script)):
            found.append(event)

    with pytest.raises(error):
        asyncio.run(run())
    assert len(found) == before


def test_a_stall_is_silent_and_a_flood_goes_on() -> None:
    async def stall() -> list[Event]:
        async with asyncio.timeout(0.05):
            return await events(chat(stall=True, after=1))

    with pytest.raises(TimeoutError):
        asyncio.run(stall())
    flood = asyncio.run(events(chat(flood=True), limit=50))
    assert all(isinstance(event, Delta) and len(event.text) == 1024 for event in flood)


def test_completions_echo_and_take_token_ids() -> None:
    request = CompletionRequest(model="echo", prompts=("a b", (1, 2, 3)), sampling=Sampling(n=2), echo=True)
    found = outcome(request)
    assert [answer.text for answer in found.answers] == ["a ba b", "a ba b", "1 2 31 2 3", "1 2 31 2 3"]
    assert found.usage == Usage(prompt=5, completion=10)
    scored = CompletionRequest(model="echo", prompts=("a b",), sampling=Sampling(logprobs=1), echo=True)
    assert [entry.logprob for entry in outcome(scored).answers[0].logprobs or ()] == [None, 0.0, 0.0, 0.0]


def test_prompt_logprobs_are_those_of_its_words() -> None:
    wanted = Sampling(prompt_logprobs=1, n=2)
    answers = outcome(CompletionRequest(model="echo", prompts=("a b",), sampling=wanted)).answers
    places = (None, (Candidate(1, 0.0, 1, " b"),))
    assert [answer.prompt for answer in answers] == [PromptLogprobs(places, 0), PromptLogprobs(places, 1)]
    said = outcome(chat("a b", Sampling(prompt_logprobs=0)))
    assert said.answers[0].prompt == PromptLogprobs(places)


@pytest.mark.parametrize("dimensions", [None, 1, 5, 16])
def test_vectors_have_unit_length_and_depend_on_the_text(dimensions: int | None) -> None:
    found = outcome(EmbeddingRequest(model="echo", inputs=("a", "b", (1, 2)), dimensions=dimensions))
    vectors = [array.array("f", data) for data in found.vectors]
    assert [len(vector) for vector in vectors] == [dimensions or 16] * 3
    assert all(abs(sum(value * value for value in vector) - 1) < 1e-5 for vector in vectors)
    assert dimensions == 1 or vectors[0] != vectors[1]
    assert found.usage == Usage(prompt=4)


def test_it_answers_only_between_start_and_close() -> None:
    states: list[str] = []

    async def live() -> None:
        echo = Echo(Setup(name="echo", slots=7, changed=lambda: states.append(echo.state.name)))
        assert (echo.slots, echo.state.name) == (7, "stopped")
        await echo.close()
        with pytest.raises(Unavailable):
            await anext(echo.run(chat()))
        await echo.start()
        await anext(echo.run(chat()))
        await echo.close()
        await echo.close()

    asyncio.run(live())
    assert states == ["stopped", "loading", "ready", "stopped", "stopped"]


def test_wrong_options_are_named_with_the_model() -> None:
    with pytest.raises(ValueError, match=r"options of the echo model loro: .*speed"):
        Echo(Setup(name="loro", options={"speed": 1}))


def test_the_registry_resolves_names_and_import_strings() -> None:
    assert resolve("echo") is resolve("backends.echo:Echo") is Echo
    assert isinstance(Echo.model, Model)
    for name in ("ecoh", "nothing like it", "no.such.module:Thing", "backends.echo:Nothing"):
        with pytest.raises(UnknownBackend):
            resolve(name)


FUNCTIONS = (Tool(name="f"), Tool(name="g"))


def called(choice: ToolChoice, parallel: bool | None = None, tools: tuple[Tool, ...] = FUNCTIONS) -> list[str]:
    request = chat("hi", calls=[{"name": "f"}, {"name": "g"}])
    request = msgspec.structs.replace(request, tools=tools, tool_choice=choice, parallel_tool_calls=parallel)
    return [call.name for call in outcome(request).answers[0].calls]


def test_scripted_calls_are_those_that_the_request_allows() -> None:
    assert called("auto") == called("required") == called("none", tools=()) == ["f", "g"]
    assert called("auto", parallel=False) == ["f"]
    assert called(NamedTool("g")) == ["g"]
    assert called("none") == []


@pytest.mark.parametrize("choice", ["required", NamedTool("f")])
def test_a_call_that_is_not_in_the_script_is_refused(choice: ToolChoice) -> None:
    request = msgspec.structs.replace(chat("hi"), tools=FUNCTIONS, tool_choice=choice)
    with pytest.raises(Unsupported) as caught:
        outcome(request)
    assert caught.value.param == "tool_choice"


def test_scores_are_shared_words_and_texts_are_cut() -> None:
    """The parameter truncate_prompt_tokens."""
    request = ScoreRequest(model="m", queries=("a b",), documents=("x b", "b a", ""))
    found = outcome(request)
    assert (found.scores, found.usage.prompt) == ([0.5, 1.0, 0.0], 10)
    cut = outcome(msgspec.structs.replace(request, truncate_prompt_tokens=3))
    assert (cut.scores, cut.usage.prompt) == ([0.0, 0.5, 0.0], 8)
    words, ids = EmbeddingRequest(model="m", inputs=("a b c",)), EmbeddingRequest(model="m", inputs=((1, 2, 3),))
    assert [
        outcome(msgspec.structs.replace(given, truncate_prompt_tokens=2)).usage.prompt for given in (words, ids)
    ] == [2, 2]


def test_a_chat_is_written_out_for_the_tokenizer() -> None:
    """The parameter continue_final_message."""

    def written(**extra: Any) -> str:
        asked = msgspec.structs.replace(chat("hi"), extra=extra)
        found = outcome(TokenizeRequest(model="m", prompt=asked, special=False)).tokens
        assert found is not None
        return bytes(found.ids).decode()

    assert written() == "user: hi\nassistant: "
    assert written(add_generation_prompt=False) == "user: hi\n"
    assert written(continue_final_message=True) == "user: hi"


def hears(**more: Any) -> TranscriptionRequest:
    return TranscriptionRequest(model="echo", audio=Audio(tone(7.0), "wav", 60.0), **more)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({}, " en 0 to 5. en 5 to 7."),
        ({"language": "fr"}, " fr 0 to 5. fr 5 to 7."),
        ({"prompt": "so"}, " en so 0 to 5. en so 5 to 7."),
        ({"task": "translate"}, " translate en 0 to 5. translate en 5 to 7."),
    ],
)
def test_a_sound_is_said_to_be_as_long_as_it_is(more: dict[str, Any], text: str) -> None:
    found = outcome(hears(**more))
    assert found.answers[0].text == text
    assert found.usage.seconds == 7.0
    assert found.segments == []


def test_segments_come_when_they_are_asked_for() -> None:
    """The parameter segment_timestamps."""
    found = outcome(hears(timestamps=("segment",)))
    assert found.segments == [Segment(0, 5, " en 0 to 5.", language="en"), Segment(5, 7, " en 5 to 7.", language="en")]


def test_pictures_and_sounds_are_described() -> None:
    parts = (Text("a"), Image(picture(), "image/png", 60, 40), Audio(tone(1.0), "wav", 60.0))
    request = ChatRequest(model="echo", messages=(Message(role="user", parts=parts),))
    assert outcome(request).answers[0].text == "a image 60x40 audio 1.0s"
    assert request.messages[0].text == "a"


@pytest.mark.parametrize(
    "part",
    [Image(picture()[:50], "image/png", 60, 40), Audio(tone(1.0)[:40], "wav", 60.0), Audio(tone(2.0), "wav", 1.0)],
)
def test_what_cannot_be_decoded_is_refused_by_its_place(part: Image | Audio) -> None:
    request = ChatRequest(model="echo", messages=(Message(role="user", parts=(Text("a"), part)),))
    with pytest.raises(Refused) as caught:
        outcome(request)
    assert caught.value.param == "messages.0.content.1"


def said(text: str, **fields: Any) -> list[Sound]:
    """What it says, after checking that all else is as it should be."""
    script = {"script": fields.pop("script")} if "script" in fields else {}
    *sounds, usage = asyncio.run(events(SpeechRequest(model="echo", text=text, extra=script, **fields)))
    assert all(isinstance(each, Sound) and each.rate == 24_000 for each in sounds)
    found = [each for each in sounds if isinstance(each, Sound)]
    assert isinstance(usage, Usage)
    assert usage.completion == len(found)
    assert usage.seconds == pytest.approx(sum(len(each.data) for each in found) / 48_000)
    return found


def test_it_speaks_a_tone_for_each_word() -> None:
    sounds = said("Hello there. And you?")
    assert [each.ends for each in sounds] == [False, True, False, True]
    assert [len(each.data) / 48_000 for each in sounds] == [
        pytest.approx(len(word) * 0.06 + 0.05, abs=0.01) for word in ("Hello", "there.", "And", "you?")
    ]
    assert max(array.array("h", sounds[0].data)) > 7000
    assert said("Hello there. And you?") == sounds
    assert said("nothing but words")[-1].ends


def test_voices_and_speed_change_the_sound() -> None:
    low, high = said("word", voice="low"), said("word", voice="high")
    assert said("word") == low != high
    slow, fast = said("word " * 9, speed=0.25), said("word " * 9, speed=4.0)
    assert sum(len(each.data) for each in slow) / sum(len(each.data) for each in fast) == pytest.approx(16, rel=0.05)


def test_what_it_cannot_say_and_what_it_is_told_to_say() -> None:
    assert said("... €") == []
    assert said("a", script={"text": "word"}) == said("word")
    assert len(said("a", script={"chunks": 5})) == 5
    assert max(len(each.data) for each in said("x" * 4096)) < 48_000 * 2.5
