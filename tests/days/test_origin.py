"""Everything that can be wrong with an origin, at once and in one container: JupyterLab stays up, the user reads what
happened, what it means and what repairs it, and that verb does, once the fault is gone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import docker as docker_sdk
import pytest

from init.fetch.verify import digest
from tests.days.conftest import TOKEN, VOLUME
from tests.days.machine import plan, running
from tests.days.told import only_whole_files, reaches, repaired, stage
from tests.days.watch import Watch
from tests.origin import Fault, Generated, Origin
from tests.origin.faults import Kind
from tests.origin.server import Published

MB = 1_000_000


@dataclass(frozen=True)
class Day:
    """One fault of one file. `said`: what the stage's message says of it; None: nothing has to be said."""

    name: str
    kind: Kind
    settings: dict[str, Any] = field(default_factory=dict)
    said: str | None = None
    ends: bool = False
    """The stage fails; else it goes on by itself as soon as the fault is gone."""


DAYS = [
    Day("expired", "expire", {"after": 3 * MB}),
    Day("cut", "reset", {"after": 3 * MB, "times": 4}),
    Day("short", "truncate", {"after": 3 * MB, "times": 4}),
    Day("whole", "no-range"),
    Day("elsewhere", "redirect", {"server": "hub"}),
    Day("stalled", "stall", {"after": 3 * MB, "times": 1}),
    Day("reset", "reset", {"after": 0, "method": "GET"}, "tried again: reset.bin: the connection broke"),
    Day("busy", "status", {"status": 429, "retry_after": "2", "server": "hub"}, "answered 429 (too many requests"),
    Day("down", "status", {"status": 503, "server": "cdn"}, "answered 503"),
    Day("gone", "status", {"status": 404, "code": "EntryNotFound", "server": "hub"}, "answered 404: there is", True),
    Day("barred", "status", {"status": 403, "server": "cdn"}, "tried again: barred.bin: the server refused it (403)"),
    Day("wrong", "corrupt", {"at": 2 * MB}, "wrong.bin has other content: its SHA-256 is", True),
    Day("long", "length", {"by": 1000}, f"long.bin is {6 * MB + 1000} bytes long, and should be {6 * MB}", True),
]
LARGE = "large"
"""A set for which there is no room."""


@pytest.fixture
def other(gateway: str) -> Iterator[Origin]:
    """Another host, that is not to see the token."""
    with Origin(hosts=(gateway, gateway)) as origin:
        origin.token(TOKEN, "*")
        yield origin


def order(hub: Origin, other: Origin) -> tuple[dict[str, Published], dict[str, Fault]]:
    """Files by set, and the fault of each that has one."""
    files = {day.name: hub.hub("bad/days", f"{day.name}.bin", Generated(day.name, 6 * MB)) for day in DAYS}
    elsewhere = other.plain("elsewhere.bin", files["elsewhere"].content)
    faults = {}
    for day in DAYS:
        more = {"to": elsewhere.url} if day.kind == "redirect" else {}
        faults[day.name] = hub.fault(day.kind, files[day.name].key, **day.settings, **more)
    files[LARGE] = hub.hub("bad/days", f"{LARGE}.bin", Generated(LARGE, 250 * MB))
    return files, faults


@pytest.mark.timeout(300)
def test_each_is_told_and_repaired(
    built: Callable[[str], str],
    docker: docker_sdk.DockerClient,
    hub: Origin,
    other: Origin,
    workspace: Path,
) -> None:
    files, faults = order(hub, other)
    changed = replace(plan(), stages=[stage(name, file) for name, file in files.items()], services=[])
    ballast, models = workspace / "ballast", workspace / changed.models_into
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, VOLUME // 2)
    environment = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN}
    with running(docker, built("demo"), workspace, changed, environment) as machine:
        watch = Watch(machine.url(machine.loaded.manifest.jupyter.port, "/api"))
        with watch.asking():
            failed = [reaches(workspace, day.name, "failed", day.said or "") for day in DAYS if day.ends]
            failed.append(reaches(workspace, LARGE, "failed", f"set {LARGE} needs 250 MB, and /workspace/models has"))
            for day in DAYS:
                if day.said and not day.ends:
                    reaches(workspace, day.name, "running", day.said)
                    faults[day.name].gone = True
            for day in DAYS:
                if not day.ends:
                    assert faults[day.name].met, day.name
                    reaches(workspace, day.name, "done")
            only_whole_files(models, files)
            shown = " ".join(machine.host.run("firstlight status").stdout.split())
            for one in failed:
                name = one.id.removeprefix("models:")
                assert one.consequence == f"No {name}."
                assert not (models / f"{name}.bin").exists()
                assert f"No {name}. to repair: {one.repair}" in shown, name
            ballast.unlink()
            for one in failed:
                if fault := faults.get(one.id.removeprefix("models:")):
                    fault.gone = True
                repaired(machine, workspace, one)
            watch.up()
        assert all(watch.answers), "JupyterLab answers without a break"
    for name, published in files.items():
        assert digest(models / f"{name}.bin") == published.sha256, name
    assert [path.name for path in models.iterdir() if ".part" in path.name] == []
    assert other.requests() and not any(entry.token or entry.authorization for entry in other.log)
    assert any(entry.token for entry in hub.log), "the hub itself gets the token"
