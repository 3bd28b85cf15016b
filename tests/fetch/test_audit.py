"""Reading everything again, and the sentences of the stage."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from pathlib import Path

import pytest

from init.fetch import FetchResult, Progress, verify
from init.fetch.audit import audit
from init.fetch.ledger import Ledger, Line
from init.specs import FileSpec
from init.stages.models import sentence, summary
from tests.fetch.conftest import Kitchen, spec
from tests.origin import Generated, Origin
from tests.waiting import until

MB = 1_000_000


def test_damage_that_no_date_shows_is_found_and_repaired(kitchen: Kitchen, origin: Origin) -> None:
    good, bad, gone = (origin.hub("o/r", f"{name}.bin", Generated(name, MB)) for name in ("good", "bad", "gone"))
    plain = origin.plain("plain.bin", Generated("p", MB))
    specs = [spec(good), spec(bad), spec(gone), spec(plain, locked=False)]
    kitchen.fetch(*specs)
    damaged, times = kitchen.models / "bad.bin", (kitchen.models / "bad.bin").stat()
    with damaged.open("r+b") as file:
        file.seek(1000)
        file.write(b"x")
    os.utime(damaged, ns=(times.st_atime_ns, times.st_mtime_ns))
    (kitchen.models / "gone.bin").unlink()
    found = {f.path: f for f in audit(kitchen.models, kitchen.state, specs)}
    states = {path: f.state for path, f in found.items()}
    assert states == {"good.bin": "ok", "bad.bin": "wrong", "gone.bin": "missing", "plain.bin": "unknown"}
    assert f"should be {bad.sha256}" in found["bad.bin"].message
    kitchen.fetch(*specs)
    assert (kitchen.models / "bad.bin.bad").exists()
    assert {f.state for f in audit(kitchen.models, kitchen.state, specs[:3])} == {"ok"}


def test_a_file_brought_by_hand_is_vouched_for(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, MB))
    kitchen.models.mkdir()
    (kitchen.models / "a.bin").write_bytes(b"".join(file.content.pieces(0, MB)))
    assert [f.state for f in audit(kitchen.models, kitchen.state, [spec(file)])] == ["ok"]
    (kitchen.models / "b.bin").write_bytes(b"short")
    other = FileSpec("b.bin", file.url, size=MB)
    assert [f.message for f in audit(kitchen.models, kitchen.state, [other])] == [
        f"is 5 bytes long, and should be {MB}"
    ]


def test_a_file_that_cannot_be_read_is_wrong_and_the_others_are_read(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "b.bin", Generated("b", MB))
    kitchen.fetch(spec(file))
    (kitchen.models / "a.bin").symlink_to("/proc/self/mem")
    torn = FileSpec("a.bin", file.url, sha256="0" * 64)
    found = list(audit(kitchen.models, kitchen.state, [torn, spec(file)]))
    assert [(f.path, f.state, f.message) for f in found] == [
        ("a.bin", "wrong", "cannot be read: Input/output error"),
        ("b.bin", "ok", ""),
    ]


def test_a_file_that_was_read_right_is_vouched_for_as_long_as_the_kernel_runs(kitchen: Kitchen) -> None:
    content = b"not surely on the disk yet"
    kitchen.models.mkdir()
    (kitchen.models / "a.bin").write_bytes(content)
    known = FileSpec("a.bin", "https://example.org/a.bin", sha256=hashlib.sha256(content).hexdigest())
    assert [f.state for f in audit(kitchen.models, kitchen.state, [known])] == ["ok"]
    ledger = Ledger(kitchen.state)
    line = ledger.get("a.bin")
    assert line is not None and line.boot == ledger.boot != ""


def test_progress_in_one_line() -> None:
    some = Progress(12_300_000_000, 35_600_000_000, 410e6, 3, False)
    assert sentence(some) == "12.3 GB of 35.6 GB, 410 MB/s, 3 files left"
    assert sentence(Progress(0, None, 0.0, 1, False, failed=["a.bin"])) == "0 B, 1 file left, failed: a.bin"
    assert sentence(Progress(0, 5, 0.0, 2, False)) == "waiting for its turn, 2 files"
    assert sentence(Progress(5, 5, 0.0, 2, True)) == "verifying the last 2 files"
    assert sentence(Progress(0, 5, 0.0, 2, False, waiting_for="pod-b")) == "waiting: pod-b fetches on this volume"


def test_the_end_in_one_line() -> None:
    assert summary(FetchResult(2, 10**9, 0, 0.1)) == "2 files, 1.0 GB, all there already"
    assert summary(FetchResult(1, 10**9, 10**9, 4.0)) == "1 file, 1.0 GB in 4 s (250 MB/s)"
    unverified = FetchResult(1, 10, 10, 1.0, ["x.bin"])
    assert summary(unverified).endswith("; not verified, as no hash is known: x.bin")


def test_after_a_crash_of_the_machine_files_are_read_again_and_not_fetched(kitchen: Kitchen, origin: Origin) -> None:
    good, torn = (origin.hub("o/r", f"{name}.bin", Generated(name, MB)) for name in ("good", "torn"))
    kitchen.fetch(spec(good), spec(torn))
    ledger = json.loads((kitchen.state / "models.json").read_text())
    assert {line["boot"] for line in ledger["files"].values()} == {""}, "all is on the disk at the end"
    for line in ledger["files"].values():
        line["boot"] = "the kernel before"
    ledger["partials"]["torn.bin"] = torn.sha256
    (kitchen.state / "models.json").write_text(json.dumps(ledger))
    times = (kitchen.models / "torn.bin").stat()
    (kitchen.models / "torn.bin").write_bytes(bytes(MB))
    os.utime(kitchen.models / "torn.bin", ns=(times.st_atime_ns, times.st_mtime_ns))
    sent = origin.sent("o/r/good.bin")
    kitchen.fetch(spec(good), spec(torn))
    kitchen.check(good, torn)
    assert origin.sent("o/r/good.bin") == sent


def test_a_disk_that_does_not_take_a_file_is_told_and_the_next_start_reads_it(
    kitchen: Kitchen, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails after the kernel has taken the bytes tells so when it is asked to keep them, and only then."""
    good, lost = (origin.hub("o/r", f"{name}.bin", Generated(name, MB)) for name in ("good", "lost"))
    sync = os.fsync

    def refuse(handle: int) -> None:
        if Path(f"/proc/self/fd/{handle}").readlink().name == "lost.bin":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(handle)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        fetcher = kitchen.fetcher()
        fetcher.fetch("set", [spec(good), spec(lost)], True, threading.Event())
        said = "lost.bin is in place and verified, but the disk did not take it: Input/output error; check the volume"
        told = until(lambda: [f for f in kitchen.told if said in f.message], what="what the disk said")
        assert (told[0].set, told[0].state) == ("set", "done")
        fetcher.stop()
    assert set(json.loads((kitchen.state / "models.json").read_text())["files"]) == {"good.bin"}
    (kitchen.models / "lost.bin").write_bytes(bytes(MB))
    kitchen.fetch(spec(good), spec(lost))
    assert verify.digest(kitchen.models / "lost.bin") == lost.sha256


def test_the_ledger_is_whole_at_every_moment(tmp_path: Path) -> None:
    ledger, done, read, failed = Ledger(tmp_path), threading.Event(), threading.Event(), list[Exception]()
    ledger.put("0", Line(1, 1, "0" * 64, "sha256", "https://example.org/0"))

    def reader() -> None:
        try:
            while not done.is_set():
                assert json.loads(ledger.path.read_text())["files"]
                read.set()
        except (AssertionError, OSError, ValueError) as error:
            failed.append(error)

    thread = threading.Thread(target=reader)
    thread.start()
    until(lambda: read.is_set() or failed, what="the reader reads")
    for number in range(300):
        ledger.put(str(number), Line(1, number, "0" * 64, "sha256", "https://example.org/0"))
    done.set()
    thread.join()
    assert not failed, failed
    assert [path.name for path in tmp_path.iterdir()] == ["models.json"]


def test_a_damaged_ledger_costs_time_only(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, MB))
    kitchen.fetch(spec(file))
    (kitchen.state / "models.json").write_text('{"schema": "firstlight.led')
    asked = len(origin.log)
    assert kitchen.fetch(spec(file)).bytes_fetched == 0
    assert len(origin.log) == asked
    kitchen.check(file)
