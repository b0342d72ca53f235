"""Fifty questions in many scripts, for tests of text that must be the same by every way."""

from __future__ import annotations

ENGLISH = (
    "What is the capital of France?",
    "Name three colours.",
    "Write a haiku about rain.",
    "How do birds fly?",
    "Translate 'good morning' into Spanish.",
    "Count from one to ten.",
    "Give me a recipe for pancakes.",
    "Who wrote Hamlet?",
    "Explain gravity to a child.",
    "Write a limerick.",
    "List the planets.",
    "What is 12 times 12?",
    "Describe the sea.",
    "Why do cats purr?",
    "Tell me a joke.",
    "Write an SQL query that counts users.",
    "Print hello in C.",
    'Quote: "He said \\"no\\"."',
    "Use a tab\there and a newline\nthere.",
    "A" * 300,
)
OTHER = (
    "Say \U0001f600 three times.",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 is a family. Repeat it.",
    "Repeat: \U0001f1eb\U0001f1f7 \U0001f1e9\U0001f1ea \U0001f1ef\U0001f1f5",
    "Repeat: na\u00efve caf\u00e9 \u2014 \u201cquoted\u201d",
    "\u4f60\u597d\uff0c\u4f60\u662f\u8c01\uff1f",
    "\u65e5\u672c\u306e\u9996\u90fd\u306f\u3069\u3053\u3067\u3059\u304b\uff1f",
    "\ud55c\uad6d\uc5b4\ub85c \uc778\uc0ac\ud574 \uc8fc\uc138\uc694.",
    "\u041a\u0430\u043a \u0434\u0435\u043b\u0430?",
    "\u0645\u0631\u062d\u0628\u0627",
    "Repeat: e\u0301 a\u0308 \u200b.",
)
PROMPTS = (*ENGLISH, *OTHER, *(f"Write one sentence about the number {number}." for number in range(20)))
TOKENS = 12
