"""A small maker of PDFs: pages of text in Helvetica, or whatever a page's commands draw."""

from __future__ import annotations

import textwrap
import zlib
from collections.abc import Sequence

WIDTH, HEIGHT, MARGIN, SIZE, LEADING = 595, 842, 72, 11, 15
LINES, COLUMNS = 44, 84
HEADING = "# "


def printed(text: str) -> bytes:
    """A text as pages; lines that begin with "# " are headings, empty ones are between paragraphs."""
    lines: list[str] = []
    for paragraph in text.strip().split("\n\n"):
        if paragraph.startswith(HEADING):
            lines += ["", paragraph, ""]
        else:
            lines += [*textwrap.wrap(paragraph, COLUMNS), ""]
    return document([_page(lines[first : first + LINES]) for first in range(0, len(lines), LINES)])


def _page(lines: Sequence[str]) -> bytes:
    """The commands that draw these lines."""
    drawn = [f"BT {LEADING} TL {MARGIN} {HEIGHT - MARGIN} Td"]
    for line in lines:
        size = SIZE + 3 if line.startswith(HEADING) else SIZE
        shown = line.removeprefix(HEADING).replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        drawn.append(f"/F1 {size} Tf ({shown}) Tj T*")
    return "\n".join([*drawn, "ET"]).encode("cp1252")


def document(pages: Sequence[bytes], *, trailer: str = "", more: Sequence[bytes] = ()) -> bytes:
    """A PDF whose pages have these commands, compressed; `more` are objects of one's own, numbered from 4 on."""
    first = 4 + len(more)
    numbers = range(first, first + 2 * len(pages), 2)
    kids = " ".join(f"{number} 0 R" for number in numbers)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {len(pages)} /Kids [{kids}] >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        *more,
    ]
    for number, commands in zip(numbers, pages, strict=True):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {WIDTH} {HEIGHT}] /Contents {number + 1} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>".encode()
        )
        objects.append(stream(commands))
    return _whole(objects, trailer)


def stream(data: bytes) -> bytes:
    packed = zlib.compress(data)
    return b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream" % (len(packed), packed)


def _whole(objects: Sequence[bytes], trailer: str) -> bytes:
    data = b"%PDF-1.7\n"
    places = []
    for number, each in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%b\nendobj\n" % (number, each)
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    ending = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n"
    ending += f"<< /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{len(data)}\n%%EOF\n"
    return data + ending.encode()


def encrypted(text: str = "secret") -> bytes:
    """A PDF that wants a password: one whose keys are right for none that anybody knows."""
    key = "00" * 32
    lock = f"<< /Filter /Standard /V 1 /R 2 /O <{key}> /U <{key}> /P -4 >>".encode()
    trailer = "/Encrypt 4 0 R /ID [<00> <00>]"
    return document([_page([text])], trailer=trailer, more=[lock])


def scanned() -> bytes:
    """A page with lines and no words."""
    return document([b"72 72 m 300 300 l S"])


def bomb(size: int = 450 << 20) -> bytes:
    """A page whose commands are so many bytes once they are unpacked, twice."""
    packer = zlib.compressobj(1)
    piece = b" " * (1 << 20)
    packed = b"".join([*(packer.compress(piece) for _ in range(size >> 20)), packer.flush()])
    again = zlib.compress(packed)
    content = b"<< /Length %d /Filter [/FlateDecode /FlateDecode] >>\nstream\n%b\nendstream" % (len(again), again)
    pages = b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>"
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R >>"
    return _whole([b"<< /Type /Catalog /Pages 2 0 R >>", pages, page, content], "")
