"""Programs of a container that are killed, and the container itself."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from images import containers
from tests.images.machine import Machine
from tests.waiting import until

PROGRAMS = {
    "init": ["-f", "/opt/firstlight run$"],
    "supervisord": ["-f", "^[^ ]*python[^ ]* -I [^ ]*/supervisord "],
    "jupyterlab": ["-f", "/jupyter-lab "],
    "aria2c": ["-x", "aria2c"],
}
"""How pgrep finds them."""
VICTIMS = ["init", "aria2c", "supervisord", "container"]
STATE = "/workspace/.firstlight/state.json"
EVENTS = "/workspace/.firstlight/events.ndjson"


def pids(machine: Machine, name: str) -> set[str]:
    """Process ids, inside the container, of a program."""
    code, output = containers.inside(machine.container, "pgrep", *PROGRAMS[name])
    return set(output.split()) if code == 0 else set()


def begun(machine: Machine) -> str:
    """When Docker started the container; it is running."""
    machine.container.reload()
    assert machine.container.status == "running"
    return str(machine.container.attrs["State"]["StartedAt"])


def kill(machine: Machine, victim: str) -> None:
    """End one program, or the whole container, without a word; see that it was there, is gone, and comes again."""
    since = begun(machine)
    if victim == "container":
        machine.container.kill("SIGKILL")
        machine.container.wait(timeout=30)
        machine.container.start()
        assert begun(machine) != since
        return
    targets = until(partial(pids, machine, victim), within=30, what=victim)
    machine.run("kill", "-9", *targets)
    until(lambda: not targets & pids(machine, victim), within=10, what=f"{victim} is gone")
    until(partial(pids, machine, victim), within=30, what=f"{victim} again")
    assert begun(machine) == since, f"the container outlives {victim}"


def events(machine: Machine) -> list[dict[str, Any]]:
    return [json.loads(line) for line in machine.run("cat", EVENTS).splitlines()]


def state(machine: Machine) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(machine.run("cat", STATE))
    return data
