"""Where files may go: below the models folder, whatever a path or a link says."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from init.fetch.trouble import Trouble


def place(root: Path, path: str) -> Path:
    """The absolute path of a file below `root` (a resolved path), its folder made. Raises Trouble."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or not pure.parts or ".." in pure.parts or "\0" in path:
        raise Trouble(
            f"{path!r} leaves the models folder", hint="correct `to` in the manifest", retry=False, kind="refused"
        )
    final = root / pure
    try:
        real = _nearest(final.parent).resolve()
        if real != root and root not in real.parents:
            raise Trouble(
                f"{path!r}: its folder is a link to {real}, outside the models folder {root}",
                hint="remove the link, or make the whole models folder a link",
                retry=False,
                kind="refused",
            )
        final.parent.mkdir(parents=True, exist_ok=True)
        for suffix in (".part", ".part.aria2", ".part.aria2__temp"):
            beside = final.with_name(final.name + suffix)
            if beside.is_symlink():
                beside.unlink()
        if final.is_dir():
            raise Trouble(f"{path!r} is a folder already", hint=f"move {final} away", retry=False, kind="refused")
    except OSError as error:
        raise Trouble(
            f"{path!r}: its folder cannot be made ({error.strerror})",
            hint=f"check {final.parent}",
            retry=False,
            kind="disk",
        ) from None
    return final


def _nearest(folder: Path) -> Path:
    """The deepest part of `folder` that exists."""
    while not (folder.exists() or folder.is_symlink()):
        folder = folder.parent
    return folder
