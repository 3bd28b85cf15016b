"""Built wheels on the workspace, for the next container and for the other pods of the volume.

A wheel's folder appears by one rename, with its wheel and what was measured of it. Of two pods that built the same, the
first one's stays.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from dataclasses import asdict
from pathlib import Path

from init.kernel.key import Key

_FACTS = "wheel.json"


class WheelCache:
    """Folders to look in, the first one also to write to."""

    def __init__(self, *folders: Path):
        self.folders = folders

    def find(self, key: Key) -> Path | None:
        """The wheel, when it is there and whole."""
        for folder in self.folders:
            place = folder / key.folder()
            try:
                facts = json.loads((place / _FACTS).read_text())
                wheel = place / Path(facts["file"]).name
                if _sha256(wheel) == facts["sha256"]:
                    return wheel
            except (OSError, ValueError, KeyError, TypeError):
                pass
            if place.exists():
                self._discard(place)
        return None

    def insert(self, key: Key, wheel: Path) -> Path:
        """Take the wheel in; its place there."""
        root, name = self.folders[0], key.folder()
        root.mkdir(parents=True, exist_ok=True)
        partial = root / f".{name}.{uuid.uuid4().hex}"
        partial.mkdir()
        shutil.copyfile(wheel, partial / wheel.name)
        with (partial / wheel.name).open("rb+") as file:
            os.fsync(file.fileno())
        facts = {"file": wheel.name, "sha256": _sha256(wheel), "key": asdict(key)}
        (partial / _FACTS).write_text(json.dumps(facts, indent=1) + "\n")
        try:
            partial.rename(root / name)
        except OSError:
            shutil.rmtree(partial)
            return self.find(key) or wheel
        return root / name / wheel.name

    def throw_away(self, key: Key) -> None:
        for folder in self.folders:
            if (folder / key.folder()).exists():
                self._discard(folder / key.folder())

    def _discard(self, place: Path) -> None:
        """Gone at once under its name, then from the disk."""
        trash = place.with_name(f".{place.name}.{uuid.uuid4().hex}")
        try:
            place.rename(trash)
        except OSError:
            return
        shutil.rmtree(trash, ignore_errors=True)


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
