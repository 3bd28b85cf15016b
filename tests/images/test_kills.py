"""A container killed at random moments: JupyterLab opens each time, and in the end everything is there once."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from functools import partial

import docker as docker_sdk
import pytest

from images import running
from manifests import load
from tests.images.machine import Machine
from tests.origin.demo import SIZES, publish
from tests.origin.server import Origin
from tests.waiting import until

KILLS = 6
SEED = 20


@pytest.mark.timeout(1200)
def test_kills_cost_time_and_nothing_else(
    built: Callable[[str], str], docker: docker_sdk.DockerClient, hub: Origin
) -> None:
    loaded, name = load.load("demo"), f"firstlight-test-kills-{secrets.token_hex(3)}"
    dice = random.Random(SEED)
    gateway = hub.url.removeprefix("http://").partition(":")[0]
    with Origin(hosts=(gateway, gateway)) as origin:
        publish(origin)
        origin.limit(25e6)
        environment = {"HF_ENDPOINT": origin.url}
        container = running.start(loaded, built("demo"), client=docker, volume=name, env=environment, name=name)
        try:
            machine = Machine(container, loaded, built("demo"))
            for _ in range(KILLS):
                jupyter = machine.url(loaded.manifest.jupyter.port, "")
                until(partial(running.jupyter_answers, jupyter), within=60, what="JupyterLab answers")
                # The moment of the kill, not a wait for something.
                time.sleep(dice.uniform(0, 1.5))
                container.kill()
                container.wait()
                container.start()
            origin.limit(None)
            assert machine.settled()["phase"] == "ready"
            files = machine.run("find", "/workspace/models", "-type", "f", "-size", "+1M", "-name", "*.weights").split()
            assert len(files) == 7
            assert machine.run("find", "/workspace/models", "-name", "*.part*").split() == []
            whole = sum(
                SIZES[name] * len(loaded.manifest.models.sets[name].files) for name in ("sketches", "paintings")
            )
            assert whole <= origin.sent() <= whole + KILLS * max(SIZES["sketches"], SIZES["paintings"])
        finally:
            container.remove(force=True)
            docker.volumes.get(name).remove(force=True)
