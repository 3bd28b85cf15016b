"""The demo as an image: an app, its kernel and its models, from the hub to the wall."""

from __future__ import annotations

from collections.abc import Iterator

import docker as docker_sdk
import pytest

from tests.images.machine import Machine, started
from tests.origin.demo import publish
from tests.origin.server import Origin
from tests.waiting import until


def test_everything_becomes_ready(container: Machine) -> None:
    data = container.settled()
    assert data["phase"] == "ready", container.said()
    assert {stage["state"] for stage in data["stages"]} <= {"done", "skipped"}


def test_the_app_uses_the_files_and_the_kernel(container: Machine) -> None:
    port = container.loaded.manifest.services["lightbox"].port
    assert port
    until(lambda: container.get(port, "/health", headers=container.bearer()).status == 200, within=60)
    processes = [" ".join(row) for row in container.container.top(ps_args="-eo pid,args")["Processes"]]
    assert [line for line in processes if "lightbox.py" in line and "--kernel" in line]


def test_models_are_whole_and_stand_under_their_names(container: Machine) -> None:
    files = container.run("find", "/workspace/models", "-name", "*.weights").split()
    assert sorted(file.rpartition("/")[2].removesuffix(".weights") for file in files) == sorted(
        ["dawn", "noon", "dusk", "ember", "fjord", "grove", "heath"]
    )
    assert container.run("find", "/workspace/models", "-name", "*.part").split() == []


@pytest.fixture
def held_back(gateway: str) -> Iterator[Origin]:
    """A hub of which nobody gets a byte of a model until its faults are cleared."""
    with Origin(hosts=(gateway, gateway)) as origin:
        publish(origin)
        origin.fault("stall", server="cdn")
        yield origin


def test_jupyterlab_opens_while_models_are_still_on_their_way(
    container: Machine, docker: docker_sdk.DockerClient, held_back: Origin
) -> None:
    manifest = container.loaded.manifest
    port, page = manifest.services["lightbox"].port, {"Accept": "text/html"}
    assert port
    with started(docker, container.loaded, container.image, {"HF_ENDPOINT": held_back.url}) as machine:
        until(lambda: held_back.requests(server="cdn"), within=60, what="a model is asked for")
        lab = machine.get(manifest.jupyter.port, "/lab", headers=machine.bearer())
        assert (lab.status, "JupyterLab" in lab.body) == (200, True)
        holding = machine.get(port, headers=machine.bearer() | page)
        assert (holding.status, 'data-page="holding"' in holding.body) == (503, True)
        asked = {"id": "models:sketches", "state": "running"}.items()
        until(lambda: any(asked <= stage.items() for stage in machine.state()["stages"]), what="the runner tells of it")
        services = machine.state()["services"]
        assert {service["id"]: service["state"] for service in services}["lightbox"] == "waiting"

        held_back.clear()
        until(lambda: machine.get(port, "/health", headers=machine.bearer()).status == 200, within=120)
        assert machine.settled()["phase"] == "ready"
        app = machine.get(port, headers=machine.bearer() | page)
        assert (app.status, 'data-page="holding"' in app.body) == (200, False)
