"""The demo as an image: an app, its kernel and its models, from the hub to the wall."""

from __future__ import annotations

from tests.images.machine import Machine
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


def test_the_app_asks_for_the_token(container: Machine) -> None:
    port = container.loaded.manifest.services["lightbox"].port
    assert port
    assert container.get(port, "/").status in (302, 303, 401, 403)
