"""Stands in for espeak-ng: a tone as long as the text, and a record of how it was called.

A text of one word may ask for a fault: `hang`, `crash`, `garbage`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

TABLE = """\
Pty Language       Age/Gender VoiceName          File                 Other Languages
 5  af              --/M      Afrikaans          gmw/af
 2  en-us           --/M      English_(America)  gmw/en-US            (en 3)
 5  cmn             --/M      Chinese_(Mandarin) sit/cmn              (zh-cmn 5)(zh 5)
 5  cmn             --/M      Chinese_(Pinyin)   sit/cmn-Latn         (zh-cmn 5)(zh 5)
 5  odd             --/M      Odd                --compile=odd
"""
RATE = 22050


def main(arguments: list[str]) -> int:
    if arguments == ["--voices"]:
        print(TABLE, end="")
        return 0
    text = sys.stdin.read()
    with Path(sys.argv[0]).with_suffix(".calls").open("a") as calls:
        calls.write(json.dumps({"arguments": arguments, "text": text, "pid": os.getpid()}) + "\n")
    if text == "hang":
        time.sleep(60)
    if text == "garbage":
        print("no sound")
        return 0
    words = int(arguments[arguments.index("-s") + 1])
    samples = round(len(text) * 0.06 * RATE * 175 / words)
    # The sizes are open, as espeak-ng writes them to a pipe.
    head = b"RIFF\x24\xf0\xff\x7fWAVEfmt \x10\0\0\0\x01\0\x01\0" + RATE.to_bytes(4, "little")
    head += (2 * RATE).to_bytes(4, "little") + b"\x02\0\x10\0data\x00\xf0\xff\x7f"
    sys.stdout.buffer.write(head + b"\x10\x20\x10\xe0" * (samples // 2))
    return 3 if text == "crash" else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
