"""`state.json` as it lies there: found, parsed once for every change, and what is wrong with it."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from .runner import START

SCHEMA = "firstlight.state/1"
FILE = "state.json"
RUN, STATE = "/run/firstlight", "/workspace/.firstlight"


@dataclass(frozen=True)
class Problem:
    kind: str
    """`missing`, `damaged`, `version`, or `silent` (the runner does not answer)."""
    message: str
    remedy: str


@dataclass(frozen=True)
class Reading:
    """What is known. `state` is the snapshot without its files, which stand by set in `files`."""

    state: dict[str, Any] | None = None
    files: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    problem: Problem | None = None


class Reader:
    """Looks at the run folder first, then at the workspace. For one caller at a time."""

    def __init__(self, run: Path, state: Path):
        self._folders = run, state
        self._mark: tuple[str, int, int, int] | None = None
        self._good = Reading()
        self._now = Reading()

    def look(self) -> Reading:
        """The same object as before as long as nothing has changed. Raises nothing: what is wrong is in `problem`."""
        for folder in self._folders:
            file = folder / FILE
            try:
                with file.open("rb", buffering=0) as stream:
                    found = os.fstat(stream.fileno())
                    mark = str(file), found.st_ino, found.st_mtime_ns, found.st_size
                    if mark != self._mark:
                        self._take(file, stream.readall())
                        self._mark = mark
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                return self._tell(_damaged(file, error.strerror or str(error)))
            return self._now
        return self._tell(_missing(*self._folders), Reading())

    def _take(self, file: Path, text: bytes) -> None:
        try:
            data = json.loads(text, parse_constant=_refuse)
            if not isinstance(data, dict):
                raise ValueError("it holds no JSON object")
            if data.get("schema") != SCHEMA:
                self._good = self._now = Reading(problem=_version(file, data.get("schema")))
                return
            self._good = self._now = Reading(data, _by_set(data.pop("files", None)))
        except (ValueError, RecursionError) as error:
            self._now = Reading(self._good.state, self._good.files, _damaged(file, str(error)))

    def _tell(self, problem: Problem, instead: Reading | None = None) -> Reading:
        """What was known last, or something else `instead`, with a problem of the disk, not of the file's content."""
        self._mark = None
        if self._now.problem != problem:
            known = self._good if instead is None else instead
            self._now = Reading(known.state, known.files, problem)
        return self._now


def silent(reading: Reading) -> Reading:
    """`reading` when the runner is dead: it is what it wrote last. A problem of the state itself stands."""
    if reading.problem is not None:
        return reading
    when, updated = "earlier", (reading.state or {}).get("updated")
    with contextlib.suppress(TypeError, ValueError, OverflowError, OSError):
        when = f"at {time.strftime('%H:%M:%S', time.localtime(updated))}" if updated else when
    problem = Problem("silent", f"The runner does not run: this was so {when}.", START)
    return Reading(reading.state, reading.files, problem)


def _by_set(files: Any) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for file in files if isinstance(files, list) else ():
        if isinstance(file, dict):
            found.setdefault(str(file.get("set")), []).append(file)
    return found


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _missing(run: Path, state: Path) -> Problem:
    return Problem(
        "missing",
        f"Nothing was started here yet: there is no {FILE} in {run} or {state}.",
        "If it stays so: `firstlight logs init` tells why the runner did not begin.",
    )


def _damaged(file: Path, reason: str) -> Problem:
    return Problem(
        "damaged",
        f"{file} cannot be read: {reason}. What was known last is shown.",
        "The runner's next change writes it anew; until then `firstlight status` asks the runner itself.",
    )


def _version(file: Path, schema: Any) -> Problem:
    return Problem(
        "version",
        f"{file} was written by another version of Firstlight: {str(schema)[:60]!r}, and this panel reads {SCHEMA!r}.",
        "Start a container of this image again; until then `firstlight status` in a terminal shows the state.",
    )
