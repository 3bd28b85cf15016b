"""Who fetches, when several runners share a volume: one does, the others wait.

The owner keeps a kernel lock on the lease file, which the kernel takes back the moment the last of its processes ends,
and writes a heartbeat into it, for owners on other machines whose locks cannot be seen from here.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import socket
import threading
import time
from pathlib import Path
from typing import Any

BEAT = 5.0
"""Seconds between heartbeats."""
DEAD = 30.0
"""Seconds without a new heartbeat, by the waiting machine's own clock, after which an owner counts as dead."""


def kernel() -> str:
    """Which running kernel this is: locks are seen by everyone on the same one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return socket.gethostname()


class Lease:
    """The right to write below a models folder."""

    def __init__(self, folder: Path, *, beat: float = BEAT, dead: float = DEAD):
        self.path = folder / "fetch.lease"
        self.owner = ""
        """Who holds it, while it is not us: a host's name."""
        self._me = secrets.token_hex(8)
        self._kernel = kernel()
        self._beat, self._dead = beat, dead
        self._handle: int | None = None
        self._seen: tuple[str, float] = ("", 0.0)
        self._released = threading.Event()
        self._guard = threading.RLock()
        """Held by whoever writes or closes: a handle that was given back may be another file's by now."""

    @property
    def held(self) -> bool:
        return self._handle is not None

    @property
    def handle(self) -> int | None:
        """The locked file: given to aria2 too, so that the lease outlives this process as long as aria2 writes."""
        return self._handle

    def acquire(self) -> bool:
        """Try to get it, without waiting. Raises OSError when the volume cannot be written."""
        if self._handle is not None:
            return True
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            with contextlib.suppress(BlockingIOError):
                locked = True
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise
                except OSError:
                    locked = False
                if self._free(handle, locked):
                    self._handle, handle, self.owner = handle, -1, ""
                    self._write()
                    self._released = threading.Event()
                    threading.Thread(target=self._keep, args=(self._released,), daemon=True, name="lease").start()
                    return True
            found = self._content(handle if handle >= 0 else None)
            self.owner = str(found.get("host", "another machine"))
            return False
        finally:
            if handle >= 0:
                os.close(handle)

    def release(self) -> None:
        """Let others have it."""
        with self._guard:
            self._released.set()
            handle, self._handle = self._handle, None
            if handle is not None:
                with contextlib.suppress(OSError):
                    if self._content(handle).get("me") == self._me:
                        os.ftruncate(handle, 0)
                os.close(handle)

    def _free(self, handle: int, locked: bool) -> bool:
        """Whether the last owner is gone, given that we do (or, without kernel locks, cannot) hold the lock."""
        found = self._content(handle)
        if not found or found.get("me") == self._me:
            return True
        if found.get("kernel") == self._kernel and locked:
            return True
        beat, now = f"{found.get('me')}:{found.get('beat')}", time.monotonic()
        if beat != self._seen[0]:
            self._seen = (beat, now)
        return now - self._seen[1] > self._dead

    def _content(self, handle: int | None) -> dict[str, Any]:
        try:
            text = self.path.read_text(encoding="utf-8") if handle is None else os.pread(handle, 4096, 0).decode()
            data = json.loads(text)
            return data if isinstance(data, dict) else {}
        except (OSError, ValueError):
            return {}

    def _write(self) -> None:
        assert self._handle is not None
        data = {
            "me": self._me,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "kernel": self._kernel,
            "beat": time.time(),
        }
        text = json.dumps(data).encode()
        os.pwrite(self._handle, text.ljust(512), 0)

    def _keep(self, released: threading.Event) -> None:
        while not released.wait(self._beat):
            with self._guard, contextlib.suppress(OSError):
                if released.is_set():
                    return
                if self._content(self._handle).get("me") == self._me:
                    self._write()
                    continue
                # Another machine took it over while this one hung: two must not write.
                self.release()
