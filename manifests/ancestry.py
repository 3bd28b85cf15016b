"""What a manifest's parents have locked already: a child that wants the very same is told without asking anybody."""

from __future__ import annotations

from manifests.load import Loaded
from manifests.lock import Lock, LockedFile, read_from


def inherited(loaded: Loaded) -> Lock:
    """What the locks beside the parents know, the nearest parent first. Raises Refused like `read`."""
    found = Lock()
    for parent in reversed([path for path in loaded.chain if path != loaded.path]):
        found = filled(found, read_from(parent.with_name(f"{parent.stem}.lock.json"), loaded))
    return found


def filled(lock: Lock, other: Lock) -> Lock:
    """`lock`, and where it does not know something what `other` knows of the very same. Pure."""
    base = lock.base if lock.base.digest or lock.base.reference not in ("", other.base.reference) else other.base
    return Lock(
        lock.checksum,
        base,
        {key: lock.git.get(key) or other.git.get(key) for key in {**other.git, **lock.git}},
        _filled(lock.models, other.models),
        _filled(lock.wheels, other.wheels),
        _filled(lock.programs, other.programs),
    )


def _filled(files: dict[str, LockedFile], others: dict[str, LockedFile]) -> dict[str, LockedFile]:
    found = dict(others)
    for key, file in files.items():
        other = others.get(key, file)
        size = other.size if file.size is None else file.size
        same = file.sha256 in (None, other.sha256) and file.size in (None, other.size)
        whole = LockedFile(file.revision or other.revision, size, file.sha256 or other.sha256)
        found[key] = whole if same else file
    return found
