"""An app's source code on the disk, with the user's folders of it on the workspace."""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath

from init.failure import StageFailed
from init.plan import GitSpec
from init.stages.code import put
from init.stages.context import Context, Outcome
from init.stages.repository import Git


def run(context: Context) -> Outcome:
    """Put the source into place and link its persistent folders. Raises StageFailed."""
    spec = context.stage.spec
    assert isinstance(spec, GitSpec)
    for folder in spec.persist:
        path = PurePosixPath(folder)
        if path.is_absolute() or ".." in path.parts or path.parts in ((), (".git",)):
            raise StageFailed(f"the folder {folder!r} leaves its source", hint="correct `persist`", retry=False)
    at = context.plan.paths.source(spec.source)
    context.report(message=f"fetching {spec.code.git or spec.code.path}")
    checkout = put(context, spec.code, at, ignored=spec.persist)
    workspace = Path(context.plan.paths.workspace, spec.source)
    notes = [checkout.note] if checkout.note else []
    persisted = [] if at.is_symlink() else spec.persist
    for folder in persisted:
        notes += persist(context, at, folder, workspace / folder)
    message = "; ".join([f"{spec.source} at {checkout.commit[:12]}", *notes])
    links = [at / folder for folder in persisted]
    return Outcome(message=message, result={"commit": checkout.commit, "changed": checkout.changed}, made=[at, *links])


def persist(context: Context, at: Path, folder: str, target: Path) -> list[str]:
    """Make `at/folder` a link to `target`, after copying what it holds there; the user's files win.

    Returns remarks. Raises StageFailed when a link of the source leads elsewhere.
    """
    link = at / folder
    for parent in list(link.relative_to(at).parents)[:-1]:
        if (at / parent).is_symlink():
            raise StageFailed(f"{parent} in {at} is a link, so {folder} cannot be kept on the workspace", retry=False)
    if link.is_symlink():
        if link.readlink() == target:
            target.mkdir(parents=True, exist_ok=True)
            return []
        if Git(context, at)("ls-files", "--", f":(top,literal){folder}", check=False) or not (at / ".git").is_dir():
            raise StageFailed(
                f"{folder} in the source is a link of its own, so it cannot be kept on the workspace",
                hint="take it out of `persist`",
                retry=False,
            )
        return [f"{folder} is a link of yours, left as it is"]
    if link.exists() and not link.is_dir():
        raise StageFailed(
            f"{folder} in {at} is a file; only folders can be kept", hint="correct `persist`", retry=False
        )
    target.mkdir(parents=True, exist_ok=True)
    moved = link.with_name(f".{link.name}.copied")
    if moved.is_dir():
        shutil.rmtree(moved)
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_dir():
        _copy(link, target)
        link.rename(moved)
    link.symlink_to(target)
    shutil.rmtree(moved, ignore_errors=True)
    return []


def _copy(source: Path, target: Path) -> None:
    """Copy what `target` does not have yet; links within are left out, they might lead anywhere."""
    for root, folders, names in os.walk(source):
        inside = target / Path(root).relative_to(source)
        inside.mkdir(exist_ok=True)
        folders[:] = [name for name in folders if not Path(root, name).is_symlink()]
        for name in names:
            origin, copy = Path(root, name), inside / name
            if origin.is_symlink() or os.path.lexists(copy):
                continue
            partial = inside / f".{name}.partial"
            shutil.copy2(origin, partial)
            partial.rename(copy)
