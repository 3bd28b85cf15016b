"""An environment from a conda channel, in a container: a package that is not there yet, and what a service finds."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import docker as docker_sdk

from init import state
from init.plan import Stage
from init.specs import CondaSpec, PythonSpec
from tests.days.machine import plan, running
from tests.origin import Origin
from tests.runner.support import service
from tests.stages import channel
from tests.stages.test_conda import STANDS_IN
from tests.waiting import until

ADD_PYTHON = "import channel, pathlib; channel.add_python(pathlib.Path('/channels/forge'))"


def channels(folder: Path, docker: docker_sdk.DockerClient, image: str) -> str:
    """A channel with the Python that the image has, and micromamba beside it. The Python's version."""
    forge = channel.make(folder / "forge")
    docker.containers.run(
        image,
        ["-c", ADD_PYTHON],
        entrypoint="python3",
        working_dir="/channel",
        user=f"{os.getuid()}:{os.getgid()}",
        volumes=[f"{channel.__file__}:/channel/channel.py:ro", f"{folder}:/channels"],
        remove=True,
    )
    (found,) = (forge / "linux-64").glob("python-*.tar.bz2")
    python = ".".join(found.name.split("-")[1].split(".")[:2])
    channel.add_pip(forge, python)
    real = os.environ.get("MICROMAMBA")
    program = f"#!/usr/bin/env python3\n{STANDS_IN.read_text()}".encode()
    (folder / "micromamba").write_bytes(Path(real).read_bytes() if real else program)
    return python


def test_a_service_runs_in_an_environment_from_conda(
    built: Callable[[str], str], docker: docker_sdk.DockerClient, hub: Origin, tmp_path: Path
) -> None:
    folder, workspace = tmp_path / "channels", tmp_path / "workspace"
    workspace.mkdir()
    python, url = channels(folder, docker, built("demo")), hub.folder("conda", folder)
    sha256 = hashlib.sha256((folder / "micromamba").read_bytes()).hexdigest()
    spec = PythonSpec("viso_env", python, conda=CondaSpec([f"{url}forge"], ["studio"], f"{url}micromamba", sha256))
    words = ["sh", "-c", "env >/workspace/new; mv /workspace/new /workspace/said; exec sleep inf"]
    (app,) = plan().services
    app = replace(app, command=words, needs=service("", [], "viso_env").needs, env="viso_env", cwd=None, ready=None)
    changed = replace(plan(), stages=[Stage("viso_env", "python", "From conda", [], spec)], services=[app])

    def told() -> state.StageState | None:
        snapshot = state.read(workspace / ".firstlight")
        return next(iter(snapshot.stages), None) if snapshot is not None else None

    def reaches(wanted: str) -> str:
        now = until(lambda: (now := told()) is not None and now.state in ("done", "failed") and now, within=60)
        assert now and now.state == wanted, now
        return now.message

    with running(docker, built("demo"), workspace, changed, {}) as machine:
        assert reaches("failed").startswith("no channel has studio; correct")
        channel.add(folder / "forge", "studio", "2.0", {"etc/conda/env_vars.d/studio": '{"studio_data": "/data"}'})
        machine.run("firstlight", "retry", "viso_env")
        until(lambda: (now := told()) is not None and now.state != "failed", within=30)
        assert re.fullmatch(rf"Python {python}\.\d+, 1 packages?", reaches("done"))
        until((workspace / "said").exists, within=30, what="the service")
        found = machine.run("cat", "/workspace/said").split("\n")
        assert {"CONDA_PREFIX=/opt/envs/viso_env", "STUDIO_DATA=/data"} <= set(found)
        shell = ". /opt/envs/viso_env/bin/activate; echo $STUDIO_DATA; python -c 'import sys; print(sys.prefix)'"
        assert machine.run("sh", "-c", shell).split() == ["/data", "/opt/envs/viso_env"]
