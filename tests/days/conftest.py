"""A hub that containers reach, and a small volume."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from images import engine
from manifests import lock
from tests.days import visomaster
from tests.origin import Origin
from tests.root import ext2, mounted, tmpfs

VOLUME = 600_000_000
"""Bytes of the volume."""
TOKEN = "hf_" + "a1B2" * 8


@pytest.fixture
def hub(gateway: str) -> Iterator[Origin]:
    with Origin(hosts=(gateway, gateway)) as origin:
        origin.token(TOKEN, "*")
        yield origin


@pytest.fixture
def workspace(tmp_path: Path, as_root: tuple[str, ...]) -> Iterator[Path]:
    """A small volume."""
    with mounted(as_root, tmp_path / "workspace", *tmpfs(VOLUME)) as folder:
        yield folder


@pytest.fixture
def plain(tmp_path: Path, as_root: tuple[str, ...]) -> Iterator[Path]:
    """A volume that cannot reserve room for a file: one that another program fills is full in the middle of it."""
    with mounted(as_root, tmp_path / "plain", *ext2(as_root, tmp_path / "plain.ext2", VOLUME)) as folder:
        yield folder


@pytest.fixture(scope="module")
def house(gateway: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[visomaster.House]:
    """A hub, git remotes and a manifest of VisoMaster's shape."""
    with Origin(hosts=(gateway, gateway)) as origin:
        yield visomaster.house(tmp_path_factory.mktemp("visomaster"), origin)


@pytest.fixture(scope="module")
def image(house: visomaster.House, base: str) -> str:
    """The image of that manifest."""
    loaded = house.loaded
    return engine.build(loaded, lock.read(loaded), base=base, sbom=False, compression="uncompressed").tag
