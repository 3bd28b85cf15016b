"""`firstlight logs`: the log of a stage, of a service, or of a program of ours."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import BinaryIO, NoReturn

from init.paths import Paths
from init.selection import closest

PACE = 0.3


def main(paths: Paths, name: str | None, count: int, follow: bool) -> int:
    """0; 1 when there is no such log."""
    known = names(paths)
    if name is None:
        for each, file in known.items():
            print(f"{each:<28} {file}")
        return 0
    name = name if name in known else name.removeprefix("service:")
    if name not in known:
        print(f"firstlight: no log of {name!r}{closest(name, known)}\n  `firstlight logs` lists them", file=sys.stderr)
        return 1
    file = known[name]
    with file.open("rb") as stream:
        for line in deque(stream, maxlen=max(0, count)):
            sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
        if follow:
            _follow(file, stream)
    return 0


def names(paths: Paths) -> dict[str, Path]:
    """Logs by name: a stage's when a service is called the same, which is then found as `service:ID`."""
    folder = Path(paths.logs)
    found = {file.stem: file for file in sorted(folder.glob("*.log"))}
    for file in sorted((folder / "stages").glob("*.log")):
        name = (
            file.stem.replace(".", ":", 1)
            if file.stem.startswith("models.")
            else file.stem.replace(".packages", ":packages")
        )
        if name in found:
            found[f"service:{name}"] = found[name]
        found[name] = file
    return found


def _follow(file: Path, stream: BinaryIO) -> NoReturn:
    """Show what comes: from the start of the file once it was emptied, and of the next one once it was rotated, after
    the last words of the former."""
    while True:
        rotated = _rotated(file, stream)  # asked first: what is read below is then all that came before the rotation
        if os.fstat(stream.fileno()).st_size < stream.tell():
            stream.seek(0)
        sys.stdout.buffer.write(stream.read())
        sys.stdout.buffer.flush()
        if rotated:
            stream.close()
            stream = file.open("rb")
        else:
            time.sleep(PACE)


def _rotated(file: Path, stream: BinaryIO) -> bool:
    try:
        return not os.path.samestat(file.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False
