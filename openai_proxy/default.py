"""What is served when no configuration names a model: small models that run on any machine.

It is kept as the text of a configuration file, so that `openai-proxy check --default` can hand it out as a start.
"""

from __future__ import annotations

import tomllib
from typing import Any

TEXT = """\
default_model = "smollm2-135m-instruct"

[models.smollm2-135m-instruct]
backend = "llama_cpp"
aliases = ["gpt-4o-mini", "gpt-4o", "gpt-3.5-turbo"]
vision = "ocr"

[models.smollm2-135m-instruct.options]
weights = "smollm2-135m-instruct"
# So small a model wanders without a system message or at a higher temperature, and repeats itself without a penalty.
system = "You are a helpful assistant."
temperature = 0.2
top_p = 0.9
repetition_penalty = 1.1

[models.all-minilm-l6-v2]
backend = "llama_cpp"
aliases = ["text-embedding-3-small", "text-embedding-ada-002"]
options = { weights = "all-minilm-l6-v2", embedding = true }

[models.whisper-base]
backend = "faster_whisper"
aliases = ["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe"]
options = { weights = "whisper-base" }

[models.hibari]
backend = "hibari"
aliases = ["tts-1", "tts-1-hd", "gpt-4o-mini-tts"]

[models.emoji]
backend = "emoji"
aliases = [
    "gpt-image-2.5-flare", "gpt-image-2.5-sunburst", "gpt-image-2", "gpt-image-1.5", "gpt-image-1", "gpt-image-1-mini",
    "chatgpt-image-latest", "dall-e-3", "dall-e-2",
]
"""


def tree() -> dict[str, Any]:
    """The parsed text; a new tree at each call."""
    return tomllib.loads(TEXT)
