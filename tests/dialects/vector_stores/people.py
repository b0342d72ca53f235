"""Who asks, by their keys, and a document of theirs."""

from __future__ import annotations

from openai_proxy import keys

ANN, BOB, OPS = (keys.new(name)[0] for name in ("ann", "bob", "ops"))
TEXT = b"The word kumquat stands here.\n\nAnd quokka stands there."
