"""Moves every job through its states: looked for, resolved, fetched, verified, in place. One thread decides."""

from __future__ import annotations

import contextlib
import errno
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from init.fetch import fallback, presence, space, stream, verify
from init.fetch.aria2 import Progress
from init.fetch.job import ENDED, Job, Want, control, discard, forget
from init.fetch.lease import Lease
from init.fetch.ledger import Ledger
from init.fetch.places import place
from init.fetch.queue import Queue, full, lacking, progress
from init.fetch.readers import Readers
from init.fetch.sources import Address, Sources, hub_file, probe
from init.fetch.trouble import Trouble
from init.fetch.workers import Tuning, Workers
from init.plan import FileSpec
from init.state import FileState, FileStatus

STATUS: Mapping[str, FileStatus] = {
    "new": "queued",
    "checking": "verifying",
    "queued": "queued",
    "resolving": "queued",
    "fetching": "fetching",
    "verifying": "verifying",
    "done": "done",
    "failed": "failed",
}
EXPIRED = (401, 403, 410)


class Dispatcher:
    """The thread that decides. Others talk to it through `post`."""

    def __init__(
        self,
        root: Path,
        state: Path,
        run: Path,
        environ: Mapping[str, str],
        on_file: Callable[[FileState], None],
        tuning: Tuning,
    ):
        self.root = root
        self.sources = Sources(environ)
        self.ledger = Ledger(state)
        self.lease = Lease(state, beat=tuning.beat, dead=tuning.dead)
        self.queue = Queue()
        self._environ, self._on_file, self._tuning = environ, on_file, tuning
        self._workers = Workers(root, run, environ, tuning)
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._asking = ThreadPoolExecutor(8, "fetch-ask")
        self._reading = ThreadPoolExecutor(tuning.verifiers, "fetch-verify")
        self._readers = Readers(calm=tuning.calm, keep=lambda: self.lease.handle)
        self._stopping = False
        self._syncing = ThreadPoolExecutor(2, "fetch-sync")
        self._unsynced = 0
        self._slow: set[str] = set()
        """Hosts that give a single connection little."""
        self._tried_lease = self._busy = self._reported = 0.0
        self.thread = threading.Thread(target=self._loop, daemon=True, name="fetch")

    def post(self, action: Callable[[], None]) -> None:
        """Do something in the deciding thread."""
        self._inbox.put(action)

    # the loop

    def _loop(self) -> None:
        while not self._stopping:
            with contextlib.suppress(queue.Empty):
                action = self._inbox.get(timeout=self._pause())
                while True:
                    action()
                    action = self._inbox.get_nowait()
            self._step()
        for job in self.queue.jobs:
            job.stop.set()
        self._workers.stop()
        self._readers.stop()
        self._syncing.shutdown()
        self.lease.release()
        self._asking.shutdown(wait=False, cancel_futures=True)
        self._reading.shutdown(wait=False, cancel_futures=True)

    def stop(self) -> None:
        """Called in the deciding thread: the last thing it does."""
        self._stopping = True
        for want in list(self.queue.wants):
            self._end(want, Trouble("stopped", retry=False, kind="cancelled"))

    def _pause(self) -> float:
        fetching = [j for j in self.queue.jobs if j.state == "fetching"]
        if not self.queue.wants:
            return 1.0 if self.lease.held else 30.0
        soon = min(((j.size or 0) - j.done) / j.rate if j.rate else 60.0 for j in fetching) if fetching else 60.0
        pause = max(0.05, min(self._tuning.poll, soon + 0.02))
        return max(0.0, self._workers.polled + pause - time.monotonic()) if fetching else pause

    def _step(self) -> None:
        now = time.monotonic()
        for want in list(self.queue.wants):
            if want.cancel.is_set():
                self._end(want, Trouble("cancelled", retry=False, kind="cancelled"))
        self._poll(now)
        self._admit()
        self._pump(now)
        self._report(now)
        if self.queue.jobs or self._unsynced:
            self._busy = now
        elif self.lease.held and now - self._busy > 2.0:
            self._workers.stop()
            self._readers.stop()
            self.lease.release()

    # wants

    def submit(self, want: Want, specs: list[FileSpec]) -> None:
        """Take in a set."""
        try:
            fresh = self.queue.add(want, specs)
        except Trouble as trouble:
            self._end(want, trouble)
            return
        for job in fresh:
            self._look(job)

    def drop(self, name: str) -> None:
        """Stop fetching a set; what there is of it stays."""
        for want in [w for w in self.queue.wants if w.set == name]:
            self._end(want, Trouble("taken off the list", retry=False, kind="cancelled"))

    def _end(self, want: Want, trouble: Trouble | None) -> None:
        want.trouble = trouble
        for job in self.queue.forget(want):
            if job.state not in ENDED:
                job.stop.set()
                self._workers.detach(job)
                job.state = "failed" if trouble and trouble.kind != "cancelled" else "queued"
                job.rate, job.message = 0.0, trouble.message if trouble else ""
                self._tell(job, want)
        want.ended.set()

    def _admit(self) -> None:
        for want in sorted(self.queue.wants, key=lambda w: not w.required):
            if want.admitted or any(j.state in ("new", "checking", "resolving") for j in want.jobs):
                continue
            try:
                trouble = self.queue.admit(want, self.root)
            except OSError as error:
                trouble = _disk(error, str(self.root))
            if trouble is not None:
                self._end(want, trouble)

    def _report(self, now: float) -> None:
        if now - self._reported >= self._tuning.poll:
            self._reported = now
            waiting = None if self.lease.held or not self.lease.owner else self.lease.owner
            for want in self.queue.wants:
                if want.report is not None:
                    want.report(progress(want, waiting))
        for want in list(self.queue.wants):
            if all(j.state in ENDED for j in want.jobs):
                failed = [j for j in want.jobs if j.state == "failed" and j.trouble]
                self._end(want, _together(failed) if failed else None)

    # looking and asking

    def _look(self, job: Job) -> None:
        self._turn(job, "checking")

        def work() -> None:
            told = 0.0

            def on_bytes(read: int) -> None:
                nonlocal told
                if time.monotonic() - told > 0.5:
                    told = time.monotonic()
                    self.post(lambda: self._turn(job, "checking", f"{space.size(read)} read back"))

            presence.look(job, self.root, self.ledger, on_bytes)

        self._do(self._reading, job, work, lambda _: self._looked(job))

    def _looked(self, job: Job) -> None:
        if job.present:
            self._complete(job)
        elif _unknown(job) and job.address is None:
            self._ask(job)
        elif self.queue.merge(job) is job:
            self._turn(job, "queued")

    def _complete(self, job: Job) -> None:
        if set(job.paths) <= job.present:
            self._turn(job, "done")
        else:
            # Somebody has asked for the same content under another path meanwhile.
            self._look(job)

    def _ask(self, job: Job) -> None:
        known = not _unknown(job)
        self._turn(job, "resolving", "asking where it is")
        self._do(
            self._asking,
            job,
            lambda: self.sources.resolve(job.url, job.commit or job.revision, known=known),
            lambda address: self._asked(job, address, known),
        )

    def _asked(self, job: Job, address: Address, known: bool) -> None:
        for name, ours, theirs in (("size", job.size, address.size), ("sha256", job.sha256, address.sha256)):
            if ours is not None and theirs is not None and ours != theirs:
                self._fail(job, _contradiction(job, f"has the {name} {theirs} at the origin, and {ours} in the lock"))
                return
        job.address = address
        job.size = address.size if job.size is None else job.size
        job.sha256, job.blob = job.sha256 or address.sha256, job.blob or address.blob
        job.commit = job.commit or address.revision
        if known:
            self._begin(job)
            return
        self._look(job)

    def _do(self, pool: ThreadPoolExecutor, job: Job, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Work in a pool; what follows, or the trouble, is decided here."""

        def run() -> None:
            try:
                value = work()
            except verify.Cancelled:
                return
            except Trouble as error:
                trouble = error
                self.post(lambda: self._trouble(job, trouble) if job in self.queue.jobs else None)
            except OSError as error:
                told = _disk(error, job.path)
                self.post(lambda: self._trouble(job, told) if job in self.queue.jobs else None)
            else:
                self.post(lambda: then(value) if job in self.queue.jobs else None)

        with contextlib.suppress(RuntimeError):
            pool.submit(run)

    # fetching

    def _pump(self, now: float) -> None:
        waiting = self.queue.waiting(now)
        if not waiting or not self._lease(now):
            return
        busy = [j for j in self.queue.jobs if j.state in ("resolving", "fetching")]
        big = sum(1 for j in busy if (j.size or 0) >= self._tuning.big)
        small = len(busy) - big
        streams = sum(1 for j in busy if j.transport == "stream")
        for job in waiting:
            if job.transport == "aria2" and self._streams(job):
                if streams >= self._tuning.streams:
                    continue
                streams += 1
                job.transport = "stream"
            elif job.transport == "stream" and not self._streams(job):
                job.transport = "aria2"
            if (job.size or self._tuning.big) >= self._tuning.big:
                if big >= self._tuning.big_at_once:
                    continue
                big += 1
            else:
                if small >= self._tuning.small_at_once:
                    continue
                small += 1
            if job.address is not None and job.address.fresh:
                self._begin(job)
            else:
                self._ask(job)

    def _streams(self, job: Job) -> bool:
        """Whether a job goes by the fast lane. Its host is known only once it was asked; till then it is hoped for."""
        if not self._tuning.streams or job.tries or job.wrong or not job.size or job.size < self._tuning.big:
            return False
        host = urlsplit(job.address.url).netloc if job.address else ""
        return host not in self._slow and stream.prefix(job.partial(self.root), job.size) is not None

    def _lease(self, now: float) -> bool:
        """Whether this runner may write; while another one does, see what it has finished."""
        if self.lease.held:
            return True
        if self._workers.running:
            self._workers.stop()
            for job in [j for j in self.queue.jobs if j.state == "fetching"]:
                self._turn(job, "queued")
        if now - self._tried_lease < 1.0:
            return False
        self._tried_lease = now
        first = not self.lease.owner
        try:
            held = self.lease.acquire()
        except OSError as error:
            for job in self.queue.waiting(now):
                self._trouble(job, _disk(error, str(self.root)))
            return False
        self.ledger.refresh()
        for job in self.queue.waiting(now):
            if any(self.ledger.current(self.root, path) for path in job.paths):
                self._look(job)
            elif first and not held:
                self._turn(job, "queued")
        return held

    def _begin(self, job: Job) -> None:
        """Hand a resolved job to its transport."""
        assert job.address is not None
        try:
            partial = self._prepare(job)
            job.base = _there(partial, job.size)
            job.done = job.high = job.base
            job.moved = time.monotonic()
            job.stop = threading.Event()
            if job.transport == "stream" and not self._streams(job):
                job.transport = "aria2"
            if job.transport != "hub" and job.address.secret:
                job.transport = "plain"
            if job.transport == "aria2" and not self._workers.installed:
                job.transport = "plain"
            if job.transport == "aria2":
                open_jobs = sum(1 for j in self.queue.jobs if j.state in ("queued", "resolving", "fetching"))
                self._workers.grow(open_jobs, self.lease.handle)
                self._workers.add(job, job.address.url, partial)
            else:
                threading.Thread(target=self._other, args=(job, partial), daemon=True, name="fetch-other").start()
            self._turn(
                job, "fetching", "" if job.transport in ("aria2", "stream") else f"by another way ({job.transport})"
            )
        except Trouble as trouble:
            self._trouble(job, trouble)
        except OSError as error:
            self._trouble(job, _disk(error, job.path))

    def _prepare(self, job: Job) -> Path:
        """Make the place, drop what is no part of this content, and see that there is room. Raises Trouble, OSError."""
        place(self.root, job.path)
        partial = job.partial(self.root)
        known = self.ledger.partial(job.path)
        if (known != job.identity and (known or not job.sha256)) or not control(partial).exists():
            discard(partial)
        others = sum(lacking(j, self.root) for j in self.queue.jobs if j.state == "fetching" and j is not job)
        short = lacking(job, self.root) + others - space.free(self.root)
        if short > 0:
            raise full(self.root, f"{job.path} needs {space.size(lacking(job, self.root))}", short)
        self.ledger.begin(job.path, job.identity)
        return partial

    def _other(self, job: Job, partial: Path) -> None:
        """Fetch a job without aria2, in a thread of its own."""

        def on_bytes(there: int) -> None:
            self.post(lambda: self._moved(job, there, None))

        assert job.address is not None
        stop, file, sha256 = job.stop, hub_file(job.url), None
        try:
            if job.transport == "stream":
                assert job.size is not None
                reserve = self._workers.reserves
                sha256 = self._readers.stream(job.address.url, partial, job.size, on_bytes, stop, reserve=reserve)
            elif job.transport == "hub" and file is not None:
                revision = job.commit or job.revision or "main"
                endpoint = self.sources.endpoint
                fallback.hub(file, revision, endpoint, self._environ, partial, self.root, on_bytes, stop)
            else:
                fallback.plain(job.address, partial, job.size, on_bytes, stop)
        except stream.Slow:
            self.post(lambda: self._slowed(job) if job in self.queue.jobs else None)
        except verify.Cancelled:
            self.post(lambda: self._trouble(job, job.trouble) if job in self.queue.jobs and job.trouble else None)
        except Trouble as error:
            trouble = _contradiction(job, error.message) if error.kind == "content" else error
            self.post(lambda: self._trouble(job, trouble) if job in self.queue.jobs else None)
        except OSError as error:
            failed = _disk(error, job.path)
            self.post(lambda: self._trouble(job, failed) if job in self.queue.jobs else None)
        else:
            self.post(lambda: self._arrived(job, sha256) if job in self.queue.jobs else None)

    def _slowed(self, job: Job) -> None:
        """One connection is not enough: aria2 goes on, here and with all others from this host."""
        assert job.address is not None
        self._count(job)
        self._slow.add(urlsplit(job.address.url).netloc)
        job.transport = "aria2"
        self._begin(job)

    def _poll(self, now: float) -> None:
        found, lost = self._workers.poll()
        for job in lost:
            self._turn(job, "queued", "aria2 ended; going on with a new one")
        for job, seen in found:
            self._seen(job, seen)
        self._watch_space()
        for job in [j for j in self.queue.jobs if j.state == "fetching"]:
            if now - job.moved > self._tuning.stall and not job.stop.is_set():
                self._interrupt(job, Trouble(f"{job.name}: no bytes for {self._tuning.stall:.0f} s", kind="stall"))

    def _watch_space(self) -> None:
        """Stop before the volume is so full that aria2 could not note what it has."""
        growing = [j for j in self.queue.jobs if j.state == "fetching" and lacking(j, self.root)]
        if growing and not space.free(self.root):
            for job in growing:
                self._interrupt(job, self._full(job))

    def _interrupt(self, job: Job, why: Trouble) -> None:
        """End a job's transport, and go on from there."""
        job.trouble = why
        job.stop.set()
        if job.worker is not None:
            self._workers.detach(job)
            self._trouble(job, why)

    def _full(self, job: Job) -> Trouble:
        need = lacking(job, self.root)
        short = max(1, need - space.free(self.root))
        return full(self.root, f"{job.path} needs {space.size(need)} more", short)

    def _seen(self, job: Job, seen: Progress) -> None:
        if seen.status == "active" and seen.total and job.size is not None and seen.total != job.size:
            self._workers.detach(job)
            self._wrong(job, _contradiction(job, f"is {seen.total} bytes long, and should be {job.size}"))
        elif seen.status == "active":
            self._moved(job, seen.done, seen.rate)
        elif seen.status == "complete":
            self._moved(job, seen.done, 0.0)
            self._arrived(job)
        elif seen.status == "error":
            self._moved(job, max(seen.done, job.done), 0.0)
            self._explain(job, seen)

    def _moved(self, job: Job, there: int, rate: float | None) -> None:
        if job.state != "fetching":
            return
        now = time.monotonic()
        if there > job.high:
            job.high, job.moved, job.tries = there, now, 0
        if rate is None and now > job.told:
            rate = max(0.0, (there - job.done) / max(0.05, now - job.told)) if job.told else 0.0
        job.done, job.rate = there, rate or 0.0
        if now - job.told >= self._tuning.poll * 0.9:
            self._tell(job)

    def _arrived(self, job: Job, sha256: str | None = None) -> None:
        self._count(job)
        self._turn(job, "verifying")
        self._do(self._reading, job, lambda: self._verify(job, sha256), lambda paths: self._settle(job, paths))

    def _settle(self, job: Job, paths: list[str]) -> None:
        """The files are in place. Vouching for them waits for the disk, and nobody else has to."""

        def done() -> None:
            self._unsynced -= 1

        def work() -> None:
            try:
                with contextlib.suppress(OSError):
                    for path in paths:
                        presence.record(job, self.root, path, self.ledger)
            finally:
                self.post(done)

        self._unsynced += 1
        self._syncing.submit(work)
        self._complete(job)

    def _verify(self, job: Job, sha256: str | None) -> list[str]:
        """Give a complete file its name, if it is what it should be; `sha256`: as it was hashed in passing.

        In a pool's thread. Gives the paths that are now in place. Raises Trouble, OSError, Cancelled.
        """
        partial = job.partial(self.root)
        there = partial.stat().st_size
        if job.size not in (None, there):
            raise _contradiction(job, f"is {there} bytes long, and should be {job.size}")
        expected = job.sha256 or job.blob
        if expected:
            found = (job.sha256 and sha256) or self._digest(job, partial)
            if found != expected:
                kind = "SHA-256" if job.sha256 else "git hash"
                raise _contradiction(job, f"has other content: its {kind} is {found}, and should be {expected}")
        job.size = job.done = there
        partial.replace(place(self.root, job.path))
        forget(partial)
        job.present.add(job.path)
        return [job.path, *presence.share(job, self.root)]

    def _digest(self, job: Job, partial: Path) -> str:
        def on_bytes(read: int) -> None:
            self.post(lambda: self._turn(job, "verifying", f"{space.size(read)} read back"))

        return self._readers.digest(partial, on_bytes, job.stop, blob=job.sha256 is None)

    # trouble

    def _explain(self, job: Job, seen: Progress) -> None:
        """Why aria2 gave up, as far as its exit code tells; else the origin is asked, for one byte."""
        if seen.code == 9:
            self._trouble(job, self._full(job))
        elif seen.code in (15, 16, 17, 18):
            self._trouble(
                job, Trouble(f"{job.path}: {self.root} cannot be written", hint="check the volume", kind="disk")
            )
        elif seen.code in (3, 4, 22, 24, 29) and job.address is not None:
            url = job.address.url
            self._turn(job, "resolving", "refused; asking why")

            def explained(trouble: Trouble | None) -> None:
                self._trouble(job, trouble or Trouble(f"{job.name}: the connection was refused for a moment"))

            self._do(self._asking, job, lambda: probe(url, job.name), explained)
        else:
            self._trouble(job, Trouble(f"{job.name}: the connection broke (aria2 error {seen.code})"))

    def _trouble(self, job: Job, trouble: Trouble) -> None:
        """Decide what follows: wait and go on, ask for a new address, another transport, or the end."""
        if trouble.kind == "content":
            self._wrong(job, trouble)
            return
        self._count(job)
        job.tries += 1
        renewable = trouble.kind in ("expired", "refused") and job.address is not None and job.state != "new"
        if renewable and job.tries <= 2:
            # A signed address has run out, or its target moved: the hub's word on a new one counts.
            trouble.retry = True
        wait = min(60.0, self._tuning.backoff * 2 ** (job.tries - 1))
        if trouble.kind in ("expired", "refused"):
            wait = 0.0 if job.tries == 1 else wait
            job.address = None
        elif trouble.kind == "busy":
            wait = max(wait, trouble.after or 0.0)
        elif trouble.kind == "stall":
            job.transport, wait = _next(job), 0.0
        elif job.tries % 3 == 0:
            job.address, job.transport = None, _next(job)
        patience = 2 if trouble.kind == "busy" else 1
        if job.transport == "stream":
            job.transport = "aria2"
        if not trouble.retry or job.tries > self._tuning.tries * patience:
            self._fail(job, trouble)
            return
        job.not_before = time.monotonic() + wait
        self._turn(job, "queued", f"{trouble.message}; again in {wait:.0f} s" if wait else trouble.message)

    def _wrong(self, job: Job, trouble: Trouble) -> None:
        """Other content than expected: once more from scratch, then the end."""
        self._count(job)
        job.wrong += 1
        with contextlib.suppress(OSError):
            discard(job.partial(self.root))
        if job.wrong > 1:
            self._fail(job, trouble)
            return
        job.address = None
        self._turn(job, "queued", f"{trouble.message}; fetched once more from the start")

    def _fail(self, job: Job, trouble: Trouble) -> None:
        job.trouble = trouble
        self._turn(job, "failed", trouble.message)

    def _count(self, job: Job) -> None:
        if job.base is not None:
            job.fetched += max(0, job.done - job.base)
            job.base = None

    # telling

    def _turn(self, job: Job, state: Any, message: str = "") -> None:
        if state != "fetching":
            job.rate = 0.0
        if state == "done":
            job.done = job.size or job.done
        job.state, job.message = state, message
        self._tell(job)

    def _tell(self, job: Job, want: Want | None = None) -> None:
        job.told = time.monotonic()
        status, message = STATUS[job.state], job.message
        if job.state == "queued" and self.lease.owner and not self.lease.held:
            status, message = "waiting", f"{self.lease.owner} fetches on this volume; this runner waits for it"
        for path in job.paths:
            owner = next((w.set for w in job.wants if path in w.specs), want.set if want else "")
            self._on_file(FileState(path, owner, status, job.done, job.size, job.rate or None, message))


def _unknown(job: Job) -> bool:
    """Whether the origin has to be asked before it is clear what the file should be."""
    hashed = job.sha256 or job.blob or not job.url.startswith(("hf:", "civitai:"))
    return job.size is None or not hashed


def _next(job: Job) -> Any:
    if job.transport == "stream":
        return "aria2"
    order = ["aria2", "hub", "plain"] if hub_file(job.url) else ["aria2", "plain"]
    return order[(order.index(job.transport) + 1) % len(order)]


def _there(partial: Path, size: int | None) -> int:
    """Bytes that a partial file has, by its control file."""
    gaps = fallback.missing(control(partial), size) if partial.exists() else None
    return 0 if gaps is None or size is None else size - sum(end - start for start, end in gaps)


def _contradiction(job: Job, what: str) -> Trouble:
    hint = "if the new content is meant, lock the manifest again; else tell whoever publishes the file"
    return Trouble(f"{job.path} {what}", hint=hint, retry=False, kind="content")


def _disk(error: OSError, what: str) -> Trouble:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "delete files, take a larger volume, or choose fewer sets (MODEL_SETS)"
        return Trouble(f"{what}: the volume is full", hint=hint, retry=False, kind="space")
    return Trouble(f"{what}: {error.strerror or error}", hint="check the volume", kind="disk")


def _together(failed: list[Job]) -> Trouble:
    """One trouble for several files: the first in words, the others by name."""
    troubles = [j.trouble for j in failed if j.trouble]
    first = troubles[0]
    rest = f" (and {len(failed) - 1} more: {', '.join(j.name for j in failed[1:4])})" if len(failed) > 1 else ""
    return Trouble(first.message + rest, hint=first.hint, retry=any(t.retry for t in troubles), kind=first.kind)
