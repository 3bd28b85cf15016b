"""Every process that came from this one, however it was started: so that nothing outlives `run --local`."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def adopt() -> None:
    """Orphans below this process become its own children instead of init's. See prctl(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def parents() -> dict[int, int]:
    """Parent by process id, of all processes that have not ended yet."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, ValueError):
                # The name in parentheses may hold anything, blanks and parentheses included.
                state, parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
                if state != "Z":
                    found[int(entry.name)] = int(parent)
    return found


def living(root: int | None = None) -> list[int]:
    """Process ids below `root` (this process), without itself."""
    known = parents()
    found = [root if root is not None else os.getpid()]
    for parent in found:
        found += [child for child, above in known.items() if above == parent]
    return found[1:]


def end(within: float = 10.0) -> list[int]:
    """End all of them: SIGTERM, then SIGKILL. Returns those that are left, mostly none."""
    deadline = time.monotonic() + within
    sent: set[int] = set()
    while left := living():
        late = time.monotonic() > deadline - within / 2
        for pid in left:
            if late or pid not in sent:
                sent.add(pid)
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        reap()
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    reap()
    return left


def reap() -> None:
    """Take note of orphans that have ended. Only when no `Popen` is waited for any more."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
