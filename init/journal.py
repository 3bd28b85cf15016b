"""`state.json` and `events.ndjson` on the disk.

The state goes to the run folder as well, which is this container's own: a full volume, or a second container on it,
cannot take it from those who look at this one. Nothing here raises: what cannot be written waits for the next time.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

STATE = "state.json"
EVENTS = "events.ndjson"
EVENTS_BEFORE = "events.1.ndjson"
LARGEST = 4_000_000
"""Bytes of `events.ndjson` before it becomes `events.1.ndjson`: room for hundreds of starts."""


class Journal:
    """For one writer. `boot` keeps the drafts of two containers on one workspace apart."""

    def __init__(self, folder: Path, run: Path | None, boot: str):
        self._folder, self._boot = folder, boot
        self._folders = [each for each in (run, folder) if each is not None]
        self._unwritten = b""

    def append(self, lines: Iterable[str]) -> None:
        """Add events, each with its newline."""
        self._unwritten += "".join(lines).encode()
        if not self._unwritten:
            return
        file = self._folder / EVENTS
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            if file.exists() and file.stat().st_size > LARGEST:
                file.replace(self._folder / EVENTS_BEFORE)
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                self._unwritten = self._unwritten[os.write(handle, self._unwritten) :]
            finally:
                os.close(handle)
        self._unwritten = self._unwritten[-LARGEST:]

    def replace(self, text: str) -> None:
        """Put a new state in the place of the old one, which stays where that fails."""
        for folder in self._folders:
            part = folder / f".{STATE}.{self._boot}"
            try:
                folder.mkdir(parents=True, exist_ok=True)
                part.write_text(text, encoding="utf-8")
                part.replace(folder / STATE)
            except OSError:
                with contextlib.suppress(OSError):
                    part.unlink()

    def tidy(self) -> None:
        """Clear away what a killed writer left: a half line, parts of other starts."""
        with contextlib.suppress(OSError):
            if _last_byte(self._folder / EVENTS) not in (b"", b"\n"):
                self._unwritten = b"\n"
        for folder in self._folders:
            for part in folder.glob(f".{STATE}.*"):
                with contextlib.suppress(OSError):
                    if time.time() - part.stat().st_mtime > 60:
                        part.unlink()


def events(folder: Path) -> Iterator[dict[str, Any]]:
    """All events that are kept, oldest first; lines cut short by a kill are passed over."""
    for name in (EVENTS_BEFORE, EVENTS):
        try:
            text = (folder / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for line in text.splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and isinstance(event.get("at"), (int, float)):
                yield event


def _last_byte(file: Path) -> bytes:
    with file.open("rb") as stream:
        if stream.seek(0, os.SEEK_END):
            stream.seek(-1, os.SEEK_END)
        return stream.read(1)
