"""Model sets through the runner, with the real fetcher and aria2."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from init.plan import Stage
from init.specs import FileSpec, ModelsSpec
from tests.origin import Origin
from tests.origin.content import Generated
from tests.runner.support import House, command
from tests.waiting import until


def models(origin: Origin, name: str, **fields: Any) -> Stage:
    files = []
    for number in range(2):
        published = origin.hub("org/repo", f"{name}/{number}.bin", Generated(f"{name}{number}", 3_000_000))
        files.append(
            FileSpec(f"{name}/{number}.bin", published.url, published.commit or None, published.size, published.sha256)
        )
    return Stage(f"models:{name}", "models", name, [], ModelsSpec(name, files, **fields), uses="net")


def listed(house: House) -> list[str]:
    """What `firstlight models` prints, with single blanks."""
    return [" ".join(line.split()) for line in house.firstlight("models").stdout.splitlines()]


def test_sets_are_fetched_added_verified_and_dropped(tmp_path: Path, origin: Origin) -> None:
    stages = [models(origin, "base", default=True, required=True), models(origin, "extra", license="MIT")]
    house = House(tmp_path, [*stages, command("after", "ls -l $FIRSTLIGHT_MODELS/base", "models:base")])
    environ = {"HF_ENDPOINT": origin.url}
    assert "no model file is in" in house.firstlight("models", "verify").stdout
    with house.running(**environ):
        snapshot = house.until_phase("ready", within=40)
        until(lambda: listed(house)[1] == "extra 6.0 MB 2 files not selected, MIT", within=10)
        assert house.states() == {"models:base": "done", "models:extra": "skipped", "after": "done"}
        assert {(file.path, file.state) for file in snapshot.files} == {("base/0.bin", "done"), ("base/1.bin", "done")}
        assert house.stage("models:base").bytes_total == 6_000_000

        unknown = house.firstlight("models", "add", "nosuch").stderr
        assert unknown == "firstlight: no model set 'nosuch'; there is base, extra\n"
        added = house.firstlight("models", "add", "extra")
        assert (added.returncode, added.stderr) == (0, "")
        house.until({"models:extra": "done"}, within=40)
        assert (house.workspace / "models/extra/1.bin").stat().st_size == 3_000_000

        both = ["base 6.0 MB 2 files verified, needed", "extra 6.0 MB 2 files verified, MIT"]
        until(lambda: listed(house) == both, within=10, what=both[1])
        assert house.firstlight("models", "verify").returncode == 0
        (house.workspace / "models/extra/1.bin").write_bytes(b"x" * 3_000_000)
        verified = house.firstlight("models", "verify")
        assert verified.returncode == 1
        assert "wrong   extra/1.bin: its SHA-256 is" in verified.stdout
        assert verified.stderr == "to repair: firstlight retry models:extra\n"
        assert house.firstlight("retry", "models:extra").returncode == 0
        until(lambda: house.firstlight("models", "verify", "extra").returncode == 0, within=30, every=0.5)
        house.until({"models:extra": "done"})

    asked = len(origin.requests(method="GET"))
    with house.running(**environ):
        house.until({"models:base": "done", "models:extra": "done", "after": "done"})
        assert len(origin.requests(method="GET")) == asked
        dropped = house.firstlight("models", "drop", "extra", "--delete")
        assert dropped.stdout == "extra is dropped, 6.0 MB are free again\n"
        house.until({"models:extra": "skipped"})
        until(lambda: listed(house)[1] == "extra 6.0 MB 2 files not selected, MIT", within=10)
    assert len(list((house.workspace / "models").glob("*/*.bin"))) == 2


def test_damage_that_no_date_shows_is_found_and_repaired(tmp_path: Path, origin: Origin) -> None:
    house = House(tmp_path, [models(origin, "base", default=True, required=True)])
    with house.running(HF_ENDPOINT=origin.url):
        house.until_phase("ready", within=40)
        damaged = house.workspace / "models/base/1.bin"
        right, times = damaged.read_bytes(), damaged.stat()
        damaged.write_bytes(b"x" + right[1:])
        os.utime(damaged, ns=(times.st_atime_ns, times.st_mtime_ns))
        (house.workspace / "models/base/0.bin").unlink()
        verified = house.firstlight("models", "verify")
        assert verified.returncode == 1
        assert verified.stdout.splitlines()[0] == "missing base/0.bin: not there"
        assert verified.stdout.splitlines()[1].startswith("wrong   base/1.bin: its SHA-256 is ")
        assert verified.stderr == "to repair: firstlight retry models:base\n"
        assert house.firstlight("retry", "models:base").returncode == 0
        until(lambda: house.firstlight("models", "verify").returncode == 0, within=30, every=0.5)
        house.until({"models:base": "done"})
        assert damaged.read_bytes() == right


def test_what_nobody_can_tell_or_note_is_said(tmp_path: Path) -> None:
    content = b"brought by hand"
    known = FileSpec("base/known.bin", "hf://org/repo/known.bin", "main", sha256=hashlib.sha256(content).hexdigest())
    other = FileSpec("base/other.bin", "hf://org/repo/other.bin", "main")
    house = House(tmp_path, [Stage("models:base", "models", "base", [], ModelsSpec("base", [known, other]))])
    (house.workspace / "models/base").mkdir(parents=True)
    for name in ("known", "other"):
        (house.workspace / f"models/base/{name}.bin").write_bytes(content)
    verified = house.firstlight("models", "verify")
    assert (verified.returncode, verified.stderr) == (0, "")
    assert verified.stdout == "fine    base/known.bin\nunknown base/other.bin: no hash is known\n"

    shutil.rmtree(house.workspace / ".firstlight")
    (house.workspace / ".firstlight").touch()
    verified = house.firstlight("models", "verify")
    assert verified.returncode == 1
    assert verified.stderr == (
        f"firstlight models verify: {house.workspace}/.firstlight: File exists\n"
        "  the result cannot be noted: make room there or make it writable, then verify again\n"
    )


def test_a_file_of_another_set_stays_when_one_is_dropped(tmp_path: Path, origin: Origin) -> None:
    one, two = models(origin, "one", default=True), models(origin, "two", default=True)
    assert isinstance(one.spec, ModelsSpec) and isinstance(two.spec, ModelsSpec)
    shared = replace(two, spec=replace(two.spec, files=[*two.spec.files, one.spec.files[0]]))
    house = House(tmp_path, [one, shared])
    with house.running(HF_ENDPOINT=origin.url):
        house.until_phase("ready", within=40)
        dropped = house.firstlight("models", "drop", "two", "--delete")
        assert dropped.stdout == "two is dropped, 6.0 MB are free again\n"
        assert (house.workspace / "models/one/0.bin").exists()
        assert not (house.workspace / "models/two/0.bin").exists()
        assert house.firstlight("models", "drop", "one").returncode == 0
        assert len(list((house.workspace / "models/one").iterdir())) == 2, "without --delete they stay"


def test_what_was_made_of_models_stays_when_they_are_fetched_again(tmp_path: Path, origin: Origin) -> None:
    house = House(tmp_path, [models(origin, "base", default=True), command("after", "echo x >> after", "models:base")])
    with house.running(HF_ENDPOINT=origin.url):
        house.until_phase("ready", within=40)
        assert house.firstlight("retry", "models:base").returncode == 0
        until(lambda: house.stage("after").message == "kept from an earlier start", within=40)
    assert house.lines("after") == ["x"]


def test_a_file_cut_short_between_two_starts_is_fetched_again(tmp_path: Path, origin: Origin) -> None:
    house = House(tmp_path, [models(origin, "base", default=True)])
    file = house.workspace / "models/base/1.bin"
    with house.running(HF_ENDPOINT=origin.url):
        house.until_phase("ready", within=40)
    os.truncate(file, 1_000_000)
    with house.running(HF_ENDPOINT=origin.url):
        house.until_phase("ready", within=40)
        assert file.stat().st_size == 3_000_000


def test_after_a_crash_of_the_machine_what_was_not_on_the_disk_is_read_again(tmp_path: Path, origin: Origin) -> None:
    """The files have their names, sizes and dates, and one lost its content with the machine's memory."""
    house = House(tmp_path, [models(origin, "base", default=True, required=True)])
    with house.running(HF_ENDPOINT=origin.url):
        house.until_phase("ready", within=40)
    ledger = house.workspace / ".firstlight/models.json"
    known = json.loads(ledger.read_text())
    for line in known["files"].values():
        line["boot"] = "the kernel before"
    ledger.write_text(json.dumps(known))
    lost = house.workspace / "models/base/1.bin"
    times, content = lost.stat(), lost.read_bytes()
    lost.write_bytes(bytes(3_000_000))
    os.utime(lost, ns=(times.st_atime_ns, times.st_mtime_ns))
    sent = origin.sent("org/repo/base/0.bin")
    with house.running(HF_ENDPOINT=origin.url):
        house.until_phase("ready", within=40)
        assert lost.read_bytes() == content
    assert origin.sent("org/repo/base/0.bin") == sent > 0


def test_a_set_whose_sizes_the_lock_does_not_know_is_whole_in_the_end(tmp_path: Path, origin: Origin) -> None:
    stage = models(origin, "new", default=True)
    assert isinstance(stage.spec, ModelsSpec)
    files = [replace(file, size=None, sha256=None) for file in stage.spec.files]
    house = House(tmp_path, [replace(stage, spec=replace(stage.spec, files=files))])

    def shown() -> list[tuple[int | None, int, int]]:
        snapshot = house.snapshot()
        return [(each.bytes_total, each.bytes_have, each.verified) for each in snapshot.sets] if snapshot else []

    for _ in range(2):
        with house.running(HF_ENDPOINT=origin.url):
            house.until({"models:new": "done"}, within=40)
            until(lambda: shown() == [(6_000_000, 6_000_000, 2)], within=10, what="all of it, and no more to come")
            assert house.firstlight("models").stdout.split() == [
                *["new", "6.0", "MB", "2", "files", "verified,", "by", "default"]
            ]


def test_a_set_can_be_dropped_while_it_is_fetched(tmp_path: Path, origin: Origin) -> None:
    origin.limit(500_000)
    house = House(tmp_path, [models(origin, "slow", default=True), command("after", "true", "models:slow")])
    with house.running(HF_ENDPOINT=origin.url):
        until(lambda: (house.stage("models:slow").bytes_done or 0) > 0, within=30)
        assert house.states()["after"] == "waiting"
        assert "its files stay" in house.firstlight("models", "drop", "slow").stdout
        house.until({"models:slow": "skipped", "after": "done"})
        house.until_phase("ready")
    with house.running(HF_ENDPOINT=origin.url):
        house.until({"models:slow": "skipped"})


def test_a_set_that_fails_says_why_and_a_retry_fetches_it(tmp_path: Path, origin: Origin) -> None:
    stage = replace(models(origin, "lost", default=True), attempts=1, consequence="No model.")
    gone = origin.fault("status", "org/repo/lost/1.bin", status=404, code="EntryNotFound", server="hub")
    house = House(tmp_path, [stage, command("after", "true", "models:lost")])
    with house.running(HF_ENDPOINT=origin.url):
        house.until({"models:lost": "failed", "after": "blocked"}, within=40)
        failed = house.stage("models:lost")
        assert (failed.consequence, failed.repair) == ("No model.", "firstlight retry models:lost")
        assert "lost/1.bin: Hugging Face answered 404: there is no such file" in failed.message
        assert not (house.workspace / "models/lost/1.bin").exists()
        sent, gone.gone = origin.sent("org/repo/lost/0.bin"), True
        assert house.firstlight("retry", "models:lost").returncode == 0
        house.until({"models:lost": "done", "after": "done"}, within=40)
        assert (house.workspace / "models/lost/1.bin").stat().st_size == 3_000_000
        assert origin.sent("org/repo/lost/0.bin") == sent, "what was there is not fetched again"
