"""Model sets through the runner, with the real fetcher and aria2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from init.plan import FileSpec, ModelsSpec, Stage
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


def test_sets_are_fetched_added_verified_and_dropped(tmp_path: Path, origin: Origin) -> None:
    stages = [models(origin, "base", default=True, required=True), models(origin, "extra")]
    house = House(tmp_path, [*stages, command("after", "ls -l $FIRSTLIGHT_MODELS/base", "models:base")])
    environ = {"HF_ENDPOINT": origin.url}
    assert "no model file is in" in house.firstlight("models", "verify").stdout
    with house.running(**environ):
        snapshot = house.until_phase("ready", within=40)
        assert house.states() == {"models:base": "done", "models:extra": "skipped", "after": "done"}
        assert {(file.path, file.state) for file in snapshot.files} == {("base/0.bin", "done"), ("base/1.bin", "done")}
        assert house.stage("models:base").bytes_total == 6_000_000

        added = house.firstlight("models", "add", "extra")
        assert (added.returncode, added.stderr) == (0, "")
        house.until({"models:extra": "done"}, within=40)
        assert (house.workspace / "models/extra/1.bin").stat().st_size == 3_000_000

        listed = house.firstlight("models").stdout.splitlines()
        assert [line.split() for line in listed] == [
            ["base", "6.0", "MB", "2", "files", "done,", "required"],
            ["extra", "6.0", "MB", "2", "files", "done"],
        ]
        assert house.firstlight("models", "verify").returncode == 0
        (house.workspace / "models/extra/1.bin").write_bytes(b"x" * 3_000_000)
        verified = house.firstlight("models", "verify")
        assert verified.returncode == 1
        assert "wrong  extra/1.bin: its SHA-256 is" in verified.stdout
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
    assert len(list((house.workspace / "models").glob("*/*.bin"))) == 2


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
    stage = models(origin, "lost", default=True)
    assert isinstance(stage.spec, ModelsSpec)
    missing = ModelsSpec("lost", [FileSpec("lost/0.bin", "hf://org/repo/none.bin", "main")], default=True)
    house = House(tmp_path, [Stage("models:lost", "models", "lost", [], missing, attempts=1, consequence="No model.")])
    with house.running(HF_ENDPOINT=origin.url):
        house.until({"models:lost": "failed"}, within=40)
        failed = house.stage("models:lost")
        assert (failed.consequence, failed.repair) == ("No model.", "firstlight retry models:lost")
        assert failed.message
