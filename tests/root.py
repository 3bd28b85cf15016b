"""What some tests need root for: small volumes of their own, and a second user."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from tests import workers

NEEDED = """\
these tests mount small volumes and act as a second user, which takes root: {files}
hint: run them as root, or as a user whose sudo asks for no password; TESTS=PATH names others to run"""


@cache
def words() -> tuple[str, ...] | None:
    """What makes a command one of root's; None: there is no way without a password."""
    if os.geteuid() == 0:
        return ()
    sudo = shutil.which("sudo")
    if sudo is None or subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode:
        return None
    return (sudo, "-n")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Say so at once, not after the tests that come first."""
    needy = [item for item in items if "as_root" in getattr(item, "fixturenames", ())]
    if needy and words() is None:
        files = ", ".join(sorted({item.nodeid.split("::")[0] for item in needy}))
        workers.refuse(config, items, NEEDED.format(files=files))


@pytest.fixture(scope="session")
def as_root() -> tuple[str, ...]:
    """The words before a command that root is to run."""
    found = words()
    assert found is not None
    return found


@contextmanager
def mounted(as_root: tuple[str, ...], folder: Path, *what: str) -> Iterator[Path]:
    """`mount WHAT FOLDER`, with a new folder."""
    folder.mkdir()
    subprocess.run([*as_root, "mount", *what, str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*as_root, "umount", "--lazy", str(folder)], check=True)


def tmpfs(size: int) -> list[str]:
    """A volume in memory, of `size` bytes."""
    return ["-t", "tmpfs", "-o", f"size={size}", "tmpfs"]


def ext2(as_root: tuple[str, ...], image: Path, size: int) -> list[str]:
    """A volume of `size` bytes in a file. Its file system cannot reserve room for a file."""
    with image.open("wb") as file:
        file.truncate(size)
    owner = f"root_owner={os.geteuid()}:{os.getegid()}"
    subprocess.run([*as_root, "mkfs.ext2", "-q", "-m", "0", "-E", owner, str(image)], check=True)
    return ["-t", "ext2", "-o", "loop", str(image)]
