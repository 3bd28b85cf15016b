"""A container whose programs, and which itself, are killed again and again: it finishes, and nothing is done twice."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import docker as docker_sdk
import pytest
from docker.errors import APIError

from images.trouble import Trouble
from manifests import load
from tests.images.machine import Machine, started
from tests.origin.demo import publish
from tests.origin.server import Origin
from tests.waiting import until

KILLS = 24
IN_FLIGHT = 16 * 2**20
"""Bytes that one kill may cost: what the connections had received and not yet written down."""
VICTIMS = ["init", "aria2c", "supervisord", "container"]
STATE = "/workspace/.firstlight/state.json"
EVENTS = "/workspace/.firstlight/events.ndjson"


@pytest.fixture
def origin(docker: docker_sdk.DockerClient) -> Iterator[Origin]:
    gateway = docker.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"]
    with Origin(hosts=(gateway, gateway)) as origin:
        publish(origin)
        yield origin


@pytest.fixture
def machine(built: Callable[[str], str], docker: docker_sdk.DockerClient, origin: Origin) -> Iterator[Machine]:
    environment = {"HF_ENDPOINT": origin.url, "MODEL_SETS": "all"}
    with started(docker, load.load("demo"), built("demo"), environment, keep=True) as machine:
        yield machine


def pids(machine: Machine, name: str) -> list[str]:
    """Process ids, inside the container, of a program."""
    how = {"init": ["-f", "/opt/firstlight run$"], "supervisord": ["-f", "supervisord"]}.get(name, ["-x", name])
    code, output = machine.container.exec_run(["pgrep", *how])
    assert isinstance(output, bytes)
    return output.decode().split() if code == 0 else []


def kill(machine: Machine, victim: str) -> None:
    """End one program, or the whole container, without a word."""
    if victim != "container":
        # aria2 runs while something is to be fetched; without it the runner has to go.
        targets = pids(machine, victim) or until(partial(pids, machine, "init"), within=30, what="the runner")
        with contextlib.suppress(APIError):  # the container may end under the command
            machine.container.exec_run(["kill", "-9", *targets])
        return
    machine.container.kill("SIGKILL")
    machine.container.start()


def arrived(machine: Machine, origin: Origin, goal: int) -> bool:
    return origin.sent() >= goal or done(machine)


def lab_answers(machine: Machine) -> bool:
    try:
        return machine.get(machine.loaded.manifest.jupyter.port, "/api").status == 200
    except Trouble:  # it is between its end and its next start
        return False


def events(machine: Machine) -> list[dict[str, Any]]:
    return [json.loads(line) for line in machine.run("cat", EVENTS).splitlines()]


def state(machine: Machine) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(machine.run("cat", STATE))
    return data


@pytest.mark.timeout(600)
def test_killed_at_random_moments_it_finishes_and_does_nothing_twice(machine: Machine, origin: Origin) -> None:
    chance = random.Random(20)
    total = sum(file.size for file in origin.repos["firstlight/lightbox"].values())
    origin.limit(24e6)
    for number in range(KILLS):
        victim = VICTIMS[number % len(VICTIMS)]
        goal = origin.sent() + chance.randrange(1, total // KILLS)
        until(partial(arrived, machine, origin, goal), within=60, what="more bytes")
        kill(machine, victim)
        until(lambda: lab_answers(machine), within=60, what="JupyterLab")
    origin.limit(None)
    told = machine.settled()
    assert told["phase"] == "ready", machine.run("firstlight", "status")
    assert {stage["state"] for stage in told["stages"]} == {"done"}
    assert origin.sent() <= total + KILLS * IN_FLIGHT
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


def done(machine: Machine) -> bool:
    try:
        code, output = machine.container.exec_run(["cat", STATE])
    except APIError:
        return False
    assert isinstance(output, bytes)
    return code == 0 and json.loads(output)["phase"] in ("ready", "degraded", "failed")


def test_a_second_start_fetches_and_builds_nothing(machine: Machine, origin: Origin) -> None:
    first, before = machine.settled(), len(origin.requests())
    machine.container.restart()
    until(lambda: done(machine) and state(machine)["boot"]["id"] != first["boot"]["id"], within=90, what="ready again")
    second = machine.settled()
    assert second["phase"] == "ready"
    assert len(origin.requests()) == before
    assert [e for e in events(machine) if e["boot"] == second["boot"]["id"] and e.get("state") == "running"] == []
