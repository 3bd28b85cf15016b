"""What the parts of the dispatcher share: the jobs, who may write, and the one thread in which things are decided."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from init.fetch.job import Job, State, Want
from init.fetch.lease import Lease
from init.fetch.ledger import Ledger
from init.fetch.queue import Queue
from init.fetch.remedy import disk
from init.fetch.trouble import Trouble
from init.fetch.verify import Cancelled
from init.fetch.workers import Tuning
from init.state import FileState, FileStatus

STATUS: Mapping[State, FileStatus] = {
    "new": "queued",
    "checking": "verifying",
    "queued": "queued",
    "resolving": "queued",
    "fetching": "fetching",
    "verifying": "verifying",
    "done": "done",
    "failed": "failed",
    "dropped": "skipped",
}


class Board:
    """Shared by the dispatcher's parts. `post` is for all threads, everything else for the deciding one."""

    def __init__(
        self,
        root: Path,
        state: Path,
        run: Path,
        environ: Mapping[str, str],
        on_file: Callable[[FileState], None],
        tuning: Tuning,
    ):
        self.root, self.run, self.environ, self.tuning = root, run, environ, tuning
        self.ledger = Ledger(state)
        self.lease = Lease(state, beat=tuning.beat, dead=tuning.dead)
        self.queue = Queue()
        self.inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._on_file = on_file

    def post(self, action: Callable[[], None]) -> None:
        """Do something in the deciding thread."""
        self.inbox.put(action)

    def post_for(self, job: Job, action: Callable[[], None]) -> None:
        """Do something in the deciding thread, unless nobody wants the job any more by then."""
        self.inbox.put(lambda: action() if job in self.queue.jobs else None)

    def do(
        self,
        pool: ThreadPoolExecutor,
        job: Job,
        work: Callable[[], Any],
        then: Callable[[Any], None],
        otherwise: Callable[[Job, Trouble], None],
    ) -> None:
        """Work in a pool; `then` or `otherwise` follow in the deciding thread."""

        def run() -> None:
            try:
                value = work()
            except Cancelled:
                return
            except Exception as error:
                trouble = as_trouble(error, job)
                self.post_for(job, lambda: otherwise(job, trouble))
            else:
                self.post_for(job, lambda: then(value))

        # After the end, pools take no work; nobody waits for it either.
        with contextlib.suppress(RuntimeError):
            pool.submit(run)

    def turn(self, job: Job, state: State, message: str = "") -> None:
        """A job enters a state."""
        if state != "fetching":
            job.rate = 0.0
        if state == "done":
            job.done = job.size or job.done
        job.state, job.message = state, message
        self.tell(job)

    def tell(self, job: Job, want: Want | None = None) -> None:
        """Tell the world about a job; `want`: a set that has just let go of it."""
        job.told = time.monotonic()
        status, message = STATUS[job.state], job.message
        if job.state == "queued" and self.lease.owner and not self.lease.held:
            status, message = "waiting", f"{self.lease.owner} fetches on this volume; this runner waits for it"
        for path in job.paths:
            owner = self.owner(job, path) or (want.set if want else "")
            self._on_file(FileState(path, owner, status, job.done, job.size, job.rate or None, message))

    def owner(self, job: Job, path: str) -> str:
        """The set for which a job brings a path; empty when none waits for it any more."""
        return next((want.set for want in job.wants if path in want.specs), "")

    def doubt(self, path: str, owner: str, size: int, error: OSError) -> None:
        """Tell about a verified file that the disk did not take."""
        trouble = disk(error, f"{path} is in place and verified, but the disk did not take it")
        message = f"{trouble.message}; {trouble.hint}; the next start reads it again"
        self._on_file(FileState(path, owner, "done", size, size, None, message))


def as_trouble(error: Exception, job: Job) -> Trouble:
    """Whatever went wrong with a job, in words."""
    if isinstance(error, Trouble):
        return error
    if isinstance(error, OSError):
        return disk(error, job.path)
    return Trouble(f"{job.path}: {type(error).__name__}: {error}", hint="this is an error of Firstlight's: report it")
