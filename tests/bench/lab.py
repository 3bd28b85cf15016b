"""How soon JupyterLab answers, beside the same JupyterLab alone in the same image."""

from __future__ import annotations

import contextlib
import secrets
import statistics
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime

import docker
from docker.models.containers import Container

from images import bases, containers, daemon, engine
from manifests import load, lock
from tests.bench.table import Section, spread
from tests.origin.demo import publish
from tests.origin.server import Origin
from tests.waiting import until

ROUNDS = 7
PORT = 8888
BARE = [
    "lab", "--no-browser", "--ip=0.0.0.0", f"--port={PORT}", "--allow-root", "--IdentityProvider.token=bench",
    "--ServerApp.root_dir=/workspace",
]  # fmt: skip


def image() -> str:
    """The demo, built when its sources changed."""
    loaded = load.load("demo")
    return engine.build(loaded, lock.read(loaded), base=bases.make(), sbom=False).tag


@contextlib.contextmanager
def hub() -> Iterator[Origin]:
    """The demo's hub, where containers reach it, at the pace of a modest link."""
    gateway = daemon.connect().networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"]
    with Origin(hosts=(gateway, gateway)) as origin:
        publish(origin)
        yield origin


@contextlib.contextmanager
def whole(client: docker.DockerClient, tag: str, origin: Origin) -> Iterator[Container]:
    """The image as users start it, on a new workspace."""
    name = f"firstlight-bench-{secrets.token_hex(3)}"
    volume = client.volumes.create(name)
    container = containers.start(
        load.load("demo"), tag, client=client, volume=name, env={"HF_ENDPOINT": origin.url}, name=name
    )
    try:
        yield container
    finally:
        container.remove(force=True)
        volume.remove(force=True)


@contextlib.contextmanager
def alone(client: docker.DockerClient, tag: str) -> Iterator[Container]:
    """JupyterLab and nothing else, from the same files."""
    command = "/opt/firstlight/control/bin/jupyter"
    container = client.containers.run(
        tag, BARE, entrypoint=["tini", "--", command], detach=True, ports={f"{PORT}/tcp": (containers.HOST, 0)}
    )
    try:
        yield container
    finally:
        container.remove(force=True)


def seconds(container: Container) -> float:
    """From the container's start, as Docker noted it, until JupyterLab answers 200."""
    container.reload()
    begun = container.attrs["State"]["StartedAt"]
    port = containers.published(container, PORT)
    request = f"http://{containers.HOST}:{port}/api"

    def answers() -> bool:
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    until(answers, within=60, every=0.02, what="JupyterLab")
    return time.time() - stamp(begun)


def stamp(text: str) -> float:
    """Unix seconds of Docker's time, which has nanoseconds."""
    return datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00").timestamp()


def measure() -> Section:
    client, tag = daemon.connect(), image()
    ours, bare = [], []
    with hub() as origin:
        for _ in range(ROUNDS):
            with alone(client, tag) as container:
                bare.append(seconds(container))
            origin.limit(14e6)
            with whole(client, tag, origin) as container:
                ours.append(seconds(container))
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    section = Section(
        "JupyterLab's first answer",
        f"From the container's start to the first 200, {ROUNDS} times in turn, in the same image (`demo`). Beside ours "
        "the runner, the portal and all stages are running: an environment is made, models arrive.",
        ["what", "seconds"],
        [["`jupyter lab` alone", spread(bare)], ["Firstlight, all stages running", spread(ours)]],
    )
    ratio = statistics.median(ratios)
    section.verdicts.append(("ours ÷ alone", spread(ratios, "×"), "≤ 1.25", ratio <= 1.25))
    return section
