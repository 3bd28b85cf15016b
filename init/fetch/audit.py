"""Reads everything again: `firstlight models verify`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from init.fetch import verify
from init.fetch.ledger import Ledger, Line
from init.specs import FileSpec


@dataclass(frozen=True)
class Finding:
    """What became of one file."""

    path: str
    state: Literal["ok", "missing", "wrong", "unknown"]
    """`unknown`: it is there, and no hash is known that it could be compared with."""
    message: str = ""


def audit(models: Path, state: Path, files: list[FileSpec]) -> Iterator[Finding]:
    """Compare files with what the lock, else the ledger, says. A wrong one loses its line in the ledger, so that the
    next start moves it aside and fetches it again. Raises OSError when the ledger cannot be written."""
    root, ledger = models.resolve() if models.exists() else models, Ledger(state)
    for file in files:
        final, line = root / file.path, ledger.get(file.path)
        if not final.is_file():
            yield Finding(file.path, "missing", "not there")
            continue
        expected = file.sha256 or (line.sha256 if line else "")
        size = file.size or (line.size if line else None)
        if size is not None and final.stat().st_size != size:
            ledger.drop(file.path)
            yield Finding(file.path, "wrong", f"is {final.stat().st_size} bytes long, and should be {size}")
            continue
        if not expected:
            yield Finding(file.path, "unknown", "no hash is known; its size is right" if size else "no hash is known")
            continue
        try:
            found = verify.digest(final)
        except OSError as error:
            ledger.drop(file.path)
            yield Finding(file.path, "wrong", f"cannot be read: {error.strerror}")
            continue
        _let_go(final)
        if found == expected:
            _renew(ledger, file, final, line)
            yield Finding(file.path, "ok")
        else:
            ledger.drop(file.path)
            yield Finding(file.path, "wrong", f"its SHA-256 is {found}, and should be {expected}")


def _let_go(path: Path) -> None:
    """Reading 90 GB must not push everything else out of the page cache."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _renew(ledger: Ledger, file: FileSpec, final: Path, line: Line | None) -> None:
    """Vouch for a file that was found right, also when it was put there by hand."""
    found = final.stat()
    if line is None or (line.size, line.mtime_ns) != (found.st_size, found.st_mtime_ns):
        sha256 = file.sha256 or (line.sha256 if line else "")
        revision = file.revision
        # It may have been put there a moment ago: not surely on the disk.
        fresh = Line(found.st_size, found.st_mtime_ns, sha256, "sha256", file.url, revision, revision, ledger.boot)
        ledger.put(file.path, fresh)
