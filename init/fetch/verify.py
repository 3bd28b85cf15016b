"""Reads a file back before it gets its name."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

BLOCK = 1 << 20


class Cancelled(Exception):
    """Whoever wanted it does not want it any more."""


def digest(
    path: Path,
    on_bytes: Callable[[int], None] | None = None,
    cancel: threading.Event | None = None,
    *,
    blob: bool = False,
) -> str:
    """SHA-256 of a file, or git's name for it (`blob`). Raises OSError, Cancelled."""
    buffer = memoryview(bytearray(BLOCK))
    with path.open("rb", buffering=0) as file:
        state = hashlib.sha256()
        if blob:
            state = hashlib.sha1(f"blob {os.fstat(file.fileno()).st_size}\0".encode(), usedforsecurity=False)
        read = 0
        while count := file.readinto(buffer):
            state.update(buffer[:count])
            read += count
            if on_bytes is not None:
                on_bytes(read)
            if cancel is not None and cancel.is_set():
                raise Cancelled
    return state.hexdigest()


def sync(path: Path) -> None:
    """Bring a file and its name to the disk. Raises OSError."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the file system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
