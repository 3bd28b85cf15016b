"""The whole way to a registry and back: `make build-and-push`, and a container of what was pulled."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
from pathlib import Path

import docker as docker_sdk
import pytest

from images import containers
from manifests import load
from tests.images.registry import Registry

ROOT = Path(__file__).resolve().parents[2]


NOT_NEEDED = {"apt-get", "docker-registry", "mkfs.ext2", "mmdebstrap", "sudo", "tini"}
"""What the repository's tests use, and a machine that only builds and pushes need not have."""


def lean(folder: Path) -> str:
    """A PATH with all programs of this machine but those."""
    folder.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for program in sorted(Path(place).iterdir()) if Path(place).is_dir() else []:
            link = folder / program.name
            if program.name not in NOT_NEEDED and not link.is_symlink():
                link.symlink_to(program)
    return str(folder)


@pytest.mark.timeout(900)
def test_what_make_pushes_can_be_pulled_and_comes_up(
    docker: docker_sdk.DockerClient, base: str, registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(registry.login()))
    target = f"{registry.host}/way"
    words = ["make", "build-and-push", "IMAGE=demo", f"REGISTRY={target}", f"BASE={base}"]
    environ = os.environ | {"CI": "true", "PATH": lean(tmp_path / "programs")}
    done = subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    pushed = re.search(rf"^pushed ({re.escape(target)}/demo:(\w+))@(sha256:\w+) in ", said, re.MULTILINE)
    assert pushed, said
    _, tag, digest = pushed.groups()
    assert registry.manifest_digest(f"way/demo:{tag}") == digest
    order = [said.index(words) for words in ("demo: fine", "building demo:", "testing demo:", "pushing ", "pushed ")]
    assert order == sorted(order)

    pulled = f"{target}/demo@{digest}"
    for name in (f"demo:{tag}", "demo:dev"):
        docker.images.remove(name, force=True)
    loaded, name = load.load("demo"), f"firstlight-test-way-{secrets.token_hex(3)}"
    container = containers.start(loaded, pulled, client=docker, volume=name, name=name)
    try:
        url = f"http://{containers.HOST}:{containers.published(container, loaded.manifest.jupyter.port)}"
        containers.wait_for(container, lambda: containers.jupyter_answers(url), "JupyterLab answers", 120)
        assert containers.token(container)
    finally:
        container.remove(force=True)
        docker.volumes.get(name).remove(force=True)
        for local in (tag, "dev"):
            docker.images.get(pulled).tag("demo", local)
        docker.images.remove(pulled)
