"""The last steps of a file: verified, named, on the disk, vouched for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from init import lines
from init.fetch import presence
from init.fetch.board import Board
from init.fetch.job import Job, forget
from init.fetch.places import place
from init.fetch.readers import Readers
from init.fetch.remedy import contradiction
from init.fetch.trouble import Trouble

SETTLE = 60.0
"""Seconds after which a file is brought to the disk in any case: by then the kernel has written most of it."""


@dataclass(frozen=True)
class Fresh:
    """A file that is in place and not surely on the disk."""

    since: float
    """Monotonic seconds."""
    path: str
    owner: str
    """Its model set."""
    size: int


class Finish:
    """Finishes complete partial files, a few at a time."""

    def __init__(
        self, board: Board, readers: Readers, done: Callable[[Job], None], failed: Callable[[Job, Trouble], None]
    ):
        self._board, self._readers, self._done, self._failed = board, readers, done, failed
        self._verifying = ThreadPoolExecutor(board.tuning.verifiers, "fetch-verify")
        self._syncing = ThreadPoolExecutor(2, "fetch-sync")
        self._unsettled: list[Fresh] = []
        self._settling = 0

    def arrived(self, job: Job, sha256: str | None) -> None:
        """All bytes of a job are there; `sha256`: as they were hashed in passing."""
        self._board.turn(job, "verifying")
        self._board.do(
            self._verifying,
            job,
            lambda: self._verify(job, sha256),
            lambda paths: self._settle(job, paths),
            self._failed,
        )

    def _verify(self, job: Job, sha256: str | None) -> list[str]:
        """Give a complete file its name, if it is what it should be. In a pool's thread.

        Gives the paths that are now in place. Raises Trouble, OSError, Cancelled.
        """
        root = self._board.root
        partial = job.partial(root)
        there = partial.stat().st_size
        if job.size not in (None, there):
            raise contradiction(job, f"is {there} bytes long, and should be {job.size}")
        expected = job.sha256 or job.blob
        if expected:
            found = (job.sha256 and sha256) or self._digest(job, partial)
            if found != expected:
                kind = "SHA-256" if job.sha256 else "git hash"
                raise contradiction(job, f"has other content: its {kind} is {found}, and should be {expected}")
        job.size = job.done = there
        partial.replace(place(root, job.path))
        forget(partial)
        job.present.add(job.path)
        return [job.path, *presence.share(job, root)]

    def _digest(self, job: Job, partial: Path) -> str:
        def tell(read: int) -> None:
            if job.state == "verifying":
                self._board.turn(job, "verifying", f"{lines.size(read)} read back")

        def on_bytes(read: int) -> None:
            self._board.post_for(job, lambda: tell(read))

        return self._readers.digest(partial, on_bytes, job.stop, blob=job.sha256 is None)

    def _settle(self, job: Job, paths: list[str]) -> None:
        """The files are in place. That they get to the disk is nothing that anybody has to wait for."""
        for path in paths:
            with contextlib.suppress(OSError):
                presence.record(job, self._board.root, path, self._board.ledger)
                self._unsettled.append(Fresh(time.monotonic(), path, self._board.owner(job, path), job.done))
        self._done(job)

    @property
    def pending(self) -> bool:
        """Whether there are files that are not surely on the disk."""
        return bool(self._unsettled) or self._settling > 0

    def settle(self, now: float, *, idle: bool) -> None:
        """Bring files to the disk: when nothing is fetched any more, or when the kernel has had time to write them."""

        def settled(file: Fresh, error: OSError | None) -> None:
            self._settling -= 1
            if error is not None:
                self._board.doubt(file.path, file.owner, file.size, error)

        def work(file: Fresh) -> None:
            lost = self._sync(file.path)
            self._board.post(lambda: settled(file, lost))

        while self._unsettled and (idle or now - self._unsettled[0].since > SETTLE):
            self._settling += 1
            self._syncing.submit(work, self._unsettled.pop(0))

    def _sync(self, path: str) -> OSError | None:
        """What the disk said, if it refused: then nobody vouches for the file any more, not even in this boot, as the
        kernel may give up what it could not write."""
        try:
            presence.settle(self._board.root, path, self._board.ledger)
        except FileNotFoundError:
            return None
        except OSError as error:
            with contextlib.suppress(OSError):
                self._board.ledger.drop(path)
            return error
        return None

    def stop(self) -> None:
        """Begin nothing new."""
        self._verifying.shutdown(wait=False, cancel_futures=True)
        self._syncing.shutdown(wait=True)
