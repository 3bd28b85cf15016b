"""What is noted of a partial file: as aria2 reads it, and read as aria2 writes it."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from init.fetch import notes, stream
from tests.fetch.account import Account, noted
from tests.fetch.conftest import Background, Kitchen, spec
from tests.fetch.test_kills import Runner, aria2s
from tests.origin import Generated, Origin
from tests.waiting import until

MB = 1_000_000
SIZE = (9 << 20) + 5


@pytest.mark.parametrize("there", [0, 1, 1 << 14, 1 << 20, 5 << 20, (5 << 20) + 7, (5 << 20) + 50_000, 9 << 20])
def test_what_is_written_is_read_again(tmp_path: Path, there: int) -> None:
    partial = tmp_path / "a.part"
    partial.write_bytes(b"")
    notes.note(partial, SIZE, there)
    control = tmp_path / "a.part.aria2"
    kept = there >> 14 << 14
    assert notes.missing(control, SIZE) == [(kept, SIZE)]
    assert stream.prefix(partial, SIZE) == noted(control.read_bytes()) == kept
    assert notes.missing(control, SIZE + 1) is None, "of another file"


@pytest.mark.parametrize("damage", [slice(0, 0), slice(0, 20), slice(1, None), slice(0, 35)])
def test_what_cannot_be_read_tells_nothing(tmp_path: Path, damage: slice) -> None:
    partial = tmp_path / "a.part"
    notes.note(partial, SIZE, 5 << 20)
    control = tmp_path / "a.part.aria2"
    control.write_bytes(control.read_bytes()[damage])
    assert notes.missing(control, SIZE) is None
    assert notes.missing(tmp_path / "nothing", SIZE) is None


def test_aria2_goes_on_in_the_middle_of_a_piece(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, 4 << 20))
    kitchen.models.mkdir()
    partial, there = kitchen.models / "a.bin.part", (1 << 20) + (40 << 14)
    partial.write_bytes(b"".join(file.content.pieces(0, there)))
    notes.note(partial, file.size, there)
    kitchen.fetch(spec(file), streams=0)
    kitchen.check(file)
    asked = origin.requests(server="cdn")
    starts = [int(found[1]) for entry in asked if (found := re.match(r"bytes=(\d+)-", entry.range or ""))]
    assert min(starts) == there


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_what_aria2_writes_is_read_to_the_block(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, 40 * MB))
    origin.limit(8 * MB)
    control = kitchen.models / "a.bin.part.aria2"
    background = Background(lambda: kitchen.fetch(spec(file), streams=0))
    until(lambda: len(notes.missing(control, file.size) or ()) > 2, what="notes of what several connections fetched")
    running = aria2s(kitchen.folder)
    for pid in running:
        os.kill(pid, signal.SIGSTOP)
    until(lambda: {state(pid) for pid in running} == {"T"}, what="aria2 stands still")
    gaps = notes.missing(control, file.size)
    assert gaps is not None
    told = noted(control.read_bytes())
    assert any(start % (1 << 20) for start, _ in gaps), "pieces are under way"
    assert file.size - sum(end - start for start, end in gaps) == told
    content = (kitchen.models / "a.bin.part").read_bytes()
    at = 0
    for start, end in [*gaps, (file.size, file.size)]:
        assert content[at:start] == b"".join(file.content.pieces(at, start)), "what is listed is there"
        at = end
    for pid in running:
        os.kill(pid, signal.SIGCONT)
    origin.limit(None)
    background.join()


def test_parts_of_pieces_are_kept_when_another_runner_goes_on(kitchen: Kitchen, origin: Origin) -> None:
    """Each of aria2's connections is in its first piece, so that there is no whole one yet."""
    file = origin.hub("o/r", "a.bin", Generated(1, 40 * MB))
    account = Account(origin, kitchen.models, [file], in_flight=7 * MB)
    slow = origin.fault("slow", rate=0.2 * MB)
    first = Runner(kitchen, "one", [file], big=MB)
    until(lambda: account.kept() > 8 * MB, what="half a piece for each connection")
    first.kill()
    until(lambda: not aria2s(first.run) and all(entry.ended for entry in origin.log), what="the end of its aria2")
    account.at_a_kill()
    slow.gone = True
    origin.limit(10 * MB)
    second = Runner(kitchen, "two", [file], big=MB)
    assert second.process.wait(60) == 0
    kitchen.check(file)
    account.settled(3 * MB)
