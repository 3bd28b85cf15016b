"""The fast lane: one connection for each big file of a fast origin, and aria2 wherever that is not enough."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from init.fetch import notes
from tests.fetch.account import Account
from tests.fetch.conftest import Background, Kitchen, spec
from tests.fetch.test_kills import Runner
from tests.origin import Generated, Origin
from tests.waiting import until

MB = 1_000_000


def test_a_fast_origin_is_asked_once_a_file(kitchen: Kitchen, origin: Origin) -> None:
    files = [origin.hub("o/r", f"f{n}.bin", Generated(n, 12 * MB)) for n in range(3)]
    found = kitchen.fetch(*[spec(f) for f in files], big=MB)
    kitchen.check(*files)
    assert found.bytes_fetched == 36 * MB
    asked = origin.requests(server="cdn")
    assert [e.headers["User-Agent"] for e in asked] == ["firstlight/1"] * 3
    assert "read back" not in kitchen.messages()


def test_where_one_connection_is_slow_aria2_goes_on(kitchen: Kitchen, origin: Origin) -> None:
    files = [origin.hub("o/r", f"f{n}.bin", Generated(n, 24 * MB)) for n in range(3)]
    origin.fault("slow", rate=5 * MB)
    kitchen.fetch(*[spec(f) for f in files], big=MB)
    kitchen.check(*files)
    asked = origin.requests(server="cdn")
    assert sum(e.headers["User-Agent"] == "firstlight/1" for e in asked) <= 4, "tried once, and not again"
    assert sum(e.headers["User-Agent"] == "firstlight/1 aria2" for e in asked) > 12
    assert origin.sent() < 72 * MB + 8 * MB, "what it had is kept"


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("reset", {"after": 10 * MB, "times": 1}),
        ("truncate", {"after": 10 * MB, "times": 1}),
        ("expire", {"after": 10 * MB}),
        ("stall", {"after": 10 * MB, "agent": "firstlight/1"}),
        ("status", {"status": 503, "server": "cdn", "times": 2}),
        ("corrupt", {"at": 15 * MB, "times": 1}),
        ("no-range", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_fast_lane_overcomes_a_passing_fault(
    kitchen: Kitchen, origin: Origin, kind: Any, settings: dict[str, Any]
) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, 24 * MB))
    fault = origin.fault(kind, "o/r/*", **settings)
    # However slow the machine is: what goes wrong meets the fast lane, and nothing else ends it.
    patience = 5.0 if kind == "stall" else 90.0
    found = kitchen.fetch(spec(file), big=MB, fast=0, stall=patience)
    kitchen.check(file)
    assert fault.met
    assert found.bytes_fetched >= 24 * MB, "what came before the fault counts"
    assert origin.requests(server="cdn", method="GET")[0].headers["User-Agent"] == "firstlight/1"
    assert origin.sent() < 24 * MB * (2.5 if kind == "corrupt" else 1.5)


@pytest.mark.parametrize("lane", ["stream", "plain"])
def test_what_is_there_is_of_use_where_ranges_are_ignored(
    kitchen: Kitchen, origin: Origin, tmp_path: Path, lane: str
) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, 12 * MB))
    fault = origin.fault("no-range")
    kitchen.models.mkdir()
    partial = kitchen.models / "a.bin.part"
    partial.write_bytes(b"".join(file.content.pieces(0, 5 << 20)))
    notes.note(partial, file.size, 5 << 20)
    if lane == "plain":
        kitchen.environ["PATH"] = str(tmp_path)
    kitchen.fetch(spec(file), big=MB, streams=1 if lane == "stream" else 0)
    kitchen.check(file)
    assert fault.met == 1
    assert "has other content" not in kitchen.messages()


def test_a_runner_killed_in_the_fast_lane_goes_on_where_it_was(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, 500 * MB))
    rate = 60 * MB
    # It notes what it has twice a second.
    account = Account(origin, kitchen.models, [file], in_flight=rate)
    origin.limit(rate)
    for amount in (150 * MB, 5 * MB, 80 * MB):
        sent, asked = origin.sent(), len(origin.requests(server="cdn"))
        runner = Runner(kitchen, "one", [file], big=MB, fast=0)
        until(lambda goal=sent + amount: origin.sent() > goal)  # type: ignore[misc]
        runner.kill()
        until(lambda: all(entry.ended for entry in origin.log), what="the origin sees it")
        first = origin.requests(server="cdn")[asked]
        assert first.headers["User-Agent"] == "firstlight/1"
        assert first.range == (f"bytes={account.there}-" if account.there else None)
        account.at_a_kill()
    last = Runner(kitchen, "one", [file], big=MB, fast=0)
    assert last.process.wait(60) == 0
    kitchen.check(file)
    account.settled(10 * MB)


def test_a_reader_that_is_killed_is_replaced(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, 120 * MB))
    origin.limit(60 * MB)
    background = Background(lambda: kitchen.fetch(spec(file), big=MB, fast=0))
    until(lambda: origin.sent() > 10 * MB)
    mine = f"init.fetch.reader\0{os.getpid()}\0"
    for proc in Path("/proc").iterdir():
        if proc.name.isdigit():
            try:
                if mine.encode() in (proc / "cmdline").read_bytes():
                    os.kill(int(proc.name), signal.SIGKILL)
            except OSError:
                continue
    background.join()
    kitchen.check(file)
    assert origin.sent() < 130 * MB + 60 * MB
