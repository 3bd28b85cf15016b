"""Killed while an environment is made and a kernel is compiled: what was done stays done, the rest is finished."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import docker as docker_sdk
import pytest

from images import containers
from init.specs import KernelSpec
from tests.days.machine import plan, running
from tests.days.victims import events, kill
from tests.days.watch import Watch
from tests.images.machine import Machine
from tests.waiting import until

VICTIMS = ("init", "container", "supervisord")
GATED = '#!/bin/sh\ncat /workspace/gate >/dev/null\nexec gcc "$@"\n'
"""A compiler that waits until somebody opens the gate: the kills hit the compilation itself."""


def states(machine: Machine, stage: str) -> list[str]:
    """Those that a stage has been in, the last one last."""
    return [event["state"] for event in events(machine) if event["event"] == "stage" and event["id"] == stage]


def compiling(machine: Machine) -> set[str]:
    code, output = containers.inside(machine.container, "pgrep", "-x", "-f", "cat /workspace/gate")
    return set(output.split()) if code == 0 else set()


@pytest.mark.timeout(400)
def test_what_was_made_is_kept(built: Callable[[str], str], docker: docker_sdk.DockerClient, workspace: Path) -> None:
    whole = plan()
    app, kernel = whole.stage("app"), whole.stage("cppn")
    assert isinstance(kernel.spec, KernelSpec)
    kernel = replace(kernel, spec=replace(kernel.spec, environment={"CC": "/workspace/cc"}), attempts=1)
    (workspace / "cc").write_text(GATED)
    (workspace / "cc").chmod(0o755)
    os.mkfifo(workspace / "gate")
    changed = replace(whole, stages=[app, kernel], services=[])
    with running(docker, built("demo"), workspace, changed, {}) as machine:
        watch = Watch(machine.url(machine.loaded.manifest.jupyter.port, "/api"))
        with watch.asking():
            # The first kill hits the environment in its first seconds; with its packages cached it may then be faster.
            for victim in VICTIMS:
                if until(lambda: states(machine, "app"), within=60, what="the environment")[-1] == "done":
                    break
                kill(machine, victim)
                watch.up()
            for number, victim in enumerate(VICTIMS, 1):
                waiting = until(lambda: compiling(machine), within=90, what="the compiler")
                assert states(machine, "cppn").count("running") >= number
                kill(machine, victim)
                until(lambda waiting=waiting: not waiting & compiling(machine), within=30, what="its end")  # type: ignore[misc]
                watch.up()
            until(lambda: compiling(machine), within=90, what="the compiler")
            (workspace / "cc").write_text('#!/bin/sh\nexec gcc "$@"\n')
            (workspace / "gate").write_text("open")
            told = machine.settled()
            watch.up()
        assert told["phase"] == "ready", machine.run("firstlight", "status")
        assert next(stage["message"] for stage in told["stages"] if stage["id"] == "cppn").startswith("compiled in")
        over: set[str] = set()
        for event in events(machine):
            if event["event"] == "stage":
                assert not (event["state"] == "running" and event["id"] in over), event
                over |= {event["id"]} if event["state"] == "done" else set()
        assert over == {"app", "cppn"}
        wheels = machine.run("find", "/workspace/.firstlight", "-name", "*.whl").split()
        assert len(wheels) == 1, wheels
