"""What h2oGPT's API names answer: dicts, written as Python writes them, so that clients read them by `literal_eval`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from backends.events import Usage, total
from backends.requests import Request
from openai_proxy.documents import Passage

# Where a text came from that the client sent itself.
OWN = "text_context"


class Answer(Struct, kw_only=True):
    """An answer to a prompt, as far as it is there. `prompt` is what the model was asked last, `usages` are those of
    all questions on the way, `ignored` are keys that had no effect.
    """

    prompt: str = ""
    passages: Sequence[Passage] = ()
    response: str = ""
    model: str = ""
    kind: str = ""
    reason: str | None = None
    usages: list[Usage] = field(default_factory=list)
    seconds: float = 0.0
    sampling: Mapping[str, Any] = field(default_factory=dict)
    ignored: Sequence[str] = ()

    def written(self, *, whole: bool) -> str:
        """As clients get it; only the `whole` one says how it was made."""
        sources = [source(each) for each in self.passages] if whole else []
        return repr(
            {
                "response": self.response,
                "sources": sources,
                "sources_str": "\n".join(dict.fromkeys(each["source"] for each in sources)),
                "response_no_refs": self.response,
                "prompt_raw": self.prompt if whole else "",
                "llm_answers": {},
                "error": "",
                "audio": None,
                "save_dict": self._made() if whole else {},
            }
        )

    def _made(self) -> dict[str, Any]:
        usage = total(self.usages)
        figures = {
            **self.sampling,
            "num_prompt_tokens": usage.prompt,
            "ntokens": usage.completion,
            "t_generate": round(self.seconds, 3),
            "tokens_persecond": round(usage.completion / self.seconds, 3) if self.seconds else 0.0,
            "finish_reason": self.reason,
            "ignored": list(self.ignored),
        }
        return {
            "prompt": self.prompt,
            "output": self.response,
            "base_model": self.model,
            "display_name": self.model,
            "save_dir": "",
            "where_from": self.kind,
            "error": "",
            "extra_dict": figures,
        }


def source(passage: Passage) -> dict[str, Any]:
    """A passage, as clients list it."""
    told: dict[str, Any] = {"content": passage.text, "score": passage.score, "source": passage.source or OWN}
    return told if passage.page is None else told | {"page": passage.page}


def sampling_of(request: Request) -> dict[str, Any]:
    """How a request has the model choose its words, as far as it says."""
    sampling = getattr(request, "sampling", None)
    names = ("temperature", "top_p", "top_k", "repetition_penalty", "seed", "max_tokens")
    known = {name: getattr(sampling, name, None) for name in names}
    return {name: value for name, value in known.items() if value is not None}
