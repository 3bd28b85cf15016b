"""What is there of a partial file, in the words of aria2's control file beside it: pieces, and blocks of some.

https://aria2.github.io/manual/en/html/technical-notes.html#control-file-aria2-format
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from init.fetch.job import control

PIECE = 1 << 20
BLOCK = 1 << 14
VERSION = b"\0\1"


def missing(path: Path, size: int | None) -> list[tuple[int, int]] | None:
    """The ranges that a control file does not list as there; None when it cannot be read as one for `size`."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    at = 10 + _number(data, 6)
    piece, total, length = _number(data, at), _number(data, at + 4, 8), _number(data, at + 20)
    at += 24
    whole, unfinished = data[at : at + length], dict(_unfinished(data, at + length))
    if data[:2] != VERSION or total != size or piece <= 0 or len(whole) * 8 * piece < total:
        return None
    gaps: list[tuple[int, int]] = []
    for number in range((total + piece - 1) // piece):
        if _has(whole, number):
            continue
        for start, end in _absent(number * piece, min(total, (number + 1) * piece), unfinished.get(number, b"")):
            if gaps and gaps[-1][1] == start:
                gaps[-1] = (gaps[-1][0], end)
            else:
                gaps.append((start, end))
    return gaps


def _unfinished(data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Number and blocks of each piece that is under way."""
    count, at = _number(data, at), at + 4
    for _ in range(count):
        length = _number(data, at + 8)
        blocks = data[at + 12 : at + 12 + length]
        if not length or len(blocks) < length:
            return
        yield _number(data, at), blocks
        at += 12 + length


def _absent(start: int, end: int, blocks: bytes) -> Iterator[tuple[int, int]]:
    if not blocks:
        yield start, end
        return
    for number, at in enumerate(range(start, end, BLOCK)):
        if not _has(blocks, number):
            yield at, min(end, at + BLOCK)


def note(partial: Path, size: int, there: int) -> None:
    """Write the control file of a partial file that has its first `there` bytes. Raises OSError."""
    whole, rest = divmod(there, PIECE)
    pieces, number = _first(whole, _count(size, PIECE)), int.to_bytes
    head = VERSION + bytes(8) + number(PIECE, 4, "big") + number(size, 8, "big") + bytes(8)
    text = head + number(len(pieces), 4, "big") + pieces
    if blocks := rest // BLOCK:
        length = min(PIECE, size - whole * PIECE)
        bits = _first(blocks, _count(length, BLOCK))
        text += b"".join(number(each, 4, "big") for each in (1, whole, length, len(bits))) + bits
    else:
        text += bytes(4)
    path = control(partial)
    new = path.with_name(f"{path.name}__temp")
    new.write_bytes(text)
    new.replace(path)


def _first(count: int, of: int) -> bytes:
    """A field of `of` bits, the first `count` of them set."""
    length = _count(of, 8)
    return ((1 << count) - 1 << length * 8 - count).to_bytes(length, "big")


def _count(amount: int, step: int) -> int:
    return (amount + step - 1) // step


def _has(bits: bytes, number: int) -> bool:
    return bool(number // 8 < len(bits) and bits[number // 8] >> (7 - number % 8) & 1)


def _number(data: bytes, at: int, length: int = 4) -> int:
    return int.from_bytes(data[at : at + length], "big")
