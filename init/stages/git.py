"""An app's source code on the disk, with the user's folders of it on the workspace."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from init.failure import StageFailed
from init.specs import GitSpec
from init.stages import upload
from init.stages.code import put
from init.stages.context import Context, Outcome
from init.stages.repository import Git


def run(context: Context) -> Outcome:
    """Put the source into place and link its persistent folders. Raises StageFailed."""
    spec = context.stage.spec
    assert isinstance(spec, GitSpec)
    for folder in [*spec.persist, *spec.uploads]:
        path = PurePosixPath(folder)
        if path.is_absolute() or ".." in path.parts or path.parts in ((), (".git",)):
            raise StageFailed(f"the folder {folder!r} leaves its source", hint="correct `persist`", retry=False)
    at = context.plan.paths.source(spec.source)
    own, refused = upload.code(context.plan.paths, spec.instead)
    if own is not None:
        return _uploaded(context, spec, own, at)
    upload.take_down(context.plan.paths, spec.instead, at)
    context.report(message=f"fetching {spec.code.git or spec.code.path}")
    checkout = put(context, spec.code, at, ignored=[*spec.persist, *spec.uploads])
    notes = [checkout.note] if checkout.note else []
    targets = {} if at.is_symlink() else _targets(context, spec)
    for folder, target in targets.items():
        notes += persist(context, at, folder, target)
    notes += upload.counted(context.plan.paths, spec.uploads)
    message = "; ".join([*([refused] if refused else []), f"{spec.source} at {checkout.commit[:12]}", *notes])
    links = [at / folder for folder in targets]
    result: dict[str, Any] = {"commit": checkout.commit, "changed": checkout.changed}
    result |= _asked(spec)
    if refused and spec.instead is not None:
        without = {"without": f"your code in {spec.instead.folder}"}
        return Outcome("degraded", message, f"{refused}, so the image's own is used", result | without, [at, *links])
    return Outcome(message=message, result=result, made=[at, *links])


def abi(context: Context) -> dict[str, str]:
    """Code of the user's comes and goes."""
    spec = context.stage.spec
    assert isinstance(spec, GitSpec)
    own, refused = upload.code(context.plan.paths, spec.instead)
    return {"upload": str(own) if own is not None else refused} if own is not None or refused else {}


def _asked(spec: GitSpec) -> dict[str, Any]:
    """Where a user may put code and files, for who shows it."""
    asked = {"instead": asdict(spec.instead)} if spec.instead is not None else {}
    return asked | ({"uploads": spec.uploads} if spec.uploads else {})


def _targets(context: Context, spec: GitSpec) -> dict[str, Path]:
    """Where the folders of the source that are kept on the workspace lie there."""
    workspace = Path(context.plan.paths.workspace)
    kept = {folder: workspace / spec.source / folder for folder in spec.persist}
    return kept | {folder: workspace / folder for folder in spec.uploads}


def _uploaded(context: Context, spec: GitSpec, own: Path, at: Path) -> Outcome:
    """The user's own code in the source's place."""
    upload.put_up(context.plan.paths, own, at)
    notes = [f"your code in {own} is used, as it is"]
    for folder in spec.uploads:
        notes += upload.lend(own / folder, Path(context.plan.paths.workspace, folder))
    notes += upload.counted(context.plan.paths, spec.uploads)
    result: dict[str, Any] = {"upload": str(own), **_asked(spec)}
    if (own / ".git").exists() and (commit := Git(context, own).head()):
        result["commit"] = commit
    return Outcome(message="; ".join(notes), result=result, made=[at])


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
