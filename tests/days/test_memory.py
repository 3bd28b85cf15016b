"""A compile that eats more memory than the container has: it ends alone, and the user reads what to do."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import docker as docker_sdk

from init import state
from init.plan import Plan
from init.specs import KernelSpec
from tests.days.machine import plan, running
from tests.days.watch import Watch
from tests.images.machine import Machine
from tests.origin.server import Origin
from tests.waiting import until

LITTLE, MUCH = "1000m", "4g"
NUMBERS = 20
"""Doublings of eight numbers, for which a compiler needs 1.4 GB."""


def hungry(workspace: Path) -> Plan:
    """The demo, whose kernel's source comes with a table of millions of numbers."""
    lines = ["#define N0 1,2,3,4,5,6,7,8,", *(f"#define N{n} N{n - 1} N{n - 1}" for n in range(1, NUMBERS + 1))]
    (workspace / "table.h").write_text("\n".join([*lines, f"static const int table[] = {{N{NUMBERS}}};\n"]))
    usual = plan()
    kernel = usual.stage("cppn")
    assert isinstance(kernel.spec, KernelSpec)
    spec = replace(kernel.spec, environment={"CFLAGS": "-include /workspace/table.h"})
    stages = [replace(stage, spec=spec) if stage == kernel else stage for stage in usual.stages]
    return replace(usual, stages=stages)


def limit(machine: Machine, memory: str) -> None:
    machine.container.update(mem_limit=memory, memswap_limit=memory)


def labs(machine: Machine) -> str:
    return machine.run("pgrep", "-f", "/jupyter-lab ")


def ended(workspace: Path) -> tuple[state.StageState, state.ServiceState] | None:
    """The kernel and the app, once both have."""
    snapshot = state.read(workspace / ".firstlight")
    if snapshot is None:
        return None
    kernel = next(stage for stage in snapshot.stages if stage.id == "cppn")
    (app,) = snapshot.services
    return (kernel, app) if kernel.state in state.ENDED and app.state in ("ready", "failed") else None


def test_a_compile_that_eats_the_memory(
    built: Callable[[str], str], docker: docker_sdk.DockerClient, hub: Origin, tmp_path: Path
) -> None:
    environment = {"HF_ENDPOINT": hub.url, "MODEL_SETS": "none"}
    with running(docker, built("demo"), tmp_path, hungry(tmp_path), environment) as machine:
        limit(machine, LITTLE)
        watch, lab = Watch(machine.url(machine.loaded.manifest.jupyter.port, "/api")), labs(machine)
        with watch.asking():
            found = until(lambda: ended(tmp_path), within=120, what="kernel and app have ended")
            watch.up()
        assert found is not None
        kernel, app = found
        assert all(watch.answers) and labs(machine) == lab, "JupyterLab stays"
        assert kernel.state == "degraded"
        assert "cppn could not be compiled: uv " in kernel.message, kernel.message
        assert "; use a machine with more memory" in kernel.message
        assert kernel.consequence == "Lightbox draws with numpy, which takes longer."
        assert kernel.repair == "firstlight retry cppn"
        assert app.state == "ready" and "--kernel" not in machine.run("pgrep", "-af", "lightbox.py")
        limit(machine, MUCH)
        machine.run(*shlex.split(kernel.repair))
        until(lambda: (found := ended(tmp_path)) and found[0].state == "done", within=90, what="the kernel")
