"""The processes of a stage: found whatever they did to hide, ended together, and cleaned up after a dead runner.

A child leads a session of its own, and all that it starts inherits a mark in the environment. A process belongs to the
child when it is in the session or carries the mark: ninja gives every compiler a process group of its own, and daemons
leave the session. The mark is random, so a process id that the kernel has given away again is never taken for a child.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

MARK = "FIRSTLIGHT_CHILD"
GRACE = 5.0
"""Seconds between the request to end and the kill."""


@dataclass(frozen=True)
class Child:
    """One recorded child. `started` and `runner_started` are in clock ticks since the machine's start."""

    pid: int
    started: int
    mark: str
    runner: int
    runner_started: int


def new_mark() -> str:
    """Names this runner as well, so that an orphan is known even when there was no time to record it."""
    return f"{_runner(os.getpid())}.{os.urandom(16).hex()}"


def started(pid: int) -> int | None:
    """Start time of a process; None when there is none, or only its remains."""
    fields = _stat(pid)
    return None if fields is None or fields[0] == "Z" else int(fields[19])


def members(session: int, mark: str, since: int = 0) -> list[int]:
    """Living processes of the session, and those that carry the mark. What started before `since` (in clock ticks, as
    the child itself did) is none of them: it is not asked for its environment."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for pid in (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()):
        fields = _stat(pid) if pid != os.getpid() else None
        if fields is None or fields[0] == "Z" or int(fields[19]) < since:
            continue
        if int(fields[3]) == session or wanted in _environment(pid):
            found.append(pid)
    return found


def end(session: int, mark: str, since: int = 0, grace: float | None = None) -> None:
    """End all members: asked first, killed `grace` (GRACE) seconds later."""
    deadline = time.monotonic() + (GRACE if grace is None else grace)
    asked: set[int] = set()
    while left := members(session, mark, since):
        if time.monotonic() > deadline:
            _signal(left, signal.SIGKILL)
        else:
            _signal([pid for pid in left if pid not in asked], signal.SIGTERM)
            asked.update(left)
        time.sleep(0.02)


def record(run: Path, pid: int, mark: str) -> Path:
    """Write down a child below `run`, for `reap`."""
    folder = run / "children"
    folder.mkdir(parents=True, exist_ok=True)
    child = Child(pid, started(pid) or 0, mark, os.getpid(), started(os.getpid()) or 0)
    file = folder / str(pid)
    temporary = folder / f".{pid}"
    temporary.write_text(json.dumps(asdict(child)))
    temporary.rename(file)
    return file


def reap(run: Path) -> list[int]:
    """End what a dead runner has left running. Returns the process ids of the children that still lived."""
    reaped = []
    folder = run / "children"
    for file in sorted(folder.iterdir()) if folder.is_dir() else []:
        try:
            child = Child(**json.loads(file.read_text()))
        except (OSError, ValueError, TypeError):
            file.unlink(missing_ok=True)
            continue
        if child.runner_started and started(child.runner) == child.runner_started:
            continue
        # Once the leader has ended its number may be another's; what is left of its session bears the mark.
        session = child.pid if started(child.pid) == child.started else -1
        if members(session, child.mark):
            reaped.append(child.pid)
            end(session, child.mark, grace=1.0)
        file.unlink(missing_ok=True)
    # Killed between starting a child and writing it down.
    for pid, mark in _orphans():
        reaped.append(pid)
        end(-1, mark, grace=1.0)
    return reaped


def _orphans() -> list[tuple[int, str]]:
    """Living processes with the mark of a runner of this machine that is dead."""
    wanted, found = f"{MARK}={_machine()}.".encode(), []
    for pid in (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()):
        marks = [word.decode("ascii", "replace") for word in _environment(pid) if word.startswith(wanted)]
        for mark in (word.removeprefix(f"{MARK}=") for word in marks):
            runner, parts = mark.rpartition(".")[0], mark.split(".")
            whole = len(parts) == 4 and parts[1].isdigit()
            if whole and started(pid) and pid != os.getpid() and _runner(int(parts[1])) != runner:
                found.append((pid, mark))
    return found


def _runner(pid: int) -> str:
    return f"{_machine()}.{pid}.{started(pid) or 0}"


def _machine() -> str:
    """Where process ids mean the same: a host sees the processes of its containers, whose runners it does not know."""
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return "0"


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the third one (the state) on."""
    data = _read(f"/proc/{pid}/stat")
    return data.rpartition(b")")[2].decode("ascii", "replace").split() if data else None


def _environment(pid: int) -> list[bytes]:
    return _read(f"/proc/{pid}/environ").split(b"\0")


def _read(file: str) -> bytes:
    """Nothing when it is gone, or another user's."""
    try:
        with Path(file).open("rb", buffering=0) as stream:
            return stream.readall()
    except OSError:
        return b""
