"""Pods come and go, and the volume stays: two at once, one that is stopped and started, one with other variables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker as docker_sdk
import pytest

from images import containers
from manifests import load
from tests.days.victims import events
from tests.images.machine import Machine, opened
from tests.origin.demo import REPO, publish
from tests.origin.server import Origin
from tests.waiting import until

RATE = 2e6
"""Bytes per second: so few that a second pod is there long before all is fetched."""


@dataclass
class Volume:
    """A network volume with the demo's files, and who starts pods on it."""

    docker: docker_sdk.DockerClient
    image: str
    folder: Path
    hub: Origin
    told: list[dict[str, Any]] = field(default_factory=list)
    """The last word of the first two pods, each with its name, its token, and what it said while it waited."""

    @contextmanager
    def pod(self, environment: Mapping[str, str] | None = None) -> Iterator[Machine]:
        """A container with a disk of its own, from the first answer of JupyterLab on; stopped as a platform does it."""
        environ = {"HF_ENDPOINT": self.hub.url, **(environment or {})}
        with opened(self.docker, load.load("demo"), self.image, str(self.folder), environ) as machine:
            try:
                yield machine
            finally:
                containers.stop(machine.container)

    def wheels(self) -> dict[Path, int]:
        """When each was made."""
        found = (self.folder / ".firstlight" / "wheels").rglob("*.whl")
        return {wheel: wheel.stat().st_mtime_ns for wheel in found}


def stages(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {stage["id"]: stage for stage in told["stages"]}


def begun(machine: Machine, told: dict[str, Any]) -> set[str]:
    """Stages that did something since this start."""
    own = [event for event in events(machine) if event["boot"] == told["boot"]["id"] and event["event"] == "stage"]
    return {event["id"] for event in own if event["state"] == "running"}


@pytest.fixture(scope="module")
def volume(
    docker: docker_sdk.DockerClient,
    built: Callable[[str], str],
    gateway: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Volume]:
    """Two pods have been on it: the second one came while the first one fetched."""
    with Origin(hosts=(gateway, gateway)) as hub:
        publish(hub)
        hub.limit(RATE)
        volume = Volume(docker, built("demo"), tmp_path_factory.mktemp("volume"), hub)
        with volume.pod() as first:
            until(lambda: hub.sent() > RATE, within=90, what="the first one fetches")
            with volume.pod() as second:

                def waits() -> str:
                    shown = " ".join(second.host.run("firstlight status").stdout.split())
                    return shown if "fetches on this volume" in shown else ""

                said = ["", until(waits, within=60, what="the second one waits")]
                hub.limit(None)
                for machine, words in zip((first, second), said, strict=True):
                    name = machine.container.attrs["Config"]["Hostname"]
                    more = {"host": name, "address": machine.address, "waited": words, "token": machine.token}
                    volume.told.append({**machine.settled(), **more})
        yield volume


@pytest.mark.timeout(600)
def test_two_pods_at_once_share_the_work(volume: Volume) -> None:
    first, second = volume.told
    assert (first["phase"], second["phase"]) == ("ready", "ready")
    assert {entry.client for entry in volume.hub.requests(server="cdn")} == {first["address"]}, "one fetches"
    assert f"waiting: {first['host']} fetches on this volume" in second["waited"]
    for name in ("models:sketches", "models:paintings"):
        assert stages(second)[name]["message"].endswith("all there already")
    kernels = sorted(stages(told)["cppn"]["message"].partition(" in ")[0] for told in volume.told)
    assert kernels == ["compiled", "from the wheel cache"]
    assert first["token"] == second["token"]


@pytest.mark.timeout(600)
def test_stopped_and_started_it_fetches_and_compiles_nothing(volume: Volume) -> None:
    """RunPod's stop takes the container's disk away."""
    asked, wheels = len(volume.hub.log), volume.wheels()
    assert len(wheels) == 1
    with volume.pod() as machine:
        told = machine.settled()
        assert told["phase"] == "ready", machine.said()
        assert len(volume.hub.log) == asked, "not a question"
        assert begun(machine, told) == {"app", "lightbox", "cppn"}, "what lay on the container's disk is made again"
        assert stages(told)["cppn"]["message"] == "from the wheel cache"
        assert volume.wheels() == wheels
        assert machine.token == volume.told[0]["token"]


@pytest.mark.timeout(600)
def test_with_other_variables_it_does_what_they_change(volume: Volume) -> None:
    """RunPod starts a pod whose variables are edited with a new container disk."""
    asked, kept = len(volume.hub.log), volume.told[0]["token"]
    with volume.pod({"MODEL_SETS": "+mural", "JUPYTER_PASSWORD": "another"}) as machine:
        told = machine.settled()
        assert told["phase"] == "ready", machine.said()
        keys = {entry.key for entry in volume.hub.log[asked:] if entry.key in volume.hub.files}
        assert keys == {key for key in volume.hub.files if key.startswith(f"{REPO}/mural/")}
        assert begun(machine, told) == {"app", "lightbox", "cppn", "models:mural"}
        assert machine.token == "another"
        lab = machine.loaded.manifest.jupyter.port
        answers = [
            machine.get(lab, "/api/contents", headers={"Authorization": f"token {token}"}).status
            for token in ("another", kept)
        ]
        assert answers == [200, 403]
        assert (volume.folder / ".firstlight" / "token").read_text().strip() == kept
