"""One boot at a time in a container, whoever starts it, and how often, and so one supervisord."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from init import children
from init.paths import Paths

WHERE = "`firstlight status` shows how far it is, `firstlight token --url` where it opens."
PR_SET_CHILD_SUBREAPER = 36
GONE_WITHIN = 10.0
"""Seconds for a killed process to be gone."""


def turn(paths: Paths, held: str) -> bool:
    """Whether this boot is the one that works, with the lock that is handed on as descriptor `held`, or its own.

    False: another one works, and this one is said to have nothing to do. The container's own program waits for its
    turn instead, since the container ends with it. Raises OSError."""
    if held and _inherited(paths, held):
        # Whatever reaps orphans here is not ours: they become this process's, which does.
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        return True
    if take(paths) is not None:
        return True
    print("Firstlight runs in this container already", end=": ", flush=True)
    if os.getppid() > 1:
        print(f"nothing to do. {WHERE}", flush=True)
        return False
    print("this one takes over when that one ends", flush=True)
    return take(paths, wait=True) is not None


def take(paths: Paths, *, wait: bool = False) -> int | None:
    """The lock, held until its descriptor is closed, by whom ever; None: another boot has it. `wait`: until it has
    not. Raises OSError where `Paths.run` cannot be written."""
    handle = os.open(_lock(paths), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def clear(supervisord: Path, config: Path) -> list[int]:
    """End what a killed boot has left of its supervisord, and wait until it is gone: mostly the kernel has done it.

    Between a boot's fork and the first instruction of the child there is a moment in which nobody would."""
    found = _running(supervisord, config)
    for pid in found:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + GONE_WITHIN
    while any(children.started(pid) for pid in found) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def _inherited(paths: Paths, text: str) -> bool:
    """Whether descriptor `text` is the lock; no child of ours gets it then."""
    try:
        handle = int(text)
        if not os.path.samestat(os.fstat(handle), _lock(paths).stat()):
            return False
        os.set_inheritable(handle, False)
    except (OSError, ValueError):
        return False
    return True


def _running(supervisord: Path, config: Path) -> list[int]:
    """Processes of this container (not of another one whose processes are seen here) that are supervisord, or are to
    become it, with this configuration."""
    wanted, home, found = {os.fsencode(supervisord), os.fsencode(config)}, _mounts("self"), []
    for pid in (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()):
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if wanted <= set(words) and pid != os.getpid() and _mounts(str(pid)) == home:
                found.append(pid)
    return found


def _mounts(process: str) -> int:
    return Path("/proc", process, "ns", "mnt").stat().st_ino


def _lock(paths: Paths) -> Path:
    return Path(paths.run, "boot.lock")
