"""The volume: it fills up in the middle of a download, and two containers use it at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import docker as docker_sdk
import pytest

from init.fetch.verify import digest
from init.state import StageState
from tests.days.machine import plan, running
from tests.days.told import only_whole_files, reaches, repaired, stage, told
from tests.days.watch import Watch
from tests.fetch.account import Account
from tests.images.machine import Machine
from tests.origin import Generated, Origin
from tests.waiting import until

MB = 1_000_000
BIG = 150 * MB
SLACK = 20 * MB
"""Bytes in flight when somebody else takes over, or when nothing can be written any more."""


def fill(ballast: Path) -> None:
    """Another program takes what is left."""
    with ballast.open("wb") as file, suppress(OSError):
        while True:
            file.write(bytes(MB))


@pytest.mark.timeout(300)
def test_it_fills_up_in_the_middle_of_a_download(
    built: Callable[[str], str], docker: docker_sdk.DockerClient, hub: Origin, plain: Path
) -> None:
    files = {name: hub.hub("o/r", f"{name}.bin", Generated(name, BIG)) for name in ("first", "second")}
    stages = [stage(name, file) for name, file in files.items()]
    models, ballast = plain / plan().models_into, plain / "ballast"
    hub.limit(20 * MB)
    changed = replace(plan(), stages=stages, services=[])
    with running(docker, built("demo"), plain, changed, environ(hub)) as machine:
        watch = Watch(machine.url(machine.loaded.manifest.jupyter.port, "/api"))
        with watch.asking():
            until(lambda: hub.sent() > 30 * MB, within=60, what="the download")
            fill(ballast)

            def failures() -> list[StageState]:
                return [one for one in (told(plain, name) for name in files) if one.state == "failed"]

            failed = until(failures, within=120, what="the full disk")
            for one in failed:
                assert "are missing" in one.message or "No space left" in one.message, one.message
                assert one.consequence == f"No {one.id.removeprefix('models:')}."
            only_whole_files(models, files)
            ballast.unlink()
            for one in failed:
                repaired(machine, plain, one)
            for name in files:
                reaches(plain, name, "done")
            watch.up()
        assert all(watch.answers), "JupyterLab answers without a break"
    for name, published in files.items():
        assert digest(models / f"{name}.bin") == published.sha256, name
    assert hub.sent() < 3 * BIG, "at most the file in flight came twice"


@pytest.mark.timeout(300)
def test_two_containers_fetch_everything_once(
    built: Callable[[str], str], docker: docker_sdk.DockerClient, hub: Origin, workspace: Path
) -> None:
    files = {name: hub.hub("o/r", f"{name}.bin", Generated(name, 40 * MB)) for name in ("one", "two", "three")}
    changed = replace(plan(), stages=[stage(name, file) for name, file in files.items()], services=[])
    account = Account(hub, workspace / changed.models_into, list(files.values()), in_flight=0)
    # So slow that the second one is there in time.
    hub.limit(2 * MB)
    with ExitStack() as both:
        machines = [
            both.enter_context(running(docker, built("demo"), workspace, changed, environ(hub))) for _ in range(2)
        ]
        watches = [Watch(machine.url(machine.loaded.manifest.jupyter.port, "/api")) for machine in machines]
        for watch in watches:
            both.enter_context(watch.asking())
        hub.limit(15 * MB)
        until(lambda: account.kept() > 25 * MB, within=60, what="the download")
        holder, left = sorted(machines, key=lambda machine: hostname(machine) != fetches(workspace))
        # Whoever fetches dies without a word; meanwhile the other one cannot go on where it stopped.
        left.container.pause()
        holder.container.kill("SIGKILL")
        holder.container.wait(timeout=30)
        kept, address = account.kept(), left.address
        left.container.unpause()
        told = left.settled()
        assert told["phase"] == "ready"
        assert all(watches[machines.index(left)].answers), "JupyterLab answers without a break"
    for name, published in files.items():
        assert digest(workspace / changed.models_into / f"{name}.bin") == published.sha256, name
    missing = account.total - kept
    # What the hub sends and nobody writes lies in sockets, the more of it the busier the machine is.
    assert sum(fetched(workspace, name) for name in files) <= missing
    assert sum(entry.sent for entry in hub.requests(server="cdn") if entry.client == address) < missing + SLACK


def hostname(machine: Machine) -> str:
    return str(machine.container.attrs["Config"]["Hostname"])


def fetches(workspace: Path) -> str:
    """The host that has the lease."""
    return str(json.loads((workspace / ".firstlight" / "fetch.lease").read_text())["host"])


def fetched(workspace: Path, name: str) -> int:
    """Bytes of a set that came over the network, by the record of whoever finished it."""
    record = json.loads((workspace / ".firstlight" / "records" / f"models:{name}.json").read_text())
    return int(record["result"]["models"]["bytes_fetched"])


def environ(hub: Origin) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.url}
