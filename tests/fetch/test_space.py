"""A volume with too little room."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from init.failure import StageFailed
from init.fetch import space
from tests.fetch.conftest import Background, Kitchen, spec
from tests.origin import Generated, Origin
from tests.root import ext2, mounted, tmpfs
from tests.waiting import until

MB = 1_000_000
ROOM = 270 * MB
"""Of the 300 MB of the volume: a tenth is kept free."""


@contextmanager
def placed(kitchen: Kitchen, as_root: tuple[str, ...], *what: str) -> Iterator[Path]:
    """A volume for the models and the state."""
    with mounted(as_root, kitchen.folder / "volume", *what) as folder:
        kitchen.models, kitchen.state = folder / "models", folder / ".firstlight"
        try:
            yield folder
        finally:
            kitchen.origin.clear()
            kitchen.stop()


@pytest.fixture
def volume(kitchen: Kitchen, as_root: tuple[str, ...]) -> Iterator[Path]:
    with placed(kitchen, as_root, *tmpfs(300 * MB)) as folder:
        yield folder


@pytest.fixture
def plain(kitchen: Kitchen, as_root: tuple[str, ...]) -> Iterator[Path]:
    """A volume whose file system cannot reserve room for a file."""
    with placed(kitchen, as_root, *ext2(as_root, kitchen.folder / "volume.ext2", 300 * MB)) as folder:
        yield folder


def occupy(volume: Path, size: int, name: str = "other") -> Path:
    """Another program's file."""
    path = volume / name
    with path.open("wb") as file:
        # Where the file system cannot reserve, the C library writes.
        os.posix_fallocate(file.fileno(), 0, size)
    return path


def test_a_set_that_does_not_fit_is_refused_before_its_first_byte(
    kitchen: Kitchen, origin: Origin, volume: Path
) -> None:
    files = [origin.hub("o/r", f"f{n}.bin", Generated(n, 15 * MB)) for n in range(2)]
    occupy(volume, ROOM - 20 * MB)
    with pytest.raises(
        StageFailed, match=r"set set needs 30\.0 MB, and .*/models has \S+ MB free: \S+ MB are"
    ) as caught:
        kitchen.fetch(*[spec(f) for f in files])
    assert "take a larger volume, or choose fewer sets (MODEL_SETS)" in (caught.value.hint or "")
    assert not caught.value.retry
    assert origin.log == []
    assert {s.state for s in kitchen.told[-2:]} == {"failed"}


def test_a_required_set_is_not_pushed_out_by_an_optional_one(kitchen: Kitchen, origin: Origin, volume: Path) -> None:
    extra = origin.hub("o/r", "extra.bin", Generated("x", 40 * MB))
    needed = origin.hub("o/r", "needed.bin", Generated("n", 40 * MB))
    occupy(volume, ROOM - 60 * MB)
    origin.limit(10 * MB)
    fetcher = kitchen.fetcher(big_at_once=1)
    first = Background(lambda: fetcher.fetch("needed", [spec(needed)], True, threading.Event()))
    until(lambda: origin.sent() > MB)
    with pytest.raises(StageFailed, match=r"set extra needs 40\.0 MB, .*: .* are missing"):
        fetcher.fetch("extra", [spec(extra)], False, threading.Event())
    origin.limit(None)
    first.join()
    kitchen.check(needed)


def test_room_is_kept_for_files_that_have_not_begun(kitchen: Kitchen, origin: Origin, volume: Path) -> None:
    extra = origin.hub("o/r", "extra.bin", Generated("x", 25 * MB))
    needed = [origin.hub("o/r", f"needed{n}.bin", Generated(n, 20 * MB)) for n in range(2)]
    occupy(volume, ROOM - 60 * MB)
    origin.limit(10 * MB)
    fetcher = kitchen.fetcher(small_at_once=1)
    first = Background(lambda: fetcher.fetch("needed", [spec(f) for f in needed], True, threading.Event()))
    until(lambda: origin.sent() > MB)
    with pytest.raises(StageFailed, match=r"set extra needs 25\.0 MB, .*, of which .* are for needed: .* are missing"):
        fetcher.fetch("extra", [spec(extra)], False, threading.Event())
    origin.limit(None)
    first.join()
    kitchen.check(*needed)


def test_a_volume_that_fills_up_meanwhile(kitchen: Kitchen, origin: Origin, volume: Path) -> None:
    big = origin.hub("o/r", "big.bin", Generated("b", 40 * MB))
    small = origin.hub("o/r", "small.bin", Generated("s", 15 * MB))
    origin.limit(10 * MB)
    # The one whose address is known first begins first.
    held = origin.fault("stall", small.key, server="hub", method="HEAD")
    one = {"big_at_once": 1, "small_at_once": 1, "streams": 0, "big": MB}
    background = Background(lambda: kitchen.fetch(spec(big), spec(small), **one))
    until(lambda: origin.sent() > 5 * MB)
    other = occupy(volume, ROOM - 45 * MB)
    held.gone = True
    origin.limit(None)
    with pytest.raises(StageFailed, match=r"small\.bin needs 15\.0 MB more, and .* has .* free: .* are missing"):
        background.join()
    kitchen.check(big)
    assert not (kitchen.models / "small.bin").exists()
    other.unlink()
    kitchen.fetch(spec(big), spec(small))
    kitchen.check(big, small)


def test_a_volume_that_cannot_reserve_fills_up_in_the_middle(kitchen: Kitchen, origin: Origin, plain: Path) -> None:
    assert not space.allocates(plain)
    file = origin.hub("o/r", "big.bin", Generated("b", 60 * MB))
    occupy(plain, space.free(plain) - 70 * MB, "before")
    origin.limit(10 * MB)
    held = origin.fault("stall", after=17 * MB)
    background = Background(lambda: kitchen.fetch(spec(file)))
    until(lambda: origin.sent() > 15 * MB)
    other = occupy(plain, space.free(plain) - 10 * MB)
    held.gone = True
    with pytest.raises(StageFailed, match=r"big\.bin needs .* more, and .* has .* free: .* are missing"):
        background.join()
    assert not (kitchen.models / "big.bin").exists()
    origin.limit(None)
    other.unlink()
    before = origin.sent()
    kitchen.fetch(spec(file))
    kitchen.check(file)
    assert origin.sent() - before < 58 * MB, "what had arrived was kept"
