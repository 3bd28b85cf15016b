"""The reader processes of one runner: hashing and the fast lane cost it no processor time and no memory."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from init.fetch.stream import Slow
from init.fetch.trouble import Trouble
from init.fetch.verify import Cancelled

OnBytes = Callable[[int], None]
HOME = str(Path(__file__).resolve().parents[2])


class Readers:
    """Processes that are started when needed and kept for the next order. Thread-safe."""

    def __init__(self, *, calm: bool, keep: Callable[[], int | None]):
        """`keep`: file handle that they hold open as long as they live."""
        self._calm, self._keep = calm, keep
        self._lock = threading.Lock()
        self._idle: list[subprocess.Popen[str]] = []

    def digest(self, path: Path, on_bytes: OnBytes, cancel: threading.Event, *, blob: bool) -> str:
        """SHA-256 of a file, or git's name for it (`blob`). Raises OSError, Cancelled."""
        return self._run({"do": "digest", "path": str(path), "blob": blob}, on_bytes, cancel)

    def stream(
        self,
        url: str,
        partial: Path,
        size: int,
        on_bytes: OnBytes,
        cancel: threading.Event,
        *,
        reserve: bool,
        fast: float,
        on_fast: Callable[[], None],
    ) -> str:
        """Complete `partial` over one connection; gives its SHA-256. Raises Slow, Trouble, OSError, Cancelled.

        `on_fast` is called once it is clear that the origin gives a single connection enough: `fast` bytes per second.
        """
        order = {"do": "stream", "url": url, "path": str(partial), "size": size, "reserve": reserve, "fast": fast}
        return self._run(order, on_bytes, cancel, on_fast)

    def warm(self, amount: int) -> None:
        """Start up to this many ahead of their orders. Raises OSError."""
        while len(self._idle) < amount:
            process = self._start()
            with self._lock:
                self._idle.append(process)

    def _run(
        self,
        order: dict[str, Any],
        on_bytes: OnBytes,
        cancel: threading.Event,
        on_fast: Callable[[], None] = lambda: None,
    ) -> str:
        process = self._take()
        watch = threading.Event()
        guard = threading.Thread(target=_guard, args=(process, cancel, watch), daemon=True, name="fetch-guard")
        guard.start()
        found: dict[str, Any] = {}
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(OSError):
                process.stdin.write(json.dumps(order) + "\n")
                process.stdin.flush()
            for line in process.stdout:
                found = json.loads(line)
                if "fast" in found:
                    on_fast()
                elif "bytes" in found:
                    on_bytes(found["bytes"])
                else:
                    break
        finally:
            watch.set()
            guard.join()
        if cancel.is_set():
            _end(process)
            raise Cancelled
        if not found or "bytes" in found or "fast" in found:
            _end(process)
            raise Trouble("the process that read it was ended")
        with self._lock:
            self._idle.append(process)
        if "slow" in found:
            raise Slow
        if "trouble" in found:
            raise Trouble(found["trouble"].pop("message"), **found["trouble"])
        if "errno" in found:
            raise OSError(found["errno"], found["strerror"])
        return str(found["digest"])

    def _take(self) -> subprocess.Popen[str]:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._start()

    def _start(self) -> subprocess.Popen[str]:
        wrappers = []
        if self._calm and shutil.which("chrt") and shutil.which("ionice"):
            wrappers = ["chrt", "-i", "0", "ionice", "-c3"]
        keep = self._keep()
        return subprocess.Popen(
            [*wrappers, sys.executable, "-S", "-m", "init.fetch.reader", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=HOME,
            env={k: v for k, v in os.environ.items() if "TOKEN" not in k},
            pass_fds=[] if keep is None else [keep],
            start_new_session=True,
        )

    def stop(self) -> None:
        """End those that have nothing to do; the others end with their order, which is to be cancelled first."""
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            _end(process)


def _guard(process: subprocess.Popen[str], cancel: threading.Event, watch: threading.Event) -> None:
    """End a reader as soon as nobody wants what it reads: it may be waiting for the network."""
    while not watch.wait(0.1):
        if cancel.is_set():
            process.terminate()
            if not watch.wait(2.0):
                process.kill()
            return


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
