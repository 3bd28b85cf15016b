"""kill -9 at any moment: only the bytes in flight come twice, and nothing unfinished stands under a final name."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest

from init.fetch.lease import Lease
from init.fetch.ledger import Ledger
from tests.fetch.account import Account
from tests.fetch.conftest import Background, Kitchen, spec
from tests.origin import Generated, Origin
from tests.origin.server import Published
from tests.waiting import until

MB = 1_000_000
HOME = Path(__file__).resolve().parents[2]
RATE = 6 * MB
SLACK = 16 * MB
"""What lay in the sockets of 32 connections, half a megabyte each, when aria2 ended or gave what followed to others."""
IN_FLIGHT = SLACK + RATE
"""At most at any moment: what lies in sockets, and a second at that rate, as aria2 notes its pieces once a second."""
FIRST = 24 * MB
"""Bytes before the first kill: so many that a second start cannot hide that it began anew."""


def aria2s(run: Path) -> list[int]:
    """Processes of the aria2s that were configured in a folder."""
    found = []
    for proc in Path("/proc").iterdir():
        if proc.name.isdigit():
            try:
                words = (proc / "cmdline").read_bytes()
                state = (proc / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if b"aria2c\0--conf-path=" in words and str(run).encode() in words and state != "Z":
                found.append(int(proc.name))
    return found


def no_unfinished_name(kitchen: Kitchen, files: list[Published]) -> None:
    """Whatever stands under a final name is the whole file."""
    from init.fetch.verify import digest

    for file in files:
        final = kitchen.models / file.name
        assert not final.exists() or digest(final) == file.sha256


def test_aria2_killed_again_and_again(kitchen: Kitchen, origin: Origin) -> None:
    files = [origin.hub("o/r", f"f{n}.bin", Generated(n, 50 * MB)) for n in range(2)]
    account = Account(origin, kitchen.models, files, IN_FLIGHT)
    origin.limit(RATE)
    chance = random.Random(7)
    background = Background(lambda: kitchen.fetch(*[spec(f) for f in files], big=100 * MB))
    for number in range(10):
        goal = origin.sent() + (chance.randrange(MB, 8 * MB) if number else FIRST)
        running = until(lambda goal=goal: origin.sent() > goal and aria2s(kitchen.folder))  # type: ignore[misc]
        account.at_a_kill()
        for pid in running:
            signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGKILL)
        until(lambda running=running: not set(running) & set(aria2s(kitchen.folder)))  # type: ignore[misc]
        no_unfinished_name(kitchen, files)
    origin.limit(5 * RATE)
    background.join()
    kitchen.check(*files)
    account.settled(SLACK)


class Runner:
    """A runner's process, and all it started."""

    def __init__(self, kitchen: Kitchen, name: str, files: list[Published], **tuning: object):
        folder = kitchen.folder / name
        folder.mkdir(exist_ok=True)
        order = {
            "models": str(kitchen.models),
            "state": str(kitchen.state),
            "environ": kitchen.environ,
            "specs": [asdict(spec(f)) for f in files],
            "tuning": tuning,
        }
        (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
        self.run = folder / "run"
        self.out = folder / "out"
        with self.out.open("ab") as out:
            argv = [sys.executable, "-m", "tests.fetch.runner", str(folder / "order.json")]
            self.process = subprocess.Popen(argv, cwd=HOME, stdout=out)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.read_text(encoding="utf-8").splitlines() if line.endswith("}")]


def test_the_runner_killed_again_and_again(kitchen: Kitchen, origin: Origin) -> None:
    files = [origin.hub("o/r", f"f{n}.bin", Generated(n, 50 * MB)) for n in range(2)]
    account = Account(origin, kitchen.models, files, IN_FLIGHT)
    origin.limit(RATE)
    chance = random.Random(11)
    for number in range(8):
        runner = Runner(kitchen, "one", files, big=100 * MB)
        goal = origin.sent() + (chance.randrange(MB, 10 * MB) if number else FIRST)
        until(lambda goal=goal: origin.sent() > goal)  # type: ignore[misc]
        runner.kill()
        until(lambda run=runner.run: not aria2s(run), what="aria2 ends with its runner")  # type: ignore[misc]
        account.at_a_kill()
        no_unfinished_name(kitchen, files)
    origin.limit(5 * RATE)
    last = Runner(kitchen, "one", files, big=100 * MB)
    assert last.process.wait(60) == 0
    kitchen.check(*files)
    account.settled(SLACK)
    asked = len(origin.log)
    again = Runner(kitchen, "one", files, big=100 * MB)
    assert again.process.wait(60) == 0
    assert len(origin.log) == asked


def test_two_runners_on_one_volume(kitchen: Kitchen, origin: Origin) -> None:
    files = [origin.hub("o/r", f"f{n}.bin", Generated(n, 6 * MB)) for n in range(2)]
    # The first one is in the middle of it for as long as the second one takes to come.
    held = origin.fault("stall", after=MB)
    first = Runner(kitchen, "one", files)
    until(lambda: origin.sent() > 0)
    second = Runner(kitchen, "two", files)
    until(lambda: any(line.get("state") == "waiting" for line in second.lines()))
    assert any("fetches on this volume; this runner waits" in str(line.get("message")) for line in second.lines())
    assert not aria2s(second.run)
    held.gone = True
    assert (first.process.wait(60), second.process.wait(60)) == (0, 0)
    kitchen.check(*files)
    assert origin.sent() < 15 * MB


def test_the_waiting_runner_takes_over_from_a_killed_one(kitchen: Kitchen, origin: Origin) -> None:
    files = [origin.hub("o/r", "f.bin", Generated(1, 20 * MB))]
    held = origin.fault("stall", after=7 * MB)
    first = Runner(kitchen, "one", files)
    until(lambda: origin.sent() > 6 * MB)
    second = Runner(kitchen, "two", files)
    until(lambda: any(line.get("state") == "waiting" for line in second.lines()))
    first.kill()
    held.gone = True
    assert second.process.wait(60) == 0
    kitchen.check(*files)
    assert origin.sent() < 32 * MB


def test_a_complete_file_without_a_name_is_not_fetched_again(kitchen: Kitchen, origin: Origin) -> None:
    """As whoever fetched it left it when it was killed while it read the file back."""
    file = origin.hub("o/r", "a.bin", Generated(1, 20 * MB))
    lease = Lease(kitchen.state)
    assert lease.acquire()
    background = Background(lambda: kitchen.fetch(spec(file)))
    until(lambda: any(state.state == "waiting" for state in kitchen.told))
    Ledger(kitchen.state).begin("a.bin", file.sha256)
    (kitchen.models / "a.bin.part").write_bytes(b"".join(file.content.pieces(0, file.size)))
    lease.release()
    assert background.join().bytes_fetched == 0
    kitchen.check(file)
    assert origin.requests(server="cdn") == []


def test_a_runner_that_has_lost_its_lease_stops_writing(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, 30 * MB))
    origin.limit(4 * MB)
    background = Background(lambda: kitchen.fetch(spec(file)))
    until(lambda: origin.sent() > 2 * MB)
    handle = os.open(kitchen.state / "fetch.lease", os.O_RDWR)

    def taken_and_heard() -> bool:
        theirs = {"me": "x", "host": "pod-b", "pid": 1, "kernel": "another", "beat": time.time()}
        os.pwrite(handle, json.dumps(theirs).encode().ljust(512), 0)
        return any(state.state == "waiting" and "pod-b fetches" in state.message for state in kitchen.told)

    until(taken_and_heard, what="it waits for the other machine")
    until(lambda: taken_and_heard() and all(e.ended for e in origin.requests(server="cdn")), what="no byte comes")
    os.close(handle)
    assert not (kitchen.models / "a.bin").exists()
    origin.limit(None)
    background.join()
    kitchen.check(file)


@pytest.mark.parametrize("alive", [True, False])
def test_a_lease_of_another_machine(tmp_path: Path, alive: bool) -> None:
    theirs = {"me": "x", "host": "pod-b", "pid": 1, "kernel": "another", "beat": 1.0}
    path = tmp_path / "fetch.lease"
    path.write_text(json.dumps(theirs))
    lease = Lease(tmp_path, beat=0.05, dead=0.4)
    assert not lease.acquire()
    assert lease.owner == "pod-b"
    began = time.monotonic()
    while alive and time.monotonic() - began < 1.0:
        theirs["beat"] = time.time()
        path.write_text(json.dumps(theirs))
        assert not lease.acquire()
    until(lease.acquire, within=15)

    def woken() -> bool:
        path.write_text(json.dumps(theirs))
        return not lease.held

    until(woken, within=15, what="this one finds that it has lost it")


def test_a_lease_in_the_middle_of_a_beat_is_given_back_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of its file may be another file's as soon as it is closed."""
    ours, write = Lease(tmp_path, beat=0.05, dead=30.0), os.pwrite
    beats, goes_on, order = threading.Event(), threading.Event(), list[str]()
    assert ours.acquire()

    def slow(handle: int, data: bytes, at: int) -> int:
        beats.set()
        assert goes_on.wait(20)
        order.append("beat")
        return write(handle, data, at)

    monkeypatch.setattr(os, "pwrite", slow)
    assert beats.wait(20)
    with ThreadPoolExecutor(1) as pool:
        released = pool.submit(ours.release)
        released.add_done_callback(lambda _: order.append("released"))
        with pytest.raises(TimeoutError):
            released.result(timeout=0.2)
        goes_on.set()
        released.result(20)
    assert order[0] == "beat" and order[-1] == "released"


def test_a_lease_is_kept_by_its_beat_and_free_at_once_when_given_back(tmp_path: Path) -> None:
    ours, theirs = Lease(tmp_path, beat=0.05, dead=30.0), Lease(tmp_path, dead=30.0)
    # On another machine: its kernel's locks and ours know nothing of each other.
    theirs._kernel = "another"
    assert ours.acquire()

    def beat() -> float:
        return float(json.loads(ours.path.read_text())["beat"])

    first = beat()
    until(lambda: beat() > first, within=15)
    assert not theirs.acquire()
    ours.release()
    assert theirs.acquire()
    theirs.release()
