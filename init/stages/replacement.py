"""Replacing a folder by a newer one without losing what the user put into it.

The new folder is renamed into place, then what was added to the former one moves over. A kill between two of these
steps is made good by `resume`.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

from init.paths import Paths

_CACHES = frozenset({"__pycache__", ".git"})


def resume(paths: Paths, at: Path) -> None:
    """Finish an interrupted `replace`."""
    former, note = _beside(at, "former"), _beside(at, "known")
    if not former.is_dir():
        return
    if os.path.lexists(at):
        _carry(paths, former, at, set(json.loads(note.read_text())))
        note.unlink()
    else:
        former.rename(at)


def replace(paths: Paths, new: Path, at: Path, known: set[str] | None) -> Path | None:
    """Put the folder `new` at `at`. Of what is there, the files in `known` (paths relative to `at`) go, all others move
    into the new folder; with None everything is moved aside, and the place is returned."""
    if known is None:
        if at.is_dir() and not any(at.iterdir()):
            at.rmdir()
        kept = keep(paths, at) if os.path.lexists(at) else None
        new.rename(at)
        return kept
    former, note = _beside(at, "former"), _beside(at, "known")
    note.write_text(json.dumps(sorted(known)))
    at.rename(former)
    new.rename(at)
    _carry(paths, former, at, known)
    note.unlink()
    return None


def keep(paths: Paths, path: Path) -> Path:
    """Move `path` aside, where no app takes it for a plug-in; on its own file system if there is a place."""
    folders = [Path(paths.disk, "kept"), paths.state / "kept"]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    device = path.lstat().st_dev
    folder = next((folder for folder in folders if folder.stat().st_dev == device), folders[-1])
    stem = f"{path.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    names = (stem if number == 0 else f"{stem}-{number}" for number in range(10000))
    target = next(folder / name for name in names if not os.path.lexists(folder / name))
    shutil.move(path, target)
    return target


def _beside(at: Path, what: str) -> Path:
    return at.with_name(f".{at.name}.{what}")


def _carry(paths: Paths, former: Path, at: Path, known: set[str]) -> None:
    """Move what is not `known` from `former` into `at`, then remove `former`."""
    folders = {str(parent) for name in known for parent in Path(name).parents}

    def move(folder: Path) -> None:
        for entry in sorted(folder.iterdir()):
            name = str(entry.relative_to(former))
            target = at / name
            if name in known or entry.name in _CACHES:
                continue
            if not os.path.lexists(target) and name not in folders:
                target.parent.mkdir(parents=True, exist_ok=True)
                entry.rename(target)
            elif entry.is_dir() and not entry.is_symlink():
                move(entry)
            elif not entry.is_symlink():
                keep(paths, entry)

    move(former)
    shutil.rmtree(former)
