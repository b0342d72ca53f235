"""English text as it is spoken: so that "7" and "seven", "Dr." and "doctor" count as the same words."""

from __future__ import annotations

import re

TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", *TEENS]
TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
ORDINALS |= {"twelve": "twelfth"}
SHORT = {"mr": "mister", "mrs": "missus", "dr": "doctor", "st": "street", "km": "kilometers", "kg": "kilograms"}
BRITISH = {"kilometres": "kilometers", "metres": "meters", "ok": "okay", "o'clock": "oclock"}
MONEY = re.compile(r"[$€£](\d[\d,]*(?:\.\d+)?)")
NUMBER = re.compile(r"(\d[\d,]*)(?:\.(\d+))?(st|nd|rd|th)?")
MONTH = "january|february|march|april|may|june|july|august|september|october|november|december"
DAY = re.compile(rf"\b({MONTH}) (\d{{1,2}})\b(?!\d|:|st|nd|rd|th)")
UNITS = {"$": "dollars", "€": "euros", "£": "pounds"}


def number(value: int) -> str:
    """Below a million, without "and"."""
    if value < 20:
        return ONES[value]
    if value < 100:
        return f"{TENS[value // 10]} {ONES[value % 10] if value % 10 else ''}".strip()
    if value < 1000:
        return f"{ONES[value // 100]} hundred {number(value % 100) if value % 100 else ''}".strip()
    return f"{number(value // 1000)} thousand {number(value % 1000) if value % 1000 else ''}".strip()


def year(value: int) -> str:
    """As years are read: by hundreds, but for the first ones of a millennium."""
    if value % 1000 < 10:
        return number(value)
    low = value % 100
    return f"{number(value // 100)} {'hundred' if not low else 'oh ' + ONES[low] if low < 10 else number(low)}"


def ordinal(value: int) -> str:
    *before, last = number(value).split()
    ending = ORDINALS.get(last) or (f"{last[:-1]}ieth" if last.endswith("y") else f"{last.removesuffix('e')}th")
    return " ".join([*before, "eighth" if last == "eight" else ending])


def _written(found: re.Match[str]) -> str:
    whole, fraction, ending = found.groups()
    value = int(whole.replace(",", ""))
    if ending:
        text = ordinal(value)
    elif "," not in whole and fraction is None and 1100 <= value < 2100:
        text = year(value)
    else:
        text = number(value) if value < 10**6 else whole
    digits = " ".join(ONES[int(digit)] for digit in fraction or "")
    return f" {text} point {digits} " if digits else f" {text} "


def spoken(text: str) -> str:
    """The text in plain words: no signs, capitals or digits."""
    text = MONEY.sub(lambda found: f"{found[1]} {UNITS[found[0][0]]}", text.lower().replace("’", "'"))
    text = re.sub(r"(\d+\.\d+) dollars", lambda found: found[1].replace(".", " dollars "), text)
    text = re.sub(r"(\d{1,2}):(\d\d)", lambda found: f"{found[1]} {found[2] if found[2] != '00' else 'oclock'}", text)
    text = DAY.sub(lambda found: f"{found[1]} {ordinal(int(found[2]))}", text)
    text = NUMBER.sub(_written, text.replace("%", " percent "))
    words = re.findall(r"[a-z']+", text.replace("-", " "))
    return " ".join(SHORT.get(word, BRITISH.get(word, word)) for word in words if word != "and")
