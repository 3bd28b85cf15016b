"""The fast lane: one connection a file, read by Python and hashed in passing.

For origins that give a single connection so much that the machine is the limit: it takes half the processor time that
aria2 and reading the file back do. What is there is noted in aria2's own control file, so that aria2 can take over at
any byte: where each connection is throttled, as most CDNs do, sixteen of them are needed.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import time
from collections.abc import Callable
from pathlib import Path

from init.fetch import web
from init.fetch.job import control, forget
from init.fetch.notes import missing, note
from init.fetch.sources import Address
from init.fetch.trouble import Trouble, bare, refusal

WINDOW = 0.3
"""Seconds over which that is judged; each next window is longer, up to `STEADY`."""
STEADY = 3.0
NOTE = 0.5
"""Seconds between two notes of what is there."""
BLOCK = 1 << 20


class Slow(Exception):
    """One connection to this host gives too little."""


def prefix(partial: Path, size: int) -> int | None:
    """Bytes that stand at the start of a partial file, when there are none behind the first gap; else None."""
    if not partial.exists():
        return 0
    gaps = missing(control(partial), size)
    if gaps is None or len(gaps) != 1 or gaps[0][1] != size:
        return None
    return gaps[0][0]


def stream(
    address: Address,
    partial: Path,
    size: int,
    on_bytes: Callable[[int], None],
    on_fast: Callable[[], None],
    *,
    reserve: bool,
    fast: float,
) -> str:
    """Complete `partial`; gives its SHA-256. `on_fast`: after the first window that gave `fast` bytes per second.

    Raises Slow, Trouble, OSError.
    """
    start = prefix(partial, size) or 0
    reply = web.follow(address.url, headers={"Range": f"bytes={start}-"} if start else None)
    with contextlib.closing(reply.body):
        if reply.status not in (200, 206):
            raise refusal(reply.status, bare(address.url), retry_after=reply.headers.get("Retry-After"))
        if reply.status == 200:
            start = 0
        given = web.length(reply)
        if given is not None and given != size:
            raise Trouble(f"is {given} bytes long, and should be {size}", retry=False, kind="content")
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        with os.fdopen(os.open(partial, flags, 0o644), "r+b", buffering=0) as file:
            if reserve:
                os.posix_fallocate(file.fileno(), 0, size)
            flow = _Flow(reply, file.fileno(), partial, size, start, fast)
            flow.run(on_bytes, on_fast)
    forget(partial)
    return flow.hash.hexdigest()


class _Flow:
    def __init__(self, reply: web.Reply, handle: int, partial: Path, size: int, start: int, fast: float):
        self._reply, self._handle, self._partial, self._size, self._start = reply, handle, partial, size, start
        self._fast = fast
        self._buffer = memoryview(bytearray(BLOCK))
        self.hash = hashlib.sha256()
        self.at = start

    def run(self, on_bytes: Callable[[int], None], on_fast: Callable[[], None]) -> None:
        self._reread()
        note(self._partial, self._size, self.at)
        window = noted = time.monotonic()
        before, span = self.at, WINDOW
        try:
            while self.at < self._size:
                count = self._read(min(BLOCK, self._size - self.at))
                data = self._buffer[:count]
                self.hash.update(data)
                while data:
                    written = os.pwrite(self._handle, data, self.at)
                    data, self.at = data[written:], self.at + written
                now = time.monotonic()
                if now - window >= span:
                    if (self.at - before) / (now - window) < self._fast and self._size - self.at > self._fast * WINDOW:
                        raise Slow
                    if span == WINDOW:
                        on_fast()
                    window, before, span = now, self.at, min(STEADY, span * 2)
                if now - noted >= NOTE:
                    noted = now
                    note(self._partial, self._size, self.at)
                    on_bytes(self.at)
        finally:
            if self.at < self._size:
                note(self._partial, self._size, self.at)
            on_bytes(self.at)

    def _read(self, amount: int) -> int:
        try:
            count = self._reply.body.readinto(self._buffer[:amount])
        except (OSError, http.client.HTTPException) as error:
            raise Trouble(f"{bare(self._reply.url)}: the connection broke ({error})") from None
        if not count:
            raise Trouble(f"{bare(self._reply.url)}: the connection ended early")
        return count

    def _reread(self) -> None:
        """Hash what was there before."""
        at = 0
        while at < self._start:
            data = os.pread(self._handle, min(BLOCK, self._start - at), at)
            if not data:
                raise Trouble("the partial file is shorter than it was")
            self.hash.update(data)
            at += len(data)
