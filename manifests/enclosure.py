"""Files beside a manifest: they exist, and neither they nor a link in them leads out of the manifest's folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path as File
from pathlib import PurePosixPath

from manifests.findings import Findings
from manifests.merge import Path
from manifests.model import Manifest
from manifests.problems import alike, shown

MOST_FILES = 20_000
"""A folder that is shipped with the image has at most so many files."""


def check(manifest: Manifest, found: Findings) -> None:
    """Every file that is missing, of the wrong kind, or outside."""
    shipped: dict[str, File] = {}
    for path, value, kind in _files(manifest):
        folder = found.plain.where[path].file.parent
        file = folder / value
        if _endless(file):
            found.add(path, f"{shown(file)} is a link that leads in a circle", "put the file itself there")
        elif not _real(file).is_relative_to(_real(folder)):
            found.add(
                path, f"{value!r} is a link out of the manifest's folder", "put the file itself beside the manifest"
            )
        elif not file.exists():
            found.add(path, f"{shown(file)} does not exist", _near(folder, value))
        elif kind == "file" and not file.is_file():
            found.add(path, f"{shown(file)} is no file", "name a file in it")
        elif kind == "folder" and not file.is_dir():
            found.add(path, f"{shown(file)} is no folder", "name the folder that it lies in")
        elif file.is_dir():
            _links(found, path, file)
        other = shipped.setdefault(value, file)
        if other != file and other.exists() and file.exists() and _real(other) != _real(file):
            text = f"{shown(other)} has the same place in the image"
            found.add(path, text, "rename one of them: both are shipped under this name")


def _real(file: File) -> File:
    """Where it is, all links followed, as far as they lead somewhere."""
    return File(os.path.realpath(file))


def _endless(file: File) -> bool:
    try:
        file.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def _files(manifest: Manifest) -> Iterator[tuple[Path, str, str]]:
    """Path in the manifest, the value there, and what it must be."""
    for name, source in manifest.sources.items():
        if source.path is not None:
            yield ("sources", name, "path"), source.path, "folder"
    for index, node in enumerate(manifest.nodes.items if manifest.nodes else []):
        if node.path is not None:
            yield ("nodes", "list", index, "path"), node.path, "folder"
    for name, kernel in manifest.kernels.items():
        if kernel.path is not None:
            yield ("kernels", name, "path"), kernel.path, "folder"
        yield ("kernels", name, "probe"), kernel.probe, "file"
    for name, command in manifest.commands.items():
        for index, value in enumerate(command.inputs):
            yield ("commands", name, "inputs", index), value, "any"
    if manifest.workspace is not None:
        yield ("workspace",), manifest.workspace, "folder"
    if manifest.notebook is not None:
        yield ("notebook", "file"), manifest.notebook.file, "file"


def _near(folder: File, value: str) -> str:
    """A hint: the file beside it with a similar name, or where it is looked for."""
    parent = PurePosixPath(value).parent
    here = folder / parent
    near = [str(parent / file.name) for file in here.iterdir()] if here.is_dir() else []
    return alike(value, near, 0.75) or "paths are relative to the manifest's own folder"


def _links(found: Findings, path: Path, folder: File) -> None:
    root, count = _real(folder), 0
    for parent, folders, files in os.walk(folder):
        count += len(files)
        if count > MOST_FILES:
            found.add(path, f"{shown(folder)} has more than {MOST_FILES} files", "ship only what the image needs")
            return
        for name in (*folders, *files):
            file = File(parent, name)
            if file.is_symlink() and not _real(file).is_relative_to(root):
                found.add(path, f"{shown(file)} is a link out of that folder", "put the file itself there")
                return
