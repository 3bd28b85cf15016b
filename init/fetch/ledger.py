"""What has been verified: so that a second start asks no origin and reads no file."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from init.fetch.lease import kernel
from init.specs import FileSpec

SCHEMA = "firstlight.ledger/1"


@dataclass(frozen=True)
class Line:
    """One verified file, as it was right after it got its name."""

    size: int
    mtime_ns: int
    sha256: str
    """Of the content; empty when it was never read (`checked` is `size`)."""
    checked: Literal["sha256", "blob", "size"]
    url: str
    revision: str | None = None
    """As it was asked for."""
    commit: str | None = None
    boot: str = ""
    """While the file is not surely on the disk: the running kernel that has it. After a crash it is read again."""


class Ledger:
    """`models.json` in the state folder. Several processes may write: each merges its changes into what is there."""

    def __init__(self, folder: Path):
        self.path = folder / "models.json"
        self.boot = kernel()
        self._lock = threading.Lock()
        self._lines: dict[str, Line] = {}
        self._partials: dict[str, str] = {}
        self._read_at: tuple[int, int] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Take in what other processes wrote."""
        with self._lock:
            self._refresh()

    def get(self, path: str) -> Line | None:
        with self._lock:
            return self._lines.get(path)

    def lines(self) -> dict[str, Line]:
        with self._lock:
            return dict(self._lines)

    def current(self, root: Path, path: str) -> Line | None:
        """The line of a file that still looks as it did when it was verified."""
        line = self.get(path)
        if line is None or line.boot not in ("", self.boot):
            return None
        with contextlib.suppress(OSError):
            found = (root / path).stat()
            if (found.st_size, found.st_mtime_ns) == (line.size, line.mtime_ns):
                return line
        return None

    def vouches(self, root: Path, file: FileSpec) -> bool:
        """Whether a file is the one that was wanted, and has been verified."""
        line = self.current(root, file.path)
        return line is not None and file.size in (None, line.size) and file.sha256 in (None, line.sha256)

    def put(self, path: str, line: Line) -> None:
        with self._lock:
            self._refresh()
            self._lines[path] = line
            self._partials.pop(path, None)
            self._write()

    def settled(self, path: str) -> None:
        """Note that a verified file is on the disk."""
        with self._lock:
            self._refresh()
            if path in self._lines:
                self._lines[path] = replace(self._lines[path], boot="")
                self._write()

    def drop(self, path: str) -> None:
        with self._lock:
            self._refresh()
            if self._lines.pop(path, None) or self._partials.pop(path, None):
                self._write()

    def partial(self, path: str) -> str | None:
        """What the partial file of `path` is a part of."""
        with self._lock:
            return self._partials.get(path)

    def begin(self, path: str, identity: str) -> None:
        """Note what the partial file of `path` is a part of."""
        with self._lock:
            if self._partials.get(path) != identity:
                self._refresh()
                self._partials[path] = identity
                self._write()

    def _refresh(self) -> None:
        try:
            found = self.path.stat()
            if self._read_at == (found.st_mtime_ns, found.st_ino):
                return
            data: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
            if data.get("schema") != SCHEMA:
                raise ValueError
            self._lines = {path: Line(**line) for path, line in data["files"].items()}
            self._partials = dict(data["partials"])
            self._read_at = (found.st_mtime_ns, found.st_ino)
        except (OSError, ValueError, TypeError, KeyError):
            # Without a ledger nothing is lost: what is there is read again and verified.
            self._read_at = None

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        data = {
            "schema": SCHEMA,
            "files": {path: asdict(line) for path, line in sorted(self._lines.items())},
            "partials": dict(sorted(self._partials.items())),
        }
        new = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        # Not forced to the disk: that would force gigabytes of models along with it. A lost ledger costs time only.
        new.write_text(json.dumps(data, indent=1), encoding="utf-8")
        new.replace(self.path)
        found = self.path.stat()
        self._read_at = (found.st_mtime_ns, found.st_ino)
