"""Languages as AIME's endpoints call them, by codes of ISO 639-3, -> those of ISO 639-1 that engines know."""

from __future__ import annotations

CODES = {
    **{"ara": "ar", "ces": "cs", "cmn": "zh", "dan": "da", "deu": "de", "ell": "el", "eng": "en", "fin": "fi"},
    **{"fra": "fr", "heb": "he", "hin": "hi", "hun": "hu", "ind": "id", "ita": "it", "jpn": "ja", "kor": "ko"},
    **{"nld": "nl", "nob": "no", "nor": "no", "pol": "pl", "por": "pt", "ron": "ro", "rus": "ru", "slk": "sk"},
    **{"spa": "es", "swe": "sv", "tha": "th", "tur": "tr", "ukr": "uk", "vie": "vi", "zho": "zh"},
}


def code_of(language: str) -> str:
    """The shorter code; what is not known here stays as it is."""
    return CODES.get(language.lower(), language.lower())
