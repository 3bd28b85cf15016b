"""kill -9 at random moments: nothing is lost, nothing is done twice, and nothing is left running."""

from __future__ import annotations

import json
import os
import random
import re
import time
from contextlib import suppress
from pathlib import Path

from init import children, state
from tests.runner.support import House, command
from tests.waiting import until

KILLS = 24
SEED = 20261120


def plan() -> list[tuple[str, list[str]]]:
    """Eight stages in three branches."""
    needs = {"a": "", "b": "", "c": "a", "d": "a b", "e": "c", "f": "d", "g": "e? f", "h": "g"}
    return [(name, words.split()) for name, words in needs.items()]


def build(house: House, turn: int) -> None:
    """Write the plan; another `turn` is other work for all stages."""
    house.stages[:] = [
        command(name, f"echo {name} >> started.{turn}; sleep 0.15; echo {name} >> finished.{turn}", *needs)
        for name, needs in plan()
    ]
    house.write()


def recorded(house: House) -> set[str]:
    """Stages of this turn whose completion is on record."""
    found = set()
    for stage in house.stages:
        file = Path(house.paths.disk, "records", f"{stage.id}.json")
        try:
            record = json.loads(file.read_text())
        except FileNotFoundError:
            continue
        assert record["stage"] == stage.id
        found.add(stage.id)
    return found


def at_work(house: House) -> list[int]:
    """Programs of stages that live: one that was just being started when the runner was killed runs on until the next
    runner ends it. At first it has the runner's environment, then the workspace as its folder."""
    wanted, found = f"FIRSTLIGHT_PLAN={house.root}/home/plan.json".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            begins = wanted in (folder / "environ").read_bytes().split(b"\0")
            if begins or (folder / "cwd").readlink() == house.workspace:
                found.append(int(folder.name))
    return found


def story(house: House) -> list[str]:
    """For every runner and stage: the states it went through, as the events tell it."""
    states: dict[tuple[int, str], str] = {}
    runner = 0
    for event in house.events():
        if event["event"] == "boot":
            runner += 1
        elif event["event"] == "stage":
            key = (runner, event["id"])
            states[key] = states.get(key, "") + event["state"] + " "
    return list(states.values())


def test_kill_at_random_moments(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    house = House(tmp_path)
    turn = kills = caught = 0
    while kills < KILLS:
        turn += 1
        build(house, turn)
        for file in Path(house.paths.disk, "records").glob("*.json"):
            file.unlink()
        interrupted = 0
        while True:
            begun_before, kept = house.lines(f"started.{turn}"), recorded(house)
            since, former = time.time(), house.runner()
            process = house.start()
            if kills < KILLS:
                delay = chance.uniform(0.05, 0.75)
                until(lambda: process.poll() is not None or time.time() - since > delay, every=0.01)  # noqa: B023
                finished = house.runner() != former and house.states() == dict.fromkeys(house.states(), "done")
                process.kill()
                kills += 1
            else:
                until(lambda: house.runner() != former)  # noqa: B023
                house.until(dict.fromkeys((stage.id for stage in house.stages), "done"))
                finished = True
                process.kill()
            process.wait()
            until(lambda: not at_work(house))
            now = house.lines(f"started.{turn}")[len(begun_before) :]
            assert not kept & set(now), f"turn {turn}: {kept & set(now)} was on record and was done again"
            in_flight = len(set(now) - recorded(house))
            interrupted += in_flight
            caught += in_flight
            assert state.read(house.paths.state) is not None or not finished
            if finished:
                break
        begun, ended = house.lines(f"started.{turn}"), house.lines(f"finished.{turn}")
        assert sorted(set(ended)) == [stage.id for stage in house.stages]
        assert len(begun) == len(house.stages) + interrupted
        order = {name: ended.index(name) for name in ended}
        for name, needs in plan():
            assert all(order[need.removesuffix("?")] < order[name] for need in needs)
    told = story(house)
    assert told and all(re.fullmatch(r"(running )?(done )?", states) for states in told), sorted(set(told))
    assert caught, "no kill ever met a stage at work: the test proves nothing"
    with house.running():
        house.until_phase("ready")
    assert not list(Path(house.paths.run, "children").glob("[0-9]*"))
    assert not at_work(house)


def test_what_a_killed_runner_left_running_is_ended(tmp_path: Path) -> None:
    # A daemon that leaves the session and closes everything would survive its parent.
    daemon = "setsid sh -c 'echo $$ > daemon; exec sleep 300' >/dev/null 2>&1 &"
    line = f"{daemon} while ! test -s daemon; do sleep 0.02; done; sleep 300"
    house = House(tmp_path, [command("daemon", line)])
    with house.running() as process:
        pid = int(until(lambda: house.lines("daemon"))[0])
        assert os.getsid(pid) == pid, "it does not end with its parent; any runner of this machine may end it then"
        process.kill()
        process.wait()
    house.stages[:] = [command("daemon", "true")]
    house.write()
    with house.running():
        house.until({"daemon": "done"})
    assert children.started(pid) is None
