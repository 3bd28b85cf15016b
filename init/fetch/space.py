"""Room on the volume: counted before the first byte."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def free(folder: Path) -> int:
    """Bytes that may still be written below `folder`, less a little for the system. Raises OSError."""
    found = os.statvfs(folder)
    spare = min(256_000_000, found.f_blocks * found.f_frsize // 10)
    return max(0, found.f_bavail * found.f_frsize - spare)


def taken(path: Path) -> int:
    """Bytes that a file takes on the disk; 0 without the file."""
    try:
        return path.stat().st_blocks * 512
    except OSError:
        return 0


def allocates(folder: Path) -> bool:
    """Whether the file system can reserve room for a file (network volumes often cannot)."""
    probe = folder / f".firstlight-probe-{os.getpid()}"
    try:
        handle = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        return False
    try:
        # Nameless from here on, so that nothing of it stays when this process is killed.
        with contextlib.suppress(OSError):
            probe.unlink()
        os.posix_fallocate(handle, 0, 65536)
        # A C library without file system support writes zeros instead; only real support leaves room for all at once.
        return os.fstat(handle).st_blocks * 512 >= 65536 and _native(handle)
    except OSError:
        return False
    finally:
        os.close(handle)
        with contextlib.suppress(OSError):
            probe.unlink()


def _native(handle: int) -> bool:
    """Whether fallocate(2) itself works: emulation cannot keep the size."""
    import ctypes

    try:
        call = ctypes.CDLL(None, use_errno=True).fallocate
    except (OSError, AttributeError):
        return False
    keep_size = 1
    return bool(call(handle, keep_size, ctypes.c_int64(0), ctypes.c_int64(131072)) == 0)
