"""tests/machine.sh: what it does on a machine that lacks everything, and what it says where it may do nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import docker as docker_sdk

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
