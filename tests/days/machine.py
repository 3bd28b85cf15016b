"""A container of the demo's image with another plan than it was built with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import docker as docker_sdk

from images import planning
from init.plan import Plan, dump
from manifests import load, lock
from tests.images.machine import Machine, opened


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
    values = {**environment, "FIRSTLIGHT_PLAN": "/workspace/plan.json"}
    with opened(docker, load.load("demo"), image, str(workspace), values) as machine:
        yield machine
