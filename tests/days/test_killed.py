"""A container whose programs, and which itself, are killed again and again: it finishes, and nothing is done twice."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import docker as docker_sdk
import pytest
from docker.errors import APIError

from manifests import load
from tests.days.victims import STATE, VICTIMS, events, kill, pids, state
from tests.days.watch import Watch
from tests.fetch.account import Account
from tests.images.machine import Machine, started
from tests.origin.demo import publish
from tests.origin.server import Origin
from tests.waiting import until

MB = 1_000_000
KILLS = 24
RATE = 4 * MB
IN_FLIGHT = 20 * MB
"""At most at any moment: two seconds at that rate, what lies in the sockets of aria2's connections, and, as what one
connection fetched is noted in whole pieces, one of each file that begins with one."""
SLACK = 30 * MB
"""What lay in the sockets of 128 connections when aria2 ended, or gave what followed to another one."""
PARTS = 12 * MB
"""Unfinished pieces, one of each of aria2's connections to a file that is then tried over a single one."""
FIRST = 40 * MB
"""Bytes before the first kill: so many that a second start cannot hide that it began anew."""


@pytest.fixture
def origin(gateway: str) -> Iterator[Origin]:
    with Origin(hosts=(gateway, gateway)) as origin:
        publish(origin)
        origin.limit(RATE)
        # So that little lies in the sockets of connections whose other end is dead.
        origin.fault("slow", rate=RATE / 5)
        yield origin


@pytest.fixture
def machine(built: Callable[[str], str], docker: docker_sdk.DockerClient, origin: Origin) -> Iterator[Machine]:
    environment = {"HF_ENDPOINT": origin.url, "MODEL_SETS": "all"}
    with started(docker, load.load("demo"), built("demo"), environment) as machine:
        yield machine


@pytest.mark.timeout(600)
def test_killed_at_random_moments_it_finishes_and_does_nothing_twice(machine: Machine, origin: Origin) -> None:
    chance, hit = random.Random(20), Counter[str]()
    mounts = {mount["Destination"]: mount["Source"] for mount in machine.container.attrs["Mounts"]}
    workspace = Path(mounts["/workspace"])
    files = list(origin.repos["firstlight/lightbox"].values())
    account = Account(origin, workspace / "models", files, IN_FLIGHT, PARTS)
    watch = Watch(machine.url(machine.loaded.manifest.jupyter.port, "/api"))
    with watch.asking():
        for number in range(KILLS):
            victim = VICTIMS[number % len(VICTIMS)]
            goal = account.sent + (chance.randrange(MB // 10, 8 * MB) if number else FIRST)
            until(lambda goal=goal: account.sent >= goal, within=90, what="more bytes")  # type: ignore[misc]
            watch.up()
            lab, seen = pids(machine, "jupyterlab"), len(watch.answers)
            account.at_a_kill()
            kill(machine, victim)
            hit[victim] += 1
            if victim in ("init", "aria2c"):
                watch.up()
                assert all(watch.answers[seen:]), f"JupyterLab answers without a break when {victim} is killed"
                assert lab == pids(machine, "jupyterlab")
        watch.up()
    assert hit == dict.fromkeys(VICTIMS, KILLS // len(VICTIMS))
    origin.clear()
    origin.limit(8 * RATE)
    told = machine.settled()
    assert told["phase"] == "ready", machine.run("firstlight", "status")
    assert {stage["state"] for stage in told["stages"]} == {"done"}
    account.settled(SLACK)
    for name, file in origin.repos["firstlight/lightbox"].items():
        content = machine.run("sha256sum", f"/workspace/models/{name}").split()[0]
        assert content == file.sha256, name
    assert machine.run("find", "/workspace/models", "-name", "*.part*").split() == []
    done_once: set[str] = set()
    for event in events(machine):
        if event["event"] == "stage":
            assert not (event["state"] == "running" and event["id"] in done_once), event
            if event["state"] == "done" and not event["id"].startswith("models:"):
                done_once.add(event["id"])
    assert done_once == {stage["id"] for stage in told["stages"] if not stage["id"].startswith("models:")}


def done(machine: Machine) -> bool:
    try:
        code, output = machine.container.exec_run(["cat", STATE])
    except APIError:
        return False
    assert isinstance(output, bytes)
    return code == 0 and json.loads(output)["phase"] in ("ready", "degraded", "failed")


def test_a_second_start_fetches_and_builds_nothing(machine: Machine, origin: Origin) -> None:
    origin.clear()
    first, before = machine.settled(), len(origin.requests())
    machine.container.restart()
    until(lambda: done(machine) and state(machine)["boot"]["id"] != first["boot"]["id"], within=90, what="ready again")
    second = machine.settled()
    assert second["phase"] == "ready"
    assert len(origin.requests()) == before
    assert [e for e in events(machine) if e["boot"] == second["boot"]["id"] and e.get("state") == "running"] == []
