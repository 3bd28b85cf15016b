"""`SETUP=guided`: nothing begins before the user says so, and what has begun stays so."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from init.plan import Stage
from init.specs import NotebookSpec
from tests.origin import Origin
from tests.runner.support import House, command, service, supervised
from tests.runner.test_models import models
from tests.waiting import until

GUIDED = {"SETUP": "guided"}


def marked(id: str, *needs: str) -> Stage:
    """Leaves a line each time that it runs."""
    return command(id, f"echo {id} >> done.txt", *needs)


def waits(house: House, *keys: str) -> None:
    """Until these wait for the user, and say so."""
    for key in keys:
        said = f"waits for you: `firstlight start {key}`"
        until(lambda key=key: house.states().get(key) == "waiting", what=key)  # type: ignore[misc]
        until(lambda key=key: message(house, key), what=f"{key} says something")  # type: ignore[misc]
        assert message(house, key) == said


def message(house: House, key: str) -> str:
    service = key.startswith("service:")
    return house.service(key.removeprefix("service:")).message if service else house.stage(key).message


def test_everything_waits_and_each_word_begins_a_part_with_what_it_needs(tmp_path: Path) -> None:
    house = House(tmp_path, [marked("env"), marked("code"), marked("packages", "env", "code"), marked("other")])
    with house.running(**GUIDED):
        waits(house, "env", "code", "packages", "other")
        snapshot = until(lambda: (found := house.snapshot()) and found.headline.text != "Starting" and found)
        assert snapshot
        assert snapshot.headline.text == "Test waits for you: 0 of 4 steps done, begin the next one"
        assert snapshot.headline.repair == "firstlight start"
        assert (house.lines("done.txt"), snapshot.phase) == ([], "starting")

        said = house.firstlight("start", "packages")
        assert (said.returncode, said.stdout) == (0, "env, code and packages begin\n")
        house.until({"env": "done", "code": "done", "packages": "done"})
        waits(house, "other")
        assert house.firstlight("start", "packages", "env").stdout == "packages is done already; env is done already\n"
        assert house.firstlight("retry", "other").stdout == "other begins\n"
        house.until_phase("ready")
        assert sorted(house.lines("done.txt")) == ["code", "env", "other", "packages"]
        assert house.firstlight("start").stdout == "nothing waits for you\n"
        unknown = house.firstlight("start", "enf")
        assert (unknown.returncode, unknown.stderr) == (1, "firstlight: no stage 'enf'; did you mean env?\n")


def test_one_word_begins_everything(tmp_path: Path) -> None:
    house = House(tmp_path, [marked("one"), marked("two", "one")])
    with house.running(**GUIDED):
        waits(house, "one", "two")
        assert house.firstlight("start").stdout == "one and two begin\n"
        house.until_phase("ready")


def test_a_killed_runner_goes_on_with_what_was_begun_and_asks_for_the_rest(tmp_path: Path) -> None:
    gate = command("gate", "echo gate >> done.txt; while [ ! -e open ]; do sleep 0.05; done", attempts=1)
    house = House(tmp_path, [marked("first"), gate, marked("after", "gate"), marked("rest")])
    with house.running(**GUIDED) as runner:
        waits(house, "first", "gate", "after", "rest")
        house.firstlight("start", "first")
        house.firstlight("start", "after")
        house.until({"first": "done", "gate": "running"})
        until(lambda: "gate" in house.lines("done.txt"))
        os.kill(runner.pid, signal.SIGKILL)
        runner.wait()
    with house.running(**GUIDED):
        house.until({"first": "done", "gate": "running"})
        waits(house, "rest")
        (house.workspace / "open").touch()
        house.until({"gate": "done", "after": "done"})
        waits(house, "rest")
    assert house.lines("done.txt").count("first") == 1
    with house.running():
        house.until_phase("ready")


def test_what_failed_begins_again_by_the_same_word(tmp_path: Path) -> None:
    house = House(tmp_path, [command("shaky", "test -e good"), marked("after", "shaky")])
    with house.running(**GUIDED):
        waits(house, "shaky")
        house.firstlight("start", "after")
        house.until({"shaky": "failed", "after": "blocked"})
        (house.workspace / "good").touch()
        assert house.firstlight("start", "after").stdout == "shaky begins\n"
        house.until({"shaky": "done", "after": "done"})


def test_services_wait_too_unless_they_need_no_stage(tmp_path: Path) -> None:
    house = House(
        tmp_path,
        [marked("env")],
        [service("app", ["sleep", "600"], "env", "service:desk"), service("desk", ["sleep", "600"])],
    )
    with supervised(house, runner=True, **GUIDED):
        house.until({"service:desk": "ready"})
        waits(house, "env", "service:app")
        house.firstlight("start", "env")
        house.until({"env": "done"})
        waits(house, "service:app")
        assert house.firstlight("start", "app").stdout == "service:app begins\n"
        house.until({"service:app": "ready"})
    former = house.runner()
    with supervised(house, runner=True, **GUIDED):
        until(lambda: house.runner() != former, what="a state of this runner")
        house.until({"service:app": "ready", "service:desk": "ready"})


def test_model_sets_wait_and_the_panels_ways_begin_them(tmp_path: Path, origin: Origin) -> None:
    house = House(tmp_path, [models(origin, "one", default=True), models(origin, "two", default=True)])
    with house.running(HF_ENDPOINT=origin.url, **GUIDED):
        waits(house, "models:one", "models:two")
        assert origin.requests() == []
        house.firstlight("models", "add", "one")
        house.until({"models:one": "done"}, within=40)
        waits(house, "models:two")
        house.firstlight("models", "resume", "two")
        house.until({"models:two": "done"}, within=40)


def test_the_guide_itself_does_not_wait_and_is_named(tmp_path: Path) -> None:
    spec = NotebookSpec("Guide.ipynb", "0" * 64)
    house = House(tmp_path, [Stage("guide", "notebook", "Notebook update", [], spec), marked("env")])
    (tmp_path / "home" / "files").mkdir()
    (tmp_path / "home" / "files" / "Guide.ipynb").write_text('{"cells": [], "nbformat": 4}')
    with house.running(**GUIDED):
        house.until({"guide": "done", "env": "waiting"})
        until(lambda: message(house, "env"), what="env says something")
        assert message(house, "env") == "waits for you: run its cell in Guide.ipynb, or `firstlight start env`"
        assert (house.workspace / "Guide.ipynb").exists()


def test_another_value_is_explained_and_everything_runs(tmp_path: Path) -> None:
    house = House(tmp_path, [marked("env")])
    with house.running(SETUP="manual"):
        snapshot = house.until_phase("ready")
        assert snapshot.message == (
            "SETUP=manual is neither guided nor auto: everything is set up by itself, as with auto"
        )
    with house.running(SETUP="auto"):
        house.until_phase("ready")
    assert house.lines("done.txt") == ["env"]
