"""Moves every job through its states: looked for, resolved, fetched, verified, in place. One thread decides."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from init.fetch import presence
from init.fetch.board import Board, as_trouble
from init.fetch.finish import Finish
from init.fetch.job import ENDED, Job, Want, discard
from init.fetch.queue import progress
from init.fetch.readers import Readers
from init.fetch.remedy import contradiction, disk, remedy, together
from init.fetch.sources import Address, Sources, probe
from init.fetch.transfer import Transfers
from init.fetch.trouble import Trouble
from init.lines import size
from init.specs import FileSpec

AHEAD = 8
"""Files whose addresses are asked for before there is a place for them."""
IDLE = 2.0
"""Seconds without work, after which processes and lease are given up."""


class Dispatcher:
    """The thread that decides. Others talk to it through `board.post`."""

    def __init__(self, board: Board):
        self.board = board
        self.sources = Sources(board.environ)
        readers = Readers(calm=board.tuning.calm, keep=lambda: board.lease.handle)
        self._finish = Finish(board, readers, self._complete, self._trouble)
        self._transfers = Transfers(board, self.sources, readers, self._finish.arrived, self._refused, self._trouble)
        self._asking = ThreadPoolExecutor(8, "fetch-ask")
        self._looking = ThreadPoolExecutor(board.tuning.verifiers, "fetch-look")
        self._stopping = False
        self._tried_lease = self._busy = self._reported = 0.0
        self.thread = threading.Thread(target=self._loop, daemon=True, name="fetch")

    # the loop

    def _loop(self) -> None:
        while not self._stopping:
            try:
                with contextlib.suppress(queue.Empty):
                    action = self.board.inbox.get(timeout=self._pause())
                    while True:
                        action()
                        action = self.board.inbox.get_nowait()
                self._step()
            except Exception as error:
                # Whoever waits must hear of it; the next set is a new try.
                for want in list(self.board.queue.wants):
                    self._end(want, Trouble(f"the downloads stopped: {type(error).__name__}: {error}"))
        self._transfers.rest()
        self._finish.settle(time.monotonic(), idle=True)
        self._finish.stop()
        self.board.lease.release()
        for pool in (self._asking, self._looking):
            pool.shutdown(wait=False, cancel_futures=True)

    def stop(self) -> None:
        """Called in the deciding thread: the last thing it does."""
        self._stopping = True
        for want in list(self.board.queue.wants):
            self._end(want, Trouble("stopped", retry=False, kind="cancelled"))

    def _pause(self) -> float:
        if not self.board.queue.wants:
            return IDLE / 2 if self.board.lease.held else 30.0
        return self._transfers.next_poll()

    def _step(self) -> None:
        now, board = time.monotonic(), self.board
        for want in list(board.queue.wants):
            if want.cancel.is_set():
                self._end(want, Trouble("cancelled", retry=False, kind="cancelled"))
        self._transfers.poll(now)
        self._admit()
        if not board.lease.held:
            self._stand_back()
        self._pump(now)
        self._report(now)
        self._finish.settle(now, idle=not board.queue.jobs)
        if board.queue.jobs or self._finish.pending:
            self._busy = now
        elif board.lease.held and now - self._busy > IDLE:
            self._transfers.rest()
            board.lease.release()

    # wants

    def submit(self, want: Want, specs: list[FileSpec]) -> None:
        """Take in a set. What another process noted counts: `models verify` takes files off the ledger."""
        self.board.ledger.refresh()
        try:
            fresh = self.board.queue.add(want, specs)
        except Trouble as trouble:
            self._end(want, trouble)
            return
        for job in fresh:
            self._look(job)

    def drop(self, name: str) -> None:
        """Stop fetching a set; what there is of it stays."""
        for want in [w for w in self.board.queue.wants if w.set == name]:
            self._end(want, Trouble("taken off the list", retry=False, kind="dropped"))

    def _end(self, want: Want, trouble: Trouble | None) -> None:
        want.trouble = trouble
        for job in self.board.queue.forget(want):
            if job.state not in ENDED and trouble is not None:
                self._transfers.interrupt(job, None)
                job.state = {"cancelled": "queued", "dropped": "dropped"}.get(trouble.kind, "failed")  # type: ignore[assignment]
                job.rate, job.message = 0.0, trouble.message
                self.board.tell(job, want)
        want.ended.set()

    def _admit(self) -> None:
        """Reserve room for whole sets, required ones first."""
        for want in sorted(self.board.queue.wants, key=lambda w: (not w.required, w.rank)):
            if want.admitted or any(j.state in ("new", "checking", "resolving") for j in want.jobs):
                continue
            try:
                trouble = self.board.queue.admit(want, self.board.root)
            except OSError as error:
                trouble = disk(error, str(self.board.root))
            if trouble is not None:
                self._end(want, trouble)

    def _report(self, now: float) -> None:
        board = self.board
        if now - self._reported >= board.tuning.poll:
            self._reported = now
            waiting = None if board.lease.held or not board.lease.owner else board.lease.owner
            for want in board.queue.wants:
                if want.report is not None:
                    want.report(progress(want, waiting))
        for want in list(board.queue.wants):
            if all(j.state in ENDED for j in want.jobs):
                failed = [j for j in want.jobs if j.state == "failed" and j.trouble]
                self._end(want, together(failed) if failed else None)

    # looking and asking

    def _look(self, job: Job) -> None:
        """See whether a job's content is there already."""
        board, told = self.board, 0.0
        board.turn(job, "checking")

        def on_bytes(read: int) -> None:
            nonlocal told
            if time.monotonic() - told > board.tuning.poll:
                told = time.monotonic()
                board.post_for(job, lambda: tell(read))

        def tell(read: int) -> None:
            if job.state == "checking":
                board.turn(job, "checking", f"{size(read)} read back")

        def work() -> None:
            presence.look(job, board.root, board.ledger, on_bytes)

        board.do(self._looking, job, work, lambda _: self._looked(job), self._trouble)

    def _looked(self, job: Job) -> None:
        if job.present:
            self._complete(job)
        elif job.unknown and job.address is None:
            self._ask(job)
        elif self.board.queue.merge(job) is job:
            self.board.turn(job, "queued")

    def _complete(self, job: Job) -> None:
        if set(job.paths) <= job.present:
            self.board.turn(job, "done")
        else:
            # Somebody has asked for the same content under another path meanwhile.
            self._look(job)

    def _ask(self, job: Job) -> None:
        known, revision = not job.unknown, job.commit or job.revision
        self.board.turn(job, "resolving", "asking where it is")
        self.board.do(
            self._asking,
            job,
            lambda: self.sources.resolve(job.url, revision, known=known),
            lambda address: self._asked(job, address, known),
            self._trouble,
        )

    def _asked(self, job: Job, address: Address, known: bool) -> None:
        for name, ours, theirs in (("size", job.size, address.size), ("sha256", job.sha256, address.sha256)):
            if ours is not None and theirs is not None and ours != theirs:
                self._fail(job, contradiction(job, f"has the {name} {theirs} at the origin, and {ours} in the lock"))
                return
        job.address = address
        job.size = address.size if job.size is None else job.size
        job.sha256, job.blob = job.sha256 or address.sha256, job.blob or address.blob
        job.commit = job.commit or address.revision
        if known:
            self.board.turn(job, "queued")
        else:
            # Now that it is known what it should be, it may turn out to be there.
            self._look(job)

    # fetching

    def _pump(self, now: float) -> None:
        """Give free places to the best of those that wait, and ask for the addresses of the next ones."""
        if not self.board.queue.waiting(now) or not self._lease(now):
            return
        ahead = sum(1 for j in self.board.queue.jobs if j.state == "resolving")
        for job in self.board.queue.beginning(now):
            if job.address is not None and job.address.fresh:
                if self._transfers.admits(job):
                    self._transfers.begin(job)
                else:
                    ahead += 1
            elif ahead < AHEAD:
                ahead += 1
                self._ask(job)

    def _lease(self, now: float) -> bool:
        """Whether this runner may write; while another one does, see what it has finished."""
        board = self.board
        if board.lease.held:
            return True
        if now - self._tried_lease < 1.0:
            return False
        self._tried_lease = now
        waited = bool(board.lease.owner)
        try:
            held = board.lease.acquire()
        except OSError as error:
            for job in board.queue.waiting(now):
                self._trouble(job, disk(error, str(board.root)))
            return False
        if held:
            self._transfers.warm()
        board.ledger.refresh()
        for job in board.queue.waiting(now):
            # Whoever had it may have died when a file was complete and had no name yet.
            if (waited and held) or any(board.ledger.current(board.root, path) for path in job.paths):
                self._look(job)
            elif not waited and not held:
                board.turn(job, "queued")
        return held

    def _stand_back(self) -> None:
        """Without the lease nothing writes: another machine may have taken it over while this one hung."""
        for job in [j for j in self.board.queue.jobs if j.state == "fetching"]:
            self._transfers.interrupt(job, None)
            self.board.turn(job, "queued")
        # Processes hold the former lease's lock, which would keep this runner from its next turn.
        self._transfers.rest()

    # trouble

    def _refused(self, job: Job) -> None:
        """The origin refused, and aria2 does not know why: ask it for one byte."""
        address = job.address
        assert address is not None
        self.board.turn(job, "resolving", "refused; asking why")

        def explained(trouble: Trouble | None) -> None:
            self._trouble(job, trouble or Trouble(f"{job.name}: the connection was refused for a moment"))

        self.board.do(self._asking, job, lambda: probe(address.url, job.name), explained, self._trouble)

    def _trouble(self, job: Job, trouble: Trouble) -> None:
        wait = remedy(job, trouble, self.board.tuning)
        if trouble.kind == "content":
            try:
                discard(job.partial(self.board.root))
            except OSError as error:
                trouble, wait = as_trouble(error, job), None
        if wait is None:
            self._fail(job, trouble)
            return
        job.not_before = time.monotonic() + wait
        once_more = "; fetched once more from the start" if trouble.kind == "content" else ""
        job.setback = trouble.message + once_more
        self.board.turn(job, "queued", job.setback + (f"; again in {wait:.0f} s" if wait else ""))

    def _fail(self, job: Job, trouble: Trouble) -> None:
        job.trouble = trouble
        self.board.turn(job, "failed", trouble.message)
