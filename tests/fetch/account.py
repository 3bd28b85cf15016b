"""What a kill -9 leaves of downloads on a volume, against what the origin sent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from init.fetch.verify import digest
from tests.origin import Origin
from tests.origin.server import Published


class Account:
    """Files on their way from an origin to a folder, kill by kill."""

    def __init__(self, origin: Origin, models: Path, files: Sequence[Published], in_flight: int, parts: int = 0):
        """`in_flight`: bytes that one kill may cost: those that no note tells of yet; `parts`: of these, parts of
        pieces that aria2 notes, and other transports do not."""
        self.origin, self.models, self.files = origin, models, files
        self.in_flight, self.parts = in_flight, parts
        self.total = sum(file.size for file in files)
        self.there = 0
        """Bytes on the volume at the last kill."""
        self.behind = 0
        """Bytes that had been sent then and that nothing on the volume told of: in flight, or fetched in vain."""

    @property
    def sent(self) -> int:
        return sum(self.origin.sent(file.key) for file in self.files)

    def kept(self) -> int:
        """Bytes that a runner which starts now need not fetch."""
        return sum(kept(self.models, file) for file in self.files)

    def at_a_kill(self) -> None:
        """See that what was there at the last kill still is, and that this one costs what is in flight at most."""
        sent, there = self.sent, self.kept()
        behind = sent - there
        assert there >= self.there - self.parts, f"{self.there - there} bytes are gone since the last kill"
        assert behind - self.behind < self.in_flight, f"{behind - self.behind} bytes in flight, or fetched again"
        self.there, self.behind = there, behind

    def settled(self, slack: int) -> None:
        """See that after the last kill only what was missing was fetched, give or take `slack` bytes."""
        assert 0 < self.there < self.total, "the kills came before the end"
        again = self.sent - self.total - self.behind
        assert again < slack, f"{again} bytes more than what was missing after the last kill"


def kept(models: Path, file: Published) -> int:
    """Bytes of one file that are there for good: by its name, or by the notes beside its partial file."""
    final = models / file.name
    partial = final.with_name(f"{final.name}.part")
    try:
        notes = partial.with_name(f"{partial.name}.aria2").read_bytes()
    except FileNotFoundError:
        # Complete and about to get its name, or just begun.
        try:
            whole = partial.stat().st_size == file.size and digest(partial) == file.sha256
        except FileNotFoundError:
            whole = final.exists()
        return file.size if whole else 0
    return min(file.size, noted(notes))


def noted(data: bytes) -> int:
    """Bytes that a control file of aria2 lists: whole pieces, and blocks of those that are under way.

    https://aria2.github.io/manual/en/html/technical-notes.html#control-file-aria2-format
    """
    at = 10 + _number(data, 6)
    piece, size, length = _number(data, at), int.from_bytes(data[at + 4 : at + 12], "big"), _number(data, at + 20)
    at += 24
    pieces = data[at : at + length]
    there = _bits(pieces) * piece
    last = (size - 1) // piece
    if pieces[last // 8] >> (7 - last % 8) & 1:
        there -= (last + 1) * piece - size
    at += length
    under_way, at = _number(data, at), at + 4
    for _ in range(under_way):
        bits = _number(data, at + 8)
        there += _bits(data[at + 12 : at + 12 + bits]) * BLOCK
        at += 12 + bits
    return there


BLOCK = 16 * 1024


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def _bits(data: bytes) -> int:
    return int.from_bytes(data, "big").bit_count()
