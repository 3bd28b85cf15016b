"""A container of the demo's image with another plan than it was built with."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import docker as docker_sdk

from images import containers, planning
from init.plan import Plan, dump
from manifests import load, lock
from tests.images.machine import Machine
from tests.waiting import until


def plan() -> Plan:
    """What the image was built with."""
    loaded = load.load("demo")
    return planning.plan(loaded, lock.read(loaded))


@contextmanager
def running(
    docker: docker_sdk.DockerClient, image: str, workspace: Path, plan: Plan, environment: Mapping[str, str]
) -> Iterator[Machine]:
    """A container that does what `plan` says, from the first answer of JupyterLab on."""
    (workspace / "plan.json").write_text(dump(plan))
    loaded, name = load.load("demo"), f"firstlight-test-days-{secrets.token_hex(3)}"
    values = {**environment, "FIRSTLIGHT_PLAN": "/workspace/plan.json"}
    container = containers.start(loaded, image, client=docker, volume=str(workspace), env=values, name=name)
    try:
        machine = Machine(container, loaded, image)
        until(lambda: machine.get(loaded.manifest.jupyter.port, "/api").status == 200, within=60, what="JupyterLab")
        yield machine
    finally:
        container.remove(force=True)
