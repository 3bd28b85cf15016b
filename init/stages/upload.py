"""What users put on the workspace to be used in place of the image's own: code, requirements, folders of files.

It is the user's: used as it is or passed over with the reason, never changed.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import canonicalize_name

from init.paths import Paths
from init.specs import InsteadSpec, PythonSpec
from init.stages import replacement
from init.stages.context import Outcome
from init.stages.requirements import LARGEST, Requirements, read

MOST = 10_000
"""Files of a folder that are counted."""


def code(paths: Paths, instead: InsteadSpec | None) -> tuple[Path | None, str]:
    """The user's code, if it can be used; else why it is not, or an empty text when there is none."""
    if instead is None:
        return None, ""
    folder = Path(paths.workspace, instead.folder)
    if not os.path.lexists(folder):
        return None, ""
    if not folder.is_dir():
        return None, f"your {instead.folder} is no folder"
    if not any(folder.iterdir()):
        return None, f"your folder {instead.folder} is empty"
    if not (folder / instead.holds).is_file():
        return None, f"your code in {instead.folder} has no {instead.holds}"
    return folder, ""


def put_up(paths: Paths, own: Path, at: Path) -> None:
    """Make `at` a link to the user's code; what was there waits beside it."""
    at.parent.mkdir(parents=True, exist_ok=True)
    if at.is_symlink():
        if at.readlink() == own:
            return
        at.unlink()
    elif at.exists():
        aside = _aside(at)
        if os.path.lexists(aside):
            replacement.keep(paths, aside)
        at.rename(aside)
    at.symlink_to(own)


def take_down(paths: Paths, instead: InsteadSpec | None, at: Path) -> None:
    """The user's code is no longer to be used: what was there before it comes back."""
    if instead is None or not at.is_symlink() or at.readlink() != Path(paths.workspace, instead.folder):
        return
    at.unlink()
    if _aside(at).is_dir():
        _aside(at).rename(at)


def _aside(at: Path) -> Path:
    return at.with_name(f".{at.name}.image")


def lend(inside: Path, folder: Path) -> list[str]:
    """Let the user's code find the user's `folder` at `inside`, unless it has something of its own there. Remarks."""
    if inside.is_symlink() and inside.readlink() == folder:
        return []
    if not _count(folder):
        return []
    if os.path.lexists(inside):
        return [f"{inside.name} of your code is used, and {folder} is not"]
    inside.symlink_to(folder)
    return []


def counted(paths: Paths, folders: list[str]) -> list[str]:
    """What the user has put into these folders of the workspace, as remarks."""
    found = {folder: _count(Path(paths.workspace, folder)) for folder in folders}
    return [f"{count} file{'s' if count > 1 else ''} of yours in {folder}" for folder, count in found.items() if count]


def _count(folder: Path) -> int:
    count = 0
    for _, _, files in os.walk(folder):
        count += len(files)
        if count >= MOST:
            break
    return count


@dataclass
class Upload:
    """The user's requirement file: what it asks for, or why that is not installed."""

    name: str = ""
    digest: str = ""
    """Empty: there is none."""
    found: Requirements | None = None
    refused: str = ""
    remarks: tuple[str, ...] = ()

    def refuse(self, reason: str) -> None:
        self.found, self.refused = None, f"your {self.name} is not used: {reason}"

    def told(self, outcome: Outcome) -> Outcome:
        """The outcome with a word about what was used."""
        if not self.digest:
            return outcome
        result = {**outcome.result, "upload": self.digest}
        if self.refused:
            message = f"{self.refused}; the image's own list is installed: {outcome.message}"
            without = {"without": f"your {self.name}"}
            why = "it cannot be installed, so the image's own list is"
            return replace(outcome, state="degraded", message=message, consequence=why, result=result | without)
        lines = len(self.found.lines) if self.found is not None else 0
        told = f"your {self.name} is used (lines: {lines}); what it does not name comes from the image's list"
        return replace(outcome, message="; ".join([told, *self.remarks, outcome.message]), result=result)


def digest(paths: Paths, spec: PythonSpec) -> str:
    """Of what the user asks for where the image allows it; empty when there is nothing."""
    if spec.source is not None:
        root = paths.source(spec.source)
        files = [root / name for name in spec.requirements] if root.is_symlink() else []
    else:
        files = [Path(paths.workspace, spec.requirements_from)] if spec.requirements_from is not None else []
    total, any_ = hashlib.sha256(), False
    for file in files:
        if os.path.lexists(file):
            any_ = True
            total.update(f"{file.name}\0".encode())
            total.update(_beginning(file))
    return total.hexdigest() if any_ else ""


def _beginning(file: Path) -> bytes:
    """As much as is ever looked at; `?` of what cannot be read."""
    try:
        if file.is_file():
            with file.open("rb") as stream:
                return stream.read(LARGEST + 1)
    except OSError:
        pass
    return b"?"


def requirements(paths: Paths, spec: PythonSpec) -> Upload:
    """The user's requirement file, read."""
    mine = Upload(spec.requirements_from or "", digest(paths, spec))
    if not mine.digest:
        return mine
    file = Path(paths.workspace, mine.name)
    if not file.is_file():
        mine.refuse("it is no file")
        return mine
    found = read(file, file.parent)
    unclear = [line for line in found.lines if line.name is None and not line.text.startswith(("/", "git+", "http"))]
    if unclear:
        mine.refuse(f"{unclear[0].place}: {unclear[0].text[:80]!r} is no requirement")
    elif not found.lines:
        mine.refuse(found.problems[0] if found.problems else "it names no package")
    else:
        forbidden = {canonicalize_name(name) for name in spec.forbid}
        left = sorted({line.name for line in found.lines if line.name in forbidden and line.name})
        found.lines = [line for line in found.lines if line.name not in forbidden]
        mine.found = found
        remarks = [f"without {', '.join(left)}, which would get in the way of another package"] if left else []
        mine.remarks = (*remarks, *found.problems[:2])
    return mine
