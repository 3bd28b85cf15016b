"""tests/machine.sh: what it does on a machine that lacks everything, and what it says where it may do nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import docker as docker_sdk
import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "machine.sh"


def inside(base: str, *options: str) -> subprocess.CompletedProcess[str]:
    """The script's run in a bare container."""
    mount = f"type=bind,source={SCRIPT},target=/machine.sh,readonly"
    argv = ["docker", "run", "--rm", "--mount", mount, *options[:-1], base, "bash", "/machine.sh", options[-1]]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_without_root_it_says_what_to_run(docker: docker_sdk.DockerClient, base: str) -> None:
    done = inside(base, "--user", "1000", "setup")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "machine.sh: installing python3 python3-venv needs root, and there is no sudo without a password",
        "machine.sh: hint: run as root:",
        "machine.sh:     apt-get update && apt-get install -y --no-install-recommends python3 python3-venv",
    ]


def test_an_unknown_word_is_a_usage_error(docker: docker_sdk.DockerClient, base: str) -> None:
    done = inside(base, "everything")
    assert (done.returncode, done.stderr) == (2, "usage: tests/machine.sh [setup|demo|all]\n")


def test_a_mirror_out_of_reach_is_told(docker: docker_sdk.DockerClient, base: str) -> None:
    done = inside(base, "--network", "none", "setup")
    assert done.returncode == 1
    assert "hint: apt-get update && apt-get install" in done.stderr


def test_here_it_finds_everything_and_changes_nothing(docker: docker_sdk.DockerClient) -> None:
    done = subprocess.run([SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("machine.sh: ready: Docker ")
    assert "installing" not in done.stdout


PRIVATE = ("run", "var/lib/docker", "var/log", "etc/docker", "tmp")
"""Folders of this machine that the machine of one's own has empty, and to itself."""

Machine = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def machine(docker: docker_sdk.DockerClient, base: str) -> Iterator[Machine]:
    """Runs shell lines on a machine with this one's programs and a Docker of its own, which is not started yet. Its
    first process takes no notice of children that end, as in many containers."""
    root = "/machine"
    script = f"type=bind,source={SCRIPT},target={root}/tmp/machine.sh,readonly"
    mounts = ["--mount", f"type=bind,source=/,target={root},readonly,bind-recursive=disabled", "--mount", script]
    mounts += [word for folder in PRIVATE for word in ("--tmpfs", f"{root}/{folder}")]
    argv = ["docker", "run", "--detach", "--privileged", *mounts, base, "sleep", "infinity"]
    name = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()

    def shell(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["docker", "exec", name, *argv], capture_output=True, text=True, check=False)

    try:
        for folder in ("proc", "sys", "dev"):
            assert shell("mount", "--rbind", f"/{folder}", f"{root}/{folder}").returncode == 0
        yield lambda line: shell("chroot", root, "bash", "-euc", line)
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True, check=True)


@pytest.mark.parametrize(
    "afterwards",
    [
        pytest.param("grep -q '^State:.*zombie' /proc/$old/status", id="its-remains"),
        pytest.param("sleep 300 >/dev/null 2>&1 & echo $! >/run/docker.pid", id="another-process"),
        pytest.param("echo 4194305 >/run/docker.pid", id="nobody"),
    ],
)
def test_a_docker_that_was_killed_is_started_again(machine: Machine, afterwards: str) -> None:
    first = machine("bash /tmp/machine.sh")
    assert first.returncode == 0, first.stdout + first.stderr
    killed = machine(
        "old=$(cat /run/docker.pid); kill -9 $old;"
        "until ! kill -0 $old || grep -q zombie /proc/$old/status; do :; done;"
        f"test -e /run/docker.pid; {afterwards}"
    )
    assert killed.returncode == 0, killed.stderr
    assert machine("docker version").returncode != 0
    again = machine("bash /tmp/machine.sh")
    assert again.returncode == 0, again.stdout + again.stderr
    assert machine("docker version").returncode == 0
    assert machine('test "$(cat /proc/$(cat /run/docker.pid)/comm)" = dockerd').returncode == 0


def test_a_docker_that_answers_is_left_alone(machine: Machine) -> None:
    machine("bash /tmp/machine.sh")
    before = machine("cat /run/docker.pid").stdout
    assert "starting" not in machine("bash /tmp/machine.sh").stdout
    assert (machine("cat /run/docker.pid").stdout, before.isdigit()) == (before, True)
