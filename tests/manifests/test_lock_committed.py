"""The locks in this repository."""

from __future__ import annotations

import pytest

from manifests import load, lock
from manifests.drift import drift


@pytest.mark.parametrize("name", load.names())
def test_every_lock_agrees_with_its_manifest(name: str) -> None:
    loaded = load.load(name)
    assert [str(difference) for difference in drift(lock.read(loaded), loaded)] == []


@pytest.mark.parametrize("name", load.names())
def test_every_lock_is_written_as_it_would_be_written_again(name: str) -> None:
    loaded = load.load(name)
    assert lock.path_of(loaded).read_text() == lock.text(lock.read(loaded))


KNOWN = [("comfyui-wan22", 13, 17), ("comfyui-wan22-full", 13, 17), ("comfyui-current", 13, 17), ("visomaster", 57, 0)]


@pytest.mark.parametrize(("name", "hashes", "sizes"), KNOWN)
def test_what_was_known_once_is_still_known(name: str, hashes: int, sizes: int) -> None:
    files = lock.read(load.load(name)).models.values()
    assert sum(file.sha256 is not None for file in files) >= hashes
    assert sum(file.size is not None for file in files) >= sizes
