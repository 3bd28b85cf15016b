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
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.fetch.conftest import Background, Kitchen, spec
from tests.origin import Generated, Origin
from tests.origin.server import Published
from tests.waiting import until

MB = 1_000_000
HOME = Path(__file__).resolve().parents[2]
SLACK_A_KILL = 6 * MB
"""What one second at the tests' rate brings (aria2 notes its pieces once a second), and what lay in socket buffers."""


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
    files = [origin.hub("o/r", f"f{n}.bin", Generated(n, 20 * MB)) for n in range(3)]
    origin.limit(5 * MB)
    chance, kills = random.Random(7), 0
    background = Background(lambda: kitchen.fetch(*[spec(f) for f in files]))
    while not background.over and kills < 12:
        running = until(lambda: aria2s(kitchen.folder) or background.over, within=20)
        # The moment is drawn by chance; nothing is waited for.
        threading.Event().wait(chance.uniform(0.05, 1.6))
        for pid in running if isinstance(running, list) else ():
            try:
                signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGKILL)
                kills += 1
            except ProcessLookupError:
                continue
        no_unfinished_name(kitchen, files)
    origin.limit(None)
    background.join()
    kitchen.check(*files)
    assert kills >= 12
    assert origin.sent() < 60 * MB + kills * SLACK_A_KILL


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
    files = [origin.hub("o/r", f"f{n}.bin", Generated(n, 16 * MB)) for n in range(3)]
    origin.limit(8 * MB)
    chance, kills = random.Random(11), 8
    for _ in range(kills):
        runner = Runner(kitchen, "one", files)
        before = origin.sent()
        until(lambda before=before, runner=runner: origin.sent() > before or runner.process.poll() is not None)  # type: ignore[misc]
        threading.Event().wait(chance.uniform(0.0, 1.5))
        runner.kill()
        until(lambda run=runner.run: not aria2s(run), what="aria2 ends with its runner")  # type: ignore[misc]
        no_unfinished_name(kitchen, files)
    origin.limit(None)
    last = Runner(kitchen, "one", files)
    assert last.process.wait(60) == 0
    kitchen.check(*files)
    assert origin.sent() < 48 * MB + kills * 10 * MB
    asked = len(origin.log)
    again = Runner(kitchen, "one", files)
    assert again.process.wait(60) == 0
    assert len(origin.log) == asked


def test_two_runners_on_one_volume(kitchen: Kitchen, origin: Origin) -> None:
    files = [origin.hub("o/r", f"f{n}.bin", Generated(n, 6 * MB)) for n in range(2)]
    origin.limit(6 * MB)
    first = Runner(kitchen, "one", files)
    until(lambda: origin.sent() > 0)
    second = Runner(kitchen, "two", files)
    until(lambda: any(line.get("state") == "waiting" for line in second.lines()))
    assert any("fetches on this volume; this runner waits" in str(line.get("message")) for line in second.lines())
    assert not aria2s(second.run)
    origin.limit(None)
    assert (first.process.wait(60), second.process.wait(60)) == (0, 0)
    kitchen.check(*files)
    assert origin.sent() < 15 * MB


def test_the_waiting_runner_takes_over_from_a_killed_one(kitchen: Kitchen, origin: Origin) -> None:
    files = [origin.hub("o/r", "f.bin", Generated(1, 20 * MB))]
    origin.limit(5 * MB)
    first = Runner(kitchen, "one", files)
    until(lambda: origin.sent() > 6 * MB)
    second = Runner(kitchen, "two", files)
    until(lambda: any(line.get("state") == "waiting" for line in second.lines()))
    first.kill()
    origin.limit(None)
    assert second.process.wait(60) == 0
    kitchen.check(*files)
    assert origin.sent() < 32 * MB


@pytest.mark.parametrize("alive", [True, False])
def test_a_lease_of_another_machine(tmp_path: Path, alive: bool) -> None:
    from init.fetch.lease import Lease

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
    until(lease.acquire, within=5)
    # The other machine wakes up again and finds that it has lost it.
    path.write_text(json.dumps(theirs))
    until(lambda: not lease.held, within=5)
