"""A hub that containers reach, and a small volume."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker as docker_sdk
import pytest

from tests.origin import Origin

VOLUME = 600_000_000
"""Bytes of the volume."""
TOKEN = "hf_" + "a1B2" * 8


@pytest.fixture
def gateway(docker: docker_sdk.DockerClient) -> str:
    """Where containers reach this machine."""
    return str(docker.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"])


@pytest.fixture
def hub(gateway: str) -> Iterator[Origin]:
    with Origin(hosts=(gateway, gateway)) as origin:
        origin.token(TOKEN, "*")
        yield origin


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    """A small volume."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={VOLUME}", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Path]:
    """A volume that cannot reserve room for a file: one that another program fills is full in the middle of it."""
    image, folder = tmp_path / "plain.ext2", tmp_path / "plain"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(VOLUME)
    subprocess.run(["mkfs.ext2", "-q", "-m", "0", str(image)], check=True)
    subprocess.run(["mount", "-t", "ext2", "-o", "loop", str(image), str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
