"""The command line: usage, logs, baking."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from init.plan import Stage
from tests.runner.support import House, command, supervised
from tests.waiting import until


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["dance"],
        ["retry"],
        ["models", "burn"],
        ["bake", "a", "--part", "3/2"],
        ["token", "--foo"],
        ["run", "x"],
        ["serve"],
    ],
)
def test_usage_is_2(tmp_path: Path, words: list[str]) -> None:
    assert House(tmp_path, [command("a", "true")]).firstlight(*words).returncode == 2


def test_help_names_every_verb(tmp_path: Path) -> None:
    text = House(tmp_path).firstlight("--help").stdout
    verbs = (
        "run",
        "status",
        "retry",
        "models",
        "logs",
        "token",
        "timeline",
        "blame",
        "bake",
        "boot",
        "serve",
        "health",
    )
    assert [verb for verb in verbs if f"    {verb} " not in text] == []


@pytest.mark.parametrize("verb", ["token", "boot", "run", "serve", "health"])
def test_help_does_nothing_else(tmp_path: Path, verb: str) -> None:
    found = House(tmp_path).firstlight(verb, "--help")
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith(f"usage: firstlight {verb}")


def test_without_a_runner_it_says_how_to_start_one(tmp_path: Path) -> None:
    house = House(tmp_path, [command("a", "true")])
    found = house.firstlight("retry", "a")
    assert found.returncode == 1
    assert found.stderr == (
        "firstlight: the runner is not running\n"
        "  nothing of Firstlight runs here: start the container, or `./buildkit.py run NAME --local`\n"
    )
    with supervised(house):
        found = house.firstlight("retry", "a")
    assert f"start it with: {tmp_path}/home/control/bin/supervisorctl -c" in found.stderr


def test_without_a_plan_it_says_so(tmp_path: Path) -> None:
    house = House(tmp_path)
    (tmp_path / "home" / "plan.json").unlink()
    for verb in (["run"], ["status"], ["retry", "a"]):
        found = house.firstlight(*verb)
        assert found.returncode == 1
        assert "plan.json: No such file or directory\n  this is not a Firstlight machine" in found.stderr


def test_models_that_do_not_exist(tmp_path: Path) -> None:
    house = House(tmp_path)
    assert house.firstlight("models").stdout == "test has no model sets\n"
    assert house.firstlight("models", "add", "x").stderr == "firstlight: no model set 'x'; there is none\n"
    unnamed = house.firstlight("models", "add")
    assert (unnamed.returncode, unnamed.stderr) == (2, "firstlight models add: test has no model sets\n")


def test_logs(tmp_path: Path) -> None:
    house = House(tmp_path)
    logs = tmp_path / "logs"
    (logs / "stages").mkdir()
    (logs / "app.log").write_text("service\n")
    (logs / "jupyterlab.log").write_text("".join(f"{number}\n" for number in range(300)))
    for name in ("app", "app.packages", "models.a.b"):
        (logs / "stages" / f"{name}.log").write_text(f"stage {name}\n")
    names = [line.split()[0] for line in house.firstlight("logs").stdout.splitlines()]
    assert names == ["app", "jupyterlab", "service:app", "app:packages", "models:a.b"]
    assert house.firstlight("logs", "app").stdout == "stage app\n"
    assert house.firstlight("logs", "service:app").stdout == "service\n"
    assert house.firstlight("logs", "models:a.b").stdout == "stage models.a.b\n"
    assert house.firstlight("logs", "jupyterlab", "-n", "2").stdout == "298\n299\n"
    wrong = house.firstlight("logs", "jupiter")
    assert (wrong.returncode, "did you mean jupyterlab?" in wrong.stderr) == (1, True)


def test_logs_follow_through_a_rotation(tmp_path: Path) -> None:
    house = House(tmp_path)
    log = tmp_path / "logs" / "app.log"
    log.write_text("one\n")
    out = tmp_path / "out"
    argv = [sys.executable, "-m", "init.cli", "logs", "app", "-f"]
    with out.open("wb") as file, subprocess.Popen(argv, env=house.environ(), stdout=file) as process:
        until(lambda: out.read_text() == "one\n")
        with log.open("a") as more:
            more.write("two\n")
        until(lambda: out.read_text() == "one\ntwo\n")
        with log.open("a") as more:
            more.write("last words\n")
        log.rename(log.with_suffix(".1"))
        log.write_text("a longer file than the former was\n")
        shown = "one\ntwo\nlast words\na longer file than the former was\n"
        until(lambda: out.read_text() == shown)
        log.write_text("3\n")
        until(lambda: out.read_text() == f"{shown}3\n")
        process.terminate()


def baked(*stages: Stage, tmp_path: Path) -> House:
    return House(tmp_path, list(stages))


def test_what_was_baked_is_not_done_at_start(tmp_path: Path) -> None:
    stages = [
        command("a", "echo working on a; echo a >> work", at="build"),
        command("b", "echo b >> work", "a", at="build"),
        command("c", "echo c >> work", "b"),
    ]
    house = baked(*stages, tmp_path=tmp_path)
    early = house.firstlight("bake", "b")
    assert (early.returncode, early.stderr) == (1, "firstlight bake: b needs a, which is not baked\n")
    first = house.firstlight("bake", "a", SOURCE_DATE_EPOCH="1700000000")
    assert first.returncode == 0, first.stderr
    assert "working on a" in first.stdout
    assert house.firstlight("bake", "b", SOURCE_DATE_EPOCH="1700000000").returncode == 0
    record = json.loads((tmp_path / "disk/records/a.json").read_text())
    assert (record["ended"], record["took"]) == (1700000000.0, None)
    assert not (tmp_path / "logs/stages").exists()
    assert not house.paths.state.exists()
    with house.running():
        house.until_phase("ready")
    assert house.lines("work") == ["a", "b", "c"]


def test_only_the_last_part_leaves_a_record(tmp_path: Path) -> None:
    house = baked(command("a", "echo a >> work"), tmp_path=tmp_path)
    file = tmp_path / "disk/records/a.json"
    assert house.firstlight("bake", "a", "--part", "1/2").returncode == 0
    assert not file.exists()
    assert house.firstlight("bake", "a", "--part", "2/2").returncode == 0
    assert file.exists()


def test_a_failure_fails_the_build(tmp_path: Path) -> None:
    house = baked(command("a", "echo 'error: broken' >&2; exit 3"), tmp_path=tmp_path)
    found = house.firstlight("bake", "a")
    assert found.returncode == 1
    assert "error: broken" in found.stdout
    assert "firstlight bake: a failed: sh ended with 3" in found.stderr
    unknown = house.firstlight("bake", "aa")
    assert (unknown.returncode, unknown.stderr) == (1, "firstlight: no stage 'aa'; did you mean a?\n")
