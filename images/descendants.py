"""Every process that came from this one, however it was started: so that nothing outlives `run --local`."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Collection
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


def end(but: Collection[int] = (), within: float = 10.0) -> list[int]:
    """End all of them but these and theirs: SIGTERM, then SIGKILL. Returns those that are left, mostly none."""
    deadline = time.monotonic() + within
    sent: set[int] = set()
    empty = 0
    while True:
        others = {pid for spared in but for pid in (spared, *living(spared))}
        left = [pid for pid in living() if pid not in others]
        late = time.monotonic() > deadline - within / 2
        for pid in left:
            if late or pid not in sent:
                sent.add(pid)
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        if _reap():
            return []
        # One look at /proc is no snapshot: a process may fork and end while it is taken. No child at all is certain.
        empty = 0 if left else empty + 1
        if empty == 3 or time.monotonic() > deadline:
            return left
        time.sleep(0.02)


def _reap() -> bool:
    """Take note of children that have ended. True when there are none any more, and so no descendants either."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False
