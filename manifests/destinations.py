"""Where model files go: each has a name, below the models' folder, and no two have the same."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import urlsplit

from manifests import expand, paths
from manifests.amounts import brief
from manifests.findings import Findings
from manifests.merge import Path
from manifests.model import Manifest

UNFINISHED = (".part", ".aria2")
"""How files end that are under way."""


def check(manifest: Manifest, found: Findings) -> None:
    """Every file that cannot be called so, whatever else the manifest says."""
    for name, model_set in manifest.models.sets.items():
        here: Path = ("models", "sets", name)
        if model_set.url is not None and (parts := urlsplit(model_set.url)).query + parts.fragment:
            text = f"paths cannot follow {brief(model_set.url)}, which has a `?` or a `#`"
            found.add((*here, "url"), text, "give each file a `url` of its own")
        for index, file in enumerate(expand.files(model_set)):
            path = (*here, "files", index)
            key = next((key for key in ("to", "url") if found.written(*path, key) is not None), None)
            place = path if key is None else (*path, key)
            if not _nameable(file.destination):
                said = found.written(*place) if key is not None else file.destination
                found.add(place, f"{brief(said)} gives no name for the file", "say where it goes: `to: folder/name`")
            elif (last := PurePosixPath(file.destination).name).endswith(UNFINISHED):
                text = f"a file called `{last}` looks like an unfinished download"
                found.add(place, text, "give it another name with `to`")


def _nameable(destination: str) -> bool:
    try:
        paths.below(destination)
    except ValueError:
        return False
    return destination.rpartition("/")[2] not in ("", ".")


def together(manifest: Manifest, found: Findings) -> None:
    """What meets; some of it may stand in a parent."""
    taken: dict[str, tuple[expand.File, str]] = {}
    folders: dict[str, str] = {}
    for name, model_set in manifest.models.sets.items():
        for index, file in enumerate(expand.files(model_set)):
            if not _nameable(file.destination):
                continue
            path: Path = ("models", "sets", name, "files", index)
            target = PurePosixPath(file.destination)
            other = taken.setdefault(file.destination, (file, name))
            if not _same(other[0], file):
                text = f"`{file.destination}` comes from another address in the set `{other[1]}`"
                found.add(path, text, f"there it is {other[0].url}; give one of them another `to`")
            above = [str(parent) for parent in target.parents if str(parent) in taken]
            if above or file.destination in folders:
                folder = above[0] if above else file.destination
                found.add(
                    path, f"`{folder}` is a file in one place and a folder in another", "give one of them another `to`"
                )
            folders |= {str(parent): name for parent in target.parents if parent.name}


def _same(one: expand.File, other: expand.File) -> bool:
    if one.sha256 and other.sha256:
        return one.sha256 == other.sha256
    return (one.url, one.revision) == (other.url, other.revision)
