"""Bytes on their way: which transport fetches what, how far it is, and when it is interrupted."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from init.fetch import fallback, notes, space, stream
from init.fetch.aria2 import Progress
from init.fetch.board import Board, as_trouble
from init.fetch.job import Job, control, discard, lacking
from init.fetch.places import place
from init.fetch.readers import Readers
from init.fetch.remedy import contradiction, disk, full_for
from init.fetch.sources import Sources, hub_file
from init.fetch.trouble import Trouble
from init.fetch.verify import Cancelled
from init.fetch.workers import Workers


class Transfers:
    """All transfers of one runner. Used by the deciding thread."""

    def __init__(
        self,
        board: Board,
        sources: Sources,
        readers: Readers,
        arrived: Callable[[Job, str | None], None],
        refused: Callable[[Job], None],
        failed: Callable[[Job, Trouble], None],
    ):
        """`arrived`: all bytes are there, and their SHA-256 if it is known; `refused`: the origin did, and has to be
        asked why; `failed`: anything else."""
        self._board, self._sources, self._readers = board, sources, readers
        self._arrived, self._refused, self._failed = arrived, refused, failed
        self._workers = Workers(board.root, board.run, board.environ, board.tuning)
        self._slow: set[str] = set()
        """Hosts that give a single connection little."""
        self._fast: set[str] = set()
        """Hosts that give a single connection a lot."""

    # which

    def admits(self, job: Job) -> bool:
        """Whether there is a place free for a resolved job; chooses its lane."""
        tuning, busy = self._board.tuning, self._busy()
        if job.transport in ("aria2", "stream"):
            job.transport = "stream" if self._streams(job) else "aria2"
            streams = [j for j in busy if j.transport == "stream"]
            if job.transport == "stream":
                return len(streams) < tuning.streams
            if tuning.streams and any(_host(j) == _host(job) not in self._slow for j in streams):
                # In a moment it is known whether one connection is enough there.
                return bool(job.tries)
        big = (job.size or tuning.big) >= tuning.big
        alike = sum(1 for j in busy if ((j.size or 0) >= tuning.big) == big)
        return alike < (tuning.big_at_once if big else tuning.small_at_once)

    def _streams(self, job: Job) -> bool:
        """Whether one connection is enough, or, for a big file from an unknown host, worth a moment's try."""
        tuning, host = self._board.tuning, _host(job)
        if not tuning.streams or job.tries or not job.size or job.address is None or job.address.secret:
            return False
        if host in self._slow or (host not in self._fast and job.size < tuning.big):
            return False
        return stream.prefix(job.partial(self._board.root), job.size) is not None

    def _busy(self) -> list[Job]:
        return [j for j in self._board.queue.jobs if j.state == "fetching"]

    # begin

    def warm(self) -> None:
        """Start processes while the origin is being asked."""
        jobs, tuning = self._board.queue.jobs, self._board.tuning
        big = sum(1 for j in jobs if (j.size or 0) >= tuning.big)
        # What goes wrong here goes wrong again when it is needed, and is told then.
        with contextlib.suppress(OSError):
            self._readers.warm(min(big, tuning.streams))
            if self._workers.installed:
                self._workers.warm(len(jobs), self._board.lease.handle)

    def begin(self, job: Job) -> None:
        """Hand a resolved job to its transport."""
        assert job.address is not None
        try:
            partial = self._prepare(job)
            there = _there(partial, job.size)
            # A transport that failed is counted when the next one begins.
            job.done = max(job.done, there)
            count(job)
            job.base = job.done = there
            # What was there before and got lost with a broken connection is no progress when it comes again.
            job.high = max(job.high, job.done)
            job.moved, job.trouble = time.monotonic(), None
            job.stop = threading.Event()
            if job.address.secret or (job.transport == "aria2" and not self._workers.installed):
                job.transport = "plain"
            if job.transport == "aria2":
                unfinished = sum(1 for j in self._board.queue.jobs if j.state in ("queued", "resolving", "fetching"))
                self._workers.grow(unfinished, self._board.lease.handle)
                self._workers.add(job, job.address.url, partial)
            else:
                threading.Thread(target=self._other, args=(job, partial), daemon=True, name="fetch-other").start()
            usual = job.transport in ("aria2", "stream")
            self._board.turn(job, "fetching", "" if usual else f"by another way ({job.transport})")
        except (Trouble, OSError) as error:
            self._failed(job, as_trouble(error, job))

    def _prepare(self, job: Job) -> Path:
        """Make the place, drop what is no part of this content, and see that there is room. Raises Trouble, OSError."""
        root, ledger = self._board.root, self._board.ledger
        place(root, job.path)
        partial = job.partial(root)
        known = ledger.partial(job.path)
        if (known != job.identity and (known or not job.sha256)) or not control(partial).exists():
            discard(partial)
        others = sum(lacking(j, root) for j in self._busy() if j is not job)
        if lacking(job, root) + others > space.free(root):
            raise full_for(root, job, others)
        ledger.begin(job.path, job.identity)
        return partial

    def _other(self, job: Job, partial: Path) -> None:
        """Fetch a job without aria2, in a thread of its own."""
        board, address, stop, file = self._board, job.address, job.stop, hub_file(job.url)
        sha256 = None

        def on_bytes(there: int) -> None:
            board.post_for(job, lambda: self._moved(job, there, None))

        def slowed() -> None:
            self._slowed(job)

        def fast() -> None:
            self._fast.add(_host(job))

        def cancelled() -> None:
            if job.trouble is not None:
                self._failed(job, job.trouble)

        assert address is not None
        try:
            if job.transport == "stream" and job.size is not None:
                sha256 = self._readers.stream(
                    address.url,
                    partial,
                    job.size,
                    on_bytes,
                    stop,
                    reserve=self._workers.reserves,
                    fast=board.tuning.fast,
                    on_fast=lambda: board.post(fast),
                )
            elif job.transport == "hub" and file is not None:
                revision, endpoint = job.commit or job.revision or "main", self._sources.endpoint
                fallback.hub(file, revision, endpoint, board.environ, partial, board.root, on_bytes, stop)
            else:
                fallback.plain(address, partial, job.size, on_bytes, stop)
        except stream.Slow:
            board.post_for(job, slowed)
        except Cancelled:
            board.post_for(job, cancelled)
        except Exception as error:
            trouble = as_trouble(error, job)
            if trouble.kind == "content":
                trouble = contradiction(job, trouble.message)
            board.post_for(job, lambda: self._failed(job, trouble))
        else:
            board.post_for(job, lambda: self._complete(job, sha256))

    def _slowed(self, job: Job) -> None:
        """One connection is not enough: aria2 goes on, here and with all others from this host."""
        assert job.address is not None
        self._slow.add(_host(job))
        self._fast.discard(_host(job))
        job.transport = "aria2"
        self.begin(job)

    # go on

    def poll(self, now: float) -> None:
        """See how far everything is; interrupt what does not move, and what does not fit any more."""
        board = self._board
        found, lost = self._workers.poll()
        for job in lost:
            count(job)
            board.turn(job, "queued", "aria2 ended; going on with a new one")
        for job, seen in found:
            self._seen(job, seen)
        growing = [j for j in self._busy() if lacking(j, board.root)]
        if growing and not space.free(board.root):
            # Before it is so full that aria2 could not note what it has.
            for job in growing:
                self.interrupt(job, full_for(board.root, job))
        for job in self._busy():
            if now - job.moved > board.tuning.stall and not job.stop.is_set():
                self.interrupt(job, Trouble(f"{job.name}: no bytes for {board.tuning.stall:.0f} s", kind="stall"))

    def next_poll(self) -> float:
        """Seconds until the next look is due: sooner when something is about to end."""
        busy, poll = self._busy(), self._board.tuning.poll
        soon = min((((j.size or 0) - j.done) / j.rate if j.rate else poll for j in busy), default=poll)
        pause = max(0.05, min(poll, soon + 0.02))
        return max(0.0, self._workers.polled + pause - time.monotonic()) if busy else pause

    def _seen(self, job: Job, seen: Progress) -> None:
        if seen.status == "active" and seen.total and job.size is not None and seen.total != job.size:
            self._workers.detach(job)
            count(job)
            self._failed(job, contradiction(job, f"is {seen.total} bytes long, and should be {job.size}"))
        elif seen.status == "active":
            self._moved(job, seen.done, seen.rate)
        elif seen.status == "complete":
            self._moved(job, seen.done, 0.0)
            self._complete(job, None)
        elif seen.status == "error":
            self._moved(job, max(seen.done, job.done), 0.0)
            count(job)
            self._explain(job, seen)

    def _complete(self, job: Job, sha256: str | None) -> None:
        # What came last need not have been told.
        job.done = max(job.done, job.size or 0)
        count(job)
        self._arrived(job, sha256)

    def _moved(self, job: Job, there: int, rate: float | None) -> None:
        if job.state != "fetching":
            return
        now = time.monotonic()
        if there > job.done:
            job.moved = now
        if there > job.high:
            job.high, job.tries = there, 0
        if rate is None and now > job.told:
            rate = max(0.0, (there - job.done) / max(0.05, now - job.told)) if job.told else 0.0
        job.done, job.rate = there, rate or 0.0
        if now - job.told >= self._board.tuning.poll * 0.9:
            self._board.tell(job)

    def _explain(self, job: Job, seen: Progress) -> None:
        """Why aria2 gave up, as far as its exit code tells."""
        root = self._board.root
        if seen.code == 9:
            self._failed(job, full_for(root, job))
        elif seen.code in (15, 16, 17, 18):
            self._failed(job, disk(OSError(f"{root} cannot be written"), job.path))
        elif seen.code in (3, 4, 22, 24, 29):
            self._refused(job)
        else:
            self._failed(job, Trouble(f"{job.name}: the connection broke (aria2 error {seen.code})"))

    # end

    def interrupt(self, job: Job, why: Trouble | None) -> None:
        """End a job's transport; `why`: what then goes on from there. What it has stays."""
        job.trouble = why
        job.stop.set()
        if job.worker is not None:
            self._workers.detach(job)
            count(job)
            if why is not None:
                self._failed(job, why)

    def rest(self) -> None:
        """End all processes."""
        for job in self._busy():
            job.stop.set()
        self._workers.stop()
        self._readers.stop()


def count(job: Job) -> None:
    """Add what came over the network since the transport began."""
    if job.base is not None:
        job.fetched += max(0, job.done - job.base)
        job.base = None


def _host(job: Job) -> str:
    return urlsplit(job.address.url).netloc if job.address else ""


def _there(partial: Path, size: int | None) -> int:
    """Bytes that a partial file has, by its control file."""
    gaps = notes.missing(control(partial), size) if partial.exists() else None
    return 0 if gaps is None or size is None else size - sum(end - start for start, end in gaps)
