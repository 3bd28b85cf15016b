"""`DATA_DIRECTORY`: the platform's word for the folder that outlives the container, when it is not the workspace's own.

Everything in an image names the workspace by its one path, so that becomes a link to the folder.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from init.paths import Paths

VARIABLE = "DATA_DIRECTORY"
SYSTEM = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr", "/var/log")


def relocate(paths: Paths, environ: Mapping[str, str]) -> str | None:
    """Put the workspace where the platform wants it; a sentence about what is used, None when there is nothing to say.

    Nothing that lies in the workspace is ever moved or removed."""
    given, workspace = environ.get(VARIABLE, "").strip(), Path(paths.workspace)
    if not given:
        return None
    wanted = _plain(given)
    try:
        if why := _wrong(given, paths):
            return f"{VARIABLE} is {given!r}, {why}: the workspace is {workspace}"
        if wanted == workspace or _same(wanted, workspace):
            return None
        if why := _occupied(workspace, wanted):
            return f"{VARIABLE} names {wanted}, but {why}: that is used"
        wanted.mkdir(parents=True, exist_ok=True)
        if not os.access(wanted, os.W_OK | os.X_OK, effective_ids=True):
            raise OSError(errno.EACCES, "this user may not write there", str(wanted))
        if workspace.is_symlink():
            workspace.unlink()
        elif workspace.exists():
            # Whoever stands in it, this process among them, would stand nowhere.
            os.chdir("/")
            workspace.rmdir()
        workspace.symlink_to(wanted)
    except OSError as error:
        with suppress(OSError):
            workspace.mkdir(parents=True, exist_ok=True)
        return (
            f"{VARIABLE} names {wanted}, which cannot be used ({error.filename or wanted}: {error.strerror}):"
            f" the workspace is {workspace}"
        )
    return f"the workspace is {wanted}, as {VARIABLE} says; {workspace} leads there"


def _wrong(given: str, paths: Paths) -> str | None:
    """Why no workspace can lie there."""
    if not given.startswith("/"):
        return "which is no absolute path"
    if not given.isprintable() or ".." in given.split("/"):
        return "which is no plain path"
    wanted, real = _plain(given), Path(os.path.realpath(given))
    own = (paths.home, paths.logs, paths.run, str(Path(paths.disk, "envs")), str(Path(paths.disk, "src")))
    if any(
        place.is_relative_to(one) or Path(one).is_relative_to(place)
        for one in (*SYSTEM, *own)
        for place in (wanted, real)
    ):
        return "where the system or Firstlight itself lives"
    if wanted.exists() and not wanted.is_dir():
        return "which is no folder"
    return None


def _plain(given: str) -> Path:
    return Path(os.path.normpath(f"/{given.lstrip('/')}"))


def _occupied(workspace: Path, wanted: Path) -> str | None:
    """Why the workspace's own place cannot become a link."""
    if wanted.is_relative_to(workspace):
        return f"that lies in {workspace}"
    if workspace.is_symlink():
        return None if not workspace.exists() else f"{workspace} leads to {workspace.resolve()}"
    if workspace.is_mount():
        return f"a volume is mounted at {workspace}"
    if workspace.is_dir() and any(workspace.iterdir()):
        return f"{workspace} holds files"
    if workspace.exists() and not workspace.is_dir():
        return f"{workspace} is a file"
    return None


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
