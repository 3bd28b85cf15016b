"""`firstlight models`: the sets, and whether their files are what they should be."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from init import control, lines, selection, state
from init.plan import FileSpec, ModelsSpec, Plan

CHUNK = 4_194_304


def main(plan: Plan, do: str, sets: list[str], delete: bool = False) -> int:
    """0 fine, 1 a problem, 2 usage. `delete`: dropping removes the files."""
    known = {spec.set: spec for spec in selection.sets(plan)}
    for name in sets:
        if name not in known:
            print(f"firstlight: no model set {name!r}{selection.closest(name, known)}", file=sys.stderr)
            return 1
    if do in ("add", "drop"):
        if not sets:
            which = f"which set? One of {', '.join(known)}" if known else f"{plan.image} has no model sets"
            print(f"firstlight models {do}: {which}", file=sys.stderr)
            return 2
        for name in sets:
            request = {"do": f"models.{do}", "set": name, "delete": delete}
            print(control.ask(Path(plan.paths.run), request)["message"])
        return 0
    chosen = [known[name] for name in sets] or list(known.values())
    if do == "verify":
        return verify(plan, chosen, everything=bool(sets))
    return show(plan, chosen)


def show(plan: Plan, specs: list[ModelsSpec]) -> int:
    try:
        snapshot = state.latest(Path(plan.paths.run), plan.paths.state)
    except (OSError, ValueError):
        snapshot = None
    states = {stage.id: stage.state for stage in snapshot.stages} if snapshot is not None else {}
    if not specs:
        print(f"{plan.image} has no model sets")
    for spec in specs:
        sizes = [file.size for file in spec.files]
        total = lines.size(sum(size or 0 for size in sizes)) if None not in sizes else "size unknown"
        words = [states.get(f"models:{spec.set}", "unknown")]
        words += ["required"] if spec.required else ["default"] if spec.default else []
        count = f"{len(sizes)} file" if len(sizes) == 1 else f"{len(sizes)} files"
        print(f"{spec.set:<28} {total:>12}  {count:<9} {', '.join(words)}")
    return 0


def verify(plan: Plan, specs: list[ModelsSpec], everything: bool) -> int:
    """Read every file and compare it with its hash. Sets that are not there are passed over unless they were named."""
    bad, read = list[str](), 0
    for spec in specs:
        there = [file for file in spec.files if (plan.models / file.path).exists()]
        if not there and not everything:
            continue
        for file in spec.files:
            problem, read = check(plan.models / file.path, file), read + 1
            print(f"{'wrong' if problem else 'fine':<6} {file.path}{f': {problem}' if problem else ''}", flush=True)
            if problem and spec.set not in bad:
                bad.append(spec.set)
    if not read:
        print(f"no model file is in {plan.models} yet")
    for name in bad:
        print(f"to repair: firstlight retry models:{name}", file=sys.stderr)
    return 1 if bad else 0


def check(path: Path, file: FileSpec) -> str | None:
    """What is wrong with the file; None: nothing, as far as its size and hash are known."""
    try:
        size = path.stat().st_size
    except OSError as error:
        return (error.strerror or str(error)).lower()
    if file.size is not None and size != file.size:
        return f"{size} bytes instead of {file.size}"
    if file.sha256 is None:
        return None
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
        # A check of 90 GB must not push everything else out of the page cache.
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    found = digest.hexdigest()
    return None if found == file.sha256 else f"its SHA-256 is {found[:12]}… instead of {file.sha256[:12]}…"
