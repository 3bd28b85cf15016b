"""Reading everything again, and the sentences of the stage."""

from __future__ import annotations

import json
import os

from init.fetch import FetchResult, Progress
from init.fetch.audit import audit
from init.plan import FileSpec
from init.stages.models import sentence, summary
from tests.fetch.conftest import Kitchen, spec
from tests.origin import Generated, Origin

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


def test_progress_in_one_line() -> None:
    some = Progress(12_300_000_000, 35_600_000_000, 410e6, 3, False)
    assert sentence(some) == "12.3 GB of 35.6 GB, 410.0 MB/s, 3 files left"
    assert sentence(Progress(0, None, 0.0, 1, False, failed=["a.bin"])) == "0 B, 1 file left, failed: a.bin"
    assert sentence(Progress(0, 5, 0.0, 2, False)) == "waiting for its turn, 2 files"
    assert sentence(Progress(5, 5, 0.0, 2, True)) == "verifying the last 2 files"
    assert sentence(Progress(0, 5, 0.0, 2, False, waiting_for="pod-b")) == "waiting: pod-b fetches on this volume"


def test_the_end_in_one_line() -> None:
    assert summary(FetchResult(2, 10**9, 0, 0.1)) == "2 files, 1.0 GB, all there already"
    assert summary(FetchResult(1, 10**9, 10**9, 4.0)) == "1 file, 1.0 GB in 4 s (250.0 MB/s)"
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
    (kitchen.models / "torn.bin").write_bytes(bytes(MB))
    sent = origin.sent("o/r/good.bin")
    kitchen.fetch(spec(good), spec(torn))
    kitchen.check(good, torn)
    assert origin.sent("o/r/good.bin") == sent


def test_a_damaged_ledger_costs_time_only(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, MB))
    kitchen.fetch(spec(file))
    (kitchen.state / "models.json").write_text('{"schema": "firstlight.led')
    asked = len(origin.log)
    assert kitchen.fetch(spec(file)).bytes_fetched == 0
    assert len(origin.log) == asked
    kitchen.check(file)
