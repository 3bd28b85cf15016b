"""What the cells of a set-up guide call: `from firstlight_lab import guide`.

Each shows one part of the set-up, begins it where it waits for the user, and says what is so, what it means and what to
do. All may be run again, in any order: what is done is not done twice.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import tools
from .cell import GO_ON, Machine, Screen, Words, ended, follow, guarded, part, tell
from .outline import ENDED, outline, size
from .repairs import gpu as gpu
from .repairs import logs as logs
from .repairs import repair as repair
from .repairs import services as services

MOST = 10_000
"""Files of a folder that are counted."""
LARGEST = 1_000_000
"""Bytes of a requirement file, as the runner takes one."""
DESKTOP = ("service:desktop", "service:desktop-session", "service:desktop-web")
"""What makes the desktop itself."""


def overview() -> None:
    """Where everything stands now."""

    def work(screen: Screen) -> None:
        reading = Machine().look()
        view = outline(reading, time.time())
        if reading.problem is not None and reading.state is None:
            tell(screen, Words(reading.problem.message, "Nothing is known of the set-up.", reading.problem.remedy))
            return
        waits = any("waits for you" in str(item.get("message")) for item in (reading.state or {}).get("stages") or [])
        means = (
            "This machine was started with SETUP=guided: each step begins when its cell is run."
            if waits
            else "The image sets itself up. This guide shows how far it is, and repairs what went wrong."
        )
        do = "Run the cells below from top to bottom." if waits else "Nothing, unless a line below is red."
        tone = {"error": "failed", "warning": "warning"}.get(view.tone, "done")
        tell(screen, Words(f"{view.headline}.", means, do, tone), view)

    guarded(work)


def environment() -> None:
    """The Python environments of the apps."""

    def fine(found: list[dict[str, Any]]) -> Words:
        return Words(
            _messages(found) or "This image has no Python environment of its own.",
            "The app's Python packages are installed; what the app needs most cannot be moved by what comes later.",
            GO_ON,
        )

    _part(lambda item: _kind(item, "python") and not _packages(item), fine)


def requirements() -> None:
    """The requirement file that the user may have put on the workspace."""
    machine = Machine()

    def fine(found: list[dict[str, Any]]) -> Words:
        names = sorted({str(_result(item)["requirements_from"]) for item in found if _asks(item)})
        if not names:
            return Words("This image has its own list of packages, and takes no other.", "", GO_ON)
        places = " and ".join(str(machine.workspace / name) for name in names)
        if any(_result(item).get("upload") for item in found):
            return Words(_messages(found), "Your own versions are installed, and stay.", GO_ON)
        return Words(
            f"There is no {places}: the image's own list is installed. {_messages(found)}",
            "These are the versions that the app's authors tested.",
            f"Nothing. If you want other versions, upload a {' and a '.join(names)} to {machine.workspace} (drop it"
            " onto the file browser) and run this cell again: what it names is installed as it says, the rest stays.",
        )

    def stale(item: dict[str, Any]) -> bool:
        name = str(_result(item).get("requirements_from") or "")
        return bool(name) and _digest(machine.workspace / name) != str(_result(item).get("upload") or "")

    _part(lambda item: _kind(item, "python"), fine, stale)


def code() -> None:
    """The app's source code, and what the user has put beside it."""
    machine = Machine()

    def fine(found: list[dict[str, Any]]) -> Words:
        mine = [item for item in found if _result(item).get("upload")]
        wanted = sorted({str(_instead(item)["folder"]) for item in found if _instead(item)})
        folders = sorted({str(name) for item in found for name in _result(item).get("uploads") or []})
        counts = [(name, _count(machine.workspace / name)) for name in folders]
        there = [
            f"{machine.workspace / name} holds {count} file{'s' * (count != 1)} of yours." for name, count in counts
        ]
        empty = [str(machine.workspace / name) for name, count in counts if not count]
        means = "Your code is used, as it is: git does not touch it." if mine else "The image's own code is used."
        hints = [f"your own code goes to {machine.workspace / name}" for name in wanted if not mine]
        hints += [f"files that the app looks for go to {place}" for place in empty]
        do = f"Nothing. If you want: {'; '.join(hints)}; then run this cell again." if hints else GO_ON
        return Words(" ".join([f"{_messages(found)}.", *there]), means, do)

    def stale(item: dict[str, Any]) -> bool:
        wanted = _instead(item)
        if not wanted:
            return False
        folder = machine.workspace / str(wanted["folder"])
        used, refused = bool(_result(item).get("upload")), item.get("state") == "degraded"
        if (folder / str(wanted["holds"])).is_file():
            return not used
        return used or refused != os.path.lexists(folder)

    _part(lambda item: _kind(item, "git"), fine, stale)


def models() -> None:
    """The model files that are wanted: those of the sets that are ticked in the panel."""

    def fine(found: list[dict[str, Any]]) -> Words:
        files = sum(int((_result(item).get("models") or {}).get("files") or 0) for item in found)
        total = sum(int(item.get("bytes_total") or 0) for item in found)
        so = f"{len(found)} set{'s' * (len(found) != 1)} of models: {files} files"
        so += f", {size(total)}" if total else ""
        unknown = [path for item in found for path in (_result(item).get("models") or {}).get("unverified") or []]
        means = "Every file has the size and the SHA-256 that it should have."
        if unknown:
            means = f"Every file has its size; nobody knows the SHA-256 of {len(unknown)} of them."
        return Words(
            f"{so}, all here." if found else "No model set is chosen.",
            means if found else "",
            GO_ON if found else "Tick a set in the panel on the right, or `firstlight models add SET`.",
        )

    _part(lambda item: _kind(item, "models") and item.get("state") != "skipped", fine)


def launch() -> None:
    """Start the app, with all that it needs."""

    def fine(found: list[dict[str, Any]]) -> Words:
        apps = [item for item in found if item.get("id") not in DESKTOP] or found
        pages = [str(item.get("title")) for item in apps if item.get("port")]
        windows = [str(item.get("title")) for item in apps if item.get("url") and not item.get("port")]
        where = "from the panel on the right or from the portal's page."
        ways = [f"{' and '.join(pages)}: open it {where}"] if pages else []
        ways += [f"{' and '.join(windows)}: its window is on the desktop; open that {where}"] if windows else []
        names = ", ".join(str(item.get("title")) for item in apps)
        return Words(
            f"{names or 'Nothing'} {'runs' if len(apps) == 1 else 'run'}." if found else "This image runs no app.",
            "It is kept running: if it ends, it is started again.",
            " ".join(ways),
        )

    _part(lambda item: str(item.get("id")).startswith("service:"), fine)


def cuda() -> None:
    """CUDA and cuDNN as the app's own packages see them."""

    def work(screen: Screen) -> None:
        found = [item for item in Machine().items() if _kind(item, "python") and not _packages(item)]
        places = [Path(str(_result(item)["path"])) for item in found if _result(item).get("path")]
        said = [tools.cuda(place) for place in places]
        if not said:
            do = "Run the cell of the environment first, then this one again."
            tell(screen, Words("There is no environment yet.", "Nothing can be asked.", do, "warning"))
            return
        so = " ".join(text for text, _ in said)
        if any(usable for _, usable in said):
            tell(screen, Words(so, "The app computes on the GPU.", GO_ON))
        else:
            means = "Nothing in the environments reaches a GPU: the app would compute on the processor, or not start."
            tell(screen, Words(so, means, "Look at the GPU cell below: without a driver no package helps.", "warning"))

    guarded(work)


def _part(chosen: Any, fine: Any, stale: Any = lambda item: False) -> None:
    """A cell about some stages or services: begin them where they wait, follow them, and tell how they ended."""

    def work(screen: Screen) -> None:
        machine = Machine()
        before = machine.items()
        ids = [str(item["id"]) for item in before if chosen(item)]
        changed = [item for item in before if item["id"] in ids and item.get("state") in ENDED and stale(item)]
        for item in changed:
            machine.ask("retry", stage=item["id"])
        if ids:
            machine.ask("start", stages=ids)
        found = follow(machine, ids, screen)
        if found is not None:
            words = ended(found, fine(found))
            touched = _behind({str(item["id"]) for item in changed}, before)
            runs = [str(item["id"]) for item in before if item.get("state") == "ready" and item["id"] in touched]
            if changed and runs and words.tone == "done":
                again = " and ".join(f"`!firstlight retry {one}`" for one in runs)
                words = words._replace(do=f"What runs was started before this change: {again} starts it again.")
            tell(screen, words, part(machine.look(), ids))

    guarded(work)


def _behind(ids: set[str], all: list[dict[str, Any]]) -> set[str]:
    """What needs any of these, itself or through what it needs."""
    found: set[str] = set()
    while more := {
        str(item["id"])
        for item in all
        if item["id"] not in found and (ids | found) & {str(need).rstrip("?") for need in item.get("needs") or []}
    }:
        found |= more
    return found


def _kind(item: dict[str, Any], kind: str) -> bool:
    return item.get("kind") == kind


def _packages(item: dict[str, Any]) -> bool:
    return str(item.get("id")).endswith(":packages")


def _result(item: dict[str, Any]) -> dict[str, Any]:
    found = item.get("result")
    return found if isinstance(found, dict) else {}


def _asks(item: dict[str, Any]) -> bool:
    return bool(_result(item).get("requirements_from"))


def _instead(item: dict[str, Any]) -> dict[str, Any]:
    found = _result(item).get("instead")
    return found if isinstance(found, dict) else {}


def _messages(found: list[dict[str, Any]]) -> str:
    return "; ".join(f"{item.get('title')}: {item.get('message')}" for item in found if item.get("message"))


def _digest(file: Path) -> str:
    """As the runner notes it of the user's requirement file; empty when there is none."""
    if not os.path.lexists(file):
        return ""
    content = b"?"
    with suppress(OSError):
        if file.is_file():
            with file.open("rb") as stream:
                content = stream.read(LARGEST + 1)
    return hashlib.sha256(f"{file.name}\0".encode() + content).hexdigest()


def _count(folder: Path) -> int:
    """Up to `MOST`: a link may lead to the whole machine."""
    count = 0
    for _, _, files in os.walk(folder):
        count += len(files)
        if count >= MOST:
            break
    return count
