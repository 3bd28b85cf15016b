"""Which of a job's files are there already, and making one out of another."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from init.fetch import verify
from init.fetch.job import Job, control, discard
from init.fetch.ledger import Ledger, Line
from init.fetch.places import place


def look(job: Job, root: Path, ledger: Ledger, on_bytes: Callable[[int], None] | None = None) -> None:
    """Fill `job.present`, reading only files that the ledger does not vouch for. Raises OSError, Trouble, Cancelled."""
    for path in list(job.paths):
        place(root, path)
        line = ledger.current(root, path)
        if line is not None and _vouches(line, job):
            job.size, job.sha256 = line.size, job.sha256 or line.sha256 or None
            job.commit = job.commit or line.commit
            job.present.add(path)
    for path in list(job.paths):
        if path not in job.present and (root / path).is_file():
            _adopt(job, root, path, ledger, on_bytes)
    if not job.present and job.sha256:
        _same_elsewhere(job, root, ledger)
    if not job.present:
        _finished_partial(job, root, ledger, on_bytes)
    for path in share(job, root):
        record(job, root, path, ledger)


def share(job: Job, root: Path) -> list[str]:
    """Give all paths of a job the content of the one in place; gives those that lacked it. Raises OSError, Trouble."""
    fresh = []
    source = next((path for path in job.paths if path in job.present), None)
    for path in list(job.paths) if source else ():
        if path not in job.present:
            assert source is not None
            duplicate(root / source, place(root, path))
            job.present.add(path)
            fresh.append(path)
    return fresh


def duplicate(source: Path, final: Path) -> None:
    """`final` as another name of `source`, or a copy where the file system has no links. Raises OSError."""
    partial = final.with_name(f"{final.name}.part")
    discard(partial)
    try:
        os.link(source, partial)
    except OSError:
        shutil.copyfile(source, partial)
    partial.replace(final)


def record(job: Job, root: Path, path: str, ledger: Ledger) -> None:
    """Vouch for a verified file: for as long as this kernel runs, until `settle`. Raises OSError."""
    found = (root / path).stat()
    checked = "sha256" if job.sha256 else "blob" if job.blob else "size"
    line = Line(
        found.st_size,
        found.st_mtime_ns,
        job.sha256 or "",
        checked,  # type: ignore[arg-type]
        job.url,
        job.revision,
        job.commit,
        ledger.boot,
    )
    ledger.put(path, line)
    job.present.add(path)


def settle(root: Path, path: str, ledger: Ledger) -> None:
    """Bring a verified file to the disk, and vouch for it for good. Raises OSError."""
    verify.sync(root / path)
    ledger.settled(path)


def _vouches(line: Line, job: Job) -> bool:
    if job.sha256:
        return line.sha256 == job.sha256
    same = (line.url, line.revision) == (job.url, job.revision)
    return same and job.size in (None, line.size)


def _adopt(job: Job, root: Path, path: str, ledger: Ledger, on_bytes: Callable[[int], None] | None) -> None:
    """A file under a final name that nobody vouches for: verify it, or move it out of the way."""
    final = root / path
    size = final.stat().st_size
    if job.size is None and job.sha256 is None and job.blob is None:
        return
    if job.size in (None, size):
        if job.sha256 is None and job.blob is None:
            record(job, root, path, ledger)
            return
        if verify.digest(final, on_bytes, job.stop, blob=job.sha256 is None) == (job.sha256 or job.blob):
            job.size = size
            record(job, root, path, ledger)
            return
    if ledger.partial(path):
        # Ours: it had its name, and the machine went down before all of it was on the disk.
        final.unlink()
    else:
        final.replace(final.with_name(f"{final.name}.bad"))
    ledger.drop(path)


def _same_elsewhere(job: Job, root: Path, ledger: Ledger) -> None:
    """The same content verified under another path."""
    for other, line in ledger.lines().items():
        if line.sha256 == job.sha256 and ledger.current(root, other) and not (root / other).is_symlink():
            duplicate(root / other, place(root, job.path))
            job.size = line.size
            record(job, root, job.path, ledger)
            return


def _finished_partial(job: Job, root: Path, ledger: Ledger, on_bytes: Callable[[int], None] | None) -> None:
    """A partial file that was complete when everything was killed."""
    partial = job.partial(root)
    with contextlib.suppress(FileNotFoundError):
        if control(partial).exists() or not job.sha256 or partial.stat().st_size != job.size:
            return
        if verify.digest(partial, on_bytes, job.stop) == job.sha256:
            partial.replace(root / job.path)
            record(job, root, job.path, ledger)
        else:
            discard(partial)
