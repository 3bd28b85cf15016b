"""The aria2 processes of one runner, and which of them fetches what."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from init.fetch import space
from init.fetch.aria2 import Aria2, Progress
from init.fetch.job import Job


@dataclass(frozen=True)
class Tuning:
    """Numbers that measurements decided, or that tests shorten. Seconds and bytes."""

    processes: int = 3
    connections: int = 16
    big: int = 32 << 20
    """From this size on a file counts as big."""
    big_at_once: int = 4
    small_at_once: int = 24
    poll: float = 0.5
    stall: float = 90.0
    """Without a byte for this long, another transport takes over. aria2 itself gives up a connection after 30."""
    tries: int = 6
    """Without a byte, before a file counts as failed."""
    backoff: float = 1.0
    """Wait before the second try; doubles each time."""
    streams: int = field(default_factory=lambda: min(4, 1 + (os.cpu_count() or 1)))
    """Files at once by one connection each, from origins that are fast enough for that; 0: none."""
    fast: float = 60e6
    """Bytes per second of one connection, below which more connections are worth their price."""
    verifiers: int = 2
    calm: bool = True
    """Leave the processor to JupyterLab whenever it wants it."""
    beat: float = 5.0
    dead: float = 30.0


class Workers:
    """Up to `tuning.processes` aria2s. Used by one thread, which outlives them."""

    def __init__(self, root: Path, run: Path, environ: Mapping[str, str], tuning: Tuning):
        self._root, self._run, self._environ, self._tuning = root, run, environ, tuning
        self._all: list[Aria2] = []
        self._jobs: dict[str, Job] = {}
        self._deaths: list[float] = []
        self._reserves: bool | None = None
        self.polled = 0.0

    @property
    def running(self) -> bool:
        return bool(self._all)

    @property
    def installed(self) -> bool:
        return shutil.which("aria2c", path=self._environ.get("PATH")) is not None

    @property
    def reserves(self) -> bool:
        """Whether the volume can reserve room, as local ones do."""
        if self._reserves is None:
            self._reserves = space.allocates(self._root)
        return self._reserves

    def warm(self, amount: int, keep: int | None) -> None:
        """Start up to this many, within limits, without waiting for them. Raises OSError when they keep ending."""
        self._deaths = [t for t in self._deaths if time.monotonic() - t < 10]
        if len(self._deaths) > 20:
            raise OSError("aria2 ends again and again")
        while len(self._all) < min(amount, self._tuning.processes):
            cache = "0" if self.reserves else "16M"
            self._all.append(Aria2(self._run, self._environ, calm=self._tuning.calm, keep=keep, cache=cache))

    def grow(self, amount: int, keep: int | None) -> None:
        """Have up to this many ready, within limits. Raises OSError when none can be started."""
        self.warm(amount, keep)
        for worker in list(self._all):
            try:
                worker.ready()
            except OSError:
                self._bury(worker)
        if not self._all:
            raise OSError("aria2 does not start")

    def _bury(self, worker: Aria2) -> None:
        worker.kill()
        self._all.remove(worker)
        self._deaths.append(time.monotonic())

    def add(self, job: Job, url: str, partial: Path) -> None:
        """Let the least busy one fetch a job. Raises OSError."""
        worker = min(self._all, key=lambda w: (sum(self._left(gid) for gid in w.gids), len(w.gids)))
        allocation = "falloc" if self.reserves else "none"
        job.gid = worker.add(url, partial, connections=self._tuning.connections, allocation=allocation)
        job.worker = worker
        self._jobs[job.gid] = job

    def _left(self, gid: str) -> int:
        job = self._jobs.get(gid)
        return max(0, (job.size or 0) - job.done) if job else 0

    def poll(self) -> tuple[list[tuple[Job, Progress]], list[Job]]:
        """How far all are, and the jobs whose aria2 has died."""
        self.polled = time.monotonic()
        found: list[tuple[Job, Progress]] = []
        lost: list[Job] = []
        for worker in list(self._all):
            try:
                if not worker.alive:
                    raise OSError
                for progress in worker.poll() if worker.gids else ():
                    if job := self._jobs.get(progress.gid):
                        found.append((job, progress))
                        if progress.status in ("complete", "error", "removed"):
                            self._release(job)
            except OSError:
                self._bury(worker)
                for job in [j for j in self._jobs.values() if j.worker is worker]:
                    self._release(job)
                    lost.append(job)
        return found, lost

    def detach(self, job: Job) -> None:
        """Stop fetching a job; what is there stays. Its files are closed afterwards."""
        worker, gid = job.worker, job.gid
        if worker is None:
            return
        self._release(job)
        try:
            worker.remove(gid)
        except OSError:
            # Its other downloads come back as lost with the next poll.
            worker.kill()

    def _release(self, job: Job) -> None:
        self._jobs.pop(job.gid, None)
        job.worker, job.gid = None, ""

    def stop(self) -> None:
        """End them all."""
        for worker in self._all:
            with contextlib.suppress(OSError):
                worker.stop()
        self._all.clear()
        for job in list(self._jobs.values()):
            self._release(job)
