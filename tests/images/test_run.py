"""`./buildkit.py run`: a container with an address to click on, and nothing left when it is stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import docker as docker_sdk
import pytest
from docker.errors import NotFound

from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
NAME = "firstlight-demo"


@pytest.fixture
def words(built: Callable[[str], str], docker: docker_sdk.DockerClient, tmp_path: Path) -> Iterator[list[str]]:
    """The command, with a workspace that goes away."""
    image = built("demo")
    (tmp_path / "workspace").mkdir()
    volume = ["--volume", str(tmp_path / "workspace"), "--env", "MODEL_SETS=none"]
    # Started in the background, as by some CI, this session ignores SIGINT, and so would what it starts.
    command = ["env", "--default-signal=INT", sys.executable, str(ROOT / "buildkit.py")]
    yield [*command, "run", "demo", "--image", image, *volume]
    try:
        docker.containers.get(NAME).remove(force=True)
    except NotFound:
        return


def address(said: str) -> str:
    found = re.search(r"^JupyterLab answers after [\d.]+ s: (http://127.0.0.1:\d+/lab\?token=\S+)$", said, re.MULTILINE)
    assert found, said
    return found.group(1)


def test_detached_it_goes_on_and_is_started_again(words: list[str], docker: docker_sdk.DockerClient) -> None:
    done = subprocess.run([*words, "--detach"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with urllib.request.urlopen(address(done.stdout), timeout=20) as answer:
        assert answer.status == 200
    token = address(done.stdout).partition("token=")[2]
    assert re.search(rf"^Portal: http://127.0.0.1:\d+/\?token={token}$", done.stdout, re.MULTILINE)
    assert re.search(rf"^Lightbox: http://127.0.0.1:\d+/\?token={token}$", done.stdout, re.MULTILINE)
    container = docker.containers.get(NAME)
    assert container.status == "running"
    assert container.attrs["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert f"docker stop {NAME}" in done.stdout

    again = subprocess.run([*words, "--detach"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert f"error: a container {NAME} is there already\nhint: `docker rm -f {NAME}`" in again.stderr


def test_ctrl_c_stops_it_and_leaves_only_the_workspace(
    words: list[str], docker: docker_sdk.DockerClient, tmp_path: Path
) -> None:
    log = tmp_path / "said"
    with log.open("w") as out:
        environ = os.environ | {"PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(words, cwd=ROOT, stdout=out, stderr=out, env=environ, start_new_session=True)
        until(lambda: "Ctrl-C stops it" in log.read_text() or process.poll() is not None, within=120)
        address(log.read_text())
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=60) == 130
    with pytest.raises(NotFound):
        docker.containers.get(NAME)
    assert (tmp_path / "workspace" / ".firstlight" / "token").is_file()
    assert "Traceback" not in log.read_text()
