"""One look at the state for everybody: who asks and who listens get the same bytes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from . import runner
from .links import links
from .reading import Reader, Reading, silent

PACE = 0.5
"""Seconds between two looks while somebody listens."""
PULSE = 2.0
"""Seconds between two looks at whether the runner is alive."""

log = logging.getLogger(__name__)


class Listener:
    """Gets the newest state; what it has no time for, it never sees."""

    def __init__(self) -> None:
        self._body: bytes | None = None
        self._news = asyncio.Event()

    def offer(self, body: bytes) -> None:
        if body is not self._body:
            self._body = body
            self._news.set()

    def wake(self) -> None:
        self._news.set()

    async def next(self, within: float) -> bytes | None:
        """The next state; None when there is none within that many seconds."""
        try:
            await asyncio.wait_for(self._news.wait(), within)
        except TimeoutError:
            return None
        self._news.clear()
        return self._body


class Feed:
    """State and files as JSON. Looks by itself only while somebody listens."""

    def __init__(self, run: Path, state: Path):
        self._run = run
        self._reader = Reader(run, state)
        self._thread = ThreadPoolExecutor(1, "firstlight feed")
        self._looked = self._felt = float("-inf")
        self._alive = False
        self._reading: Reading | None = None
        self._snapshot = b"null"
        self._body = b""
        self._listeners: set[Listener] = set()
        self._watch: asyncio.Task[None] | None = None

    async def state(self) -> bytes:
        """`{"state": …, "alive": …, "problem": …, "links": …}`, not older than half a pace."""
        await self._look(PACE / 2)
        return self._body

    async def files(self, name: str) -> bytes:
        """`{"files": […]}` of one set; none for a set that nothing is known of."""
        await self._look(PACE / 2)
        assert self._reading is not None
        return json.dumps({"files": self._reading.files.get(name, [])}, separators=(",", ":")).encode()

    @contextlib.contextmanager
    def listen(self) -> Iterator[Listener]:
        """A listener, for as long as the context lasts."""
        listener = Listener()
        self._listeners.add(listener)
        if self._watch is None:
            self._watch = asyncio.create_task(self._keep_watch())
        elif self._body:
            listener.offer(self._body)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            if not self._listeners and self._watch is not None:
                self._watch.cancel()
                self._watch = None

    async def _keep_watch(self) -> None:
        while True:
            try:
                await self._look(0)
                for listener in self._listeners:
                    listener.offer(self._body)
            except Exception:
                # A view that has stopped must not look like a start that has.
                log.exception("the state cannot be looked at")
            await asyncio.sleep(PACE)

    async def _look(self, age: float) -> None:
        """Look again when the last look is older than `age`. On a thread: the workspace may be a slow network's."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._read, age)

    def _read(self, age: float) -> None:
        if time.monotonic() - self._looked < age:
            return
        reading, alive = self._reader.look(), self._alive
        self._looked = time.monotonic()
        # Who has just written lives, though it did not a moment ago.
        if time.monotonic() - self._felt >= PULSE or (reading is not self._reading and not alive):
            alive = runner.alive(self._run)
            self._felt = time.monotonic()
        if reading is self._reading and alive is self._alive:
            return
        if reading is not self._reading:
            self._snapshot = json.dumps(reading.state, separators=(",", ":")).encode()
        self._reading, self._alive = reading, alive
        problem = (reading if alive else silent(reading)).problem
        known = {"alive": alive, "problem": problem and asdict(problem), "links": links(reading.state, os.environ)}
        rest = json.dumps(known, separators=(",", ":"))
        body = b'{"state":' + self._snapshot + b"," + rest[1:].encode()
        if body != self._body:
            self._body = body
