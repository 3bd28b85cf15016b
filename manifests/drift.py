"""Where a lock and its manifest say different things. Pure: no network, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from manifests.load import Loaded
from manifests.lock import Lock, LockedFile, Wanted, WantedFile, is_commit, wanted

Kind = Literal["orphaned", "pending", "changed"]


@dataclass(frozen=True)
class Drift:
    """One difference. `orphaned`: only the lock has it; `pending`: only the manifest; `changed`: they disagree."""

    name: str
    kind: Kind
    detail: str
    repair: str
    """The command that repairs it."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.detail}; run `{self.repair}`"


def drift(lock: Lock, loaded: Loaded) -> list[Drift]:
    """Every difference: of the base, git, models, wheels, debs. Null in the lock is none: it is unknown."""
    repair = loaded.verb("lock")
    if not lock.checksum:
        return [Drift("lock", "pending", f"{loaded.manifest.name} has none yet", repair)]
    want = wanted(loaded)
    found = [
        *_base(lock, want, repair),
        *_git(lock, want, repair),
        *_files("model", lock.models, want.models, repair),
        *_files("wheel", lock.wheels, want.wheels, repair),
        *_files("deb", lock.debs, want.debs, repair),
    ]
    if not found and lock.checksum != loaded.checksum:
        names = ", ".join(path.name for path in loaded.chain)
        found.append(Drift("manifest", "changed", f"{names}: not as it was when the lock was made", repair))
    return found


def unknown(lock: Lock, want: Wanted) -> set[str]:
    """What the lock does not know yet: entries that are null where an answer exists, as `base …`, `git …`, …"""
    return {
        *([f"base {want.base}"] if lock.digest(want.base) is None else []),
        *(f"git {key}" for key, origin in want.git.items() if lock.commit(origin.url, origin.ref) is None),
        *(f"model {key}" for key in want.models if not _complete(key, lock.models.get(key))),
        *(f"wheel {key}" for key in want.wheels if not _complete(key, lock.wheels.get(key))),
        *(f"deb {key}" for key in want.debs if key not in lock.debs or lock.debs[key].sha256 is None),
    }


def _complete(url: str, file: LockedFile | None) -> bool:
    """Nobody can be asked for more: the hub gives a commit and a size (no SHA-256 for files that are not in LFS),
    CivitAI a size and a SHA-256, any other server a size."""
    if file is None:
        return False
    if url.startswith("hf:"):
        return file.revision is not None and file.size is not None
    if url.startswith("civitai:"):
        return file.size is not None and file.sha256 is not None
    return file.size is not None


def _base(lock: Lock, want: Wanted, repair: str) -> list[Drift]:
    if lock.base.reference == want.base:
        return []
    return [
        Drift("base", "changed", f"the manifest says {want.base}, the lock {lock.base.reference or 'none'}", repair)
    ]


def _git(lock: Lock, want: Wanted, repair: str) -> list[Drift]:
    found = []
    orphaned = {key: key.rpartition("#") for key in lock.git if key not in want.git}
    for key, origin in want.git.items():
        name = f"git {', '.join(origin.names)}"
        if key in lock.git:
            commit = lock.git[key]
            if is_commit(origin.ref) and commit != origin.ref:
                found.append(Drift(name, "changed", f"{key} is locked to {commit}", repair))
            continue
        before = next((old for old, (url, _, _) in orphaned.items() if url == origin.url), None)
        if before is None:
            found.append(Drift(name, "pending", f"{key} is not in the lock", repair))
        else:
            old = orphaned.pop(before)[2]
            found.append(Drift(name, "changed", f"{origin.url} at {origin.ref}, in the lock at {old}", repair))
    return [*found, *(Drift(f"git {key}", "orphaned", "the manifest no longer has it", repair) for key in orphaned)]


def _files(what: str, locked: dict[str, LockedFile], want: dict[str, WantedFile], repair: str) -> list[Drift]:
    found = []
    orphaned = {key: _url(key) for key in locked if key not in want}
    for key, file in want.items():
        name = f"{what} {file.url}"
        if key in locked:
            found += [Drift(name, "changed", detail, repair) for detail in contradictions(file, locked[key])]
            continue
        before = next((old for old, url in orphaned.items() if url == file.url), None)
        if before is None:
            found.append(Drift(name, "pending", f"of {file.names[0]}, is not in the lock", repair))
        else:
            orphaned.pop(before)
            old = before.removeprefix(file.url).lstrip("@") or "no revision"
            found.append(Drift(name, "changed", f"at {file.revision or 'no revision'}, in the lock at {old}", repair))
    return [*found, *(Drift(f"{what} {key}", "orphaned", "the manifest no longer has it", repair) for key in orphaned)]


def contradictions(file: WantedFile, locked: LockedFile) -> list[str]:
    """Where the manifest itself states another size, SHA-256 or commit than the lock."""
    stated = (("sha256", file.sha256, locked.sha256), ("size", file.size, locked.size))
    found = [
        f"{name} {says} in the manifest, {has} in the lock"
        for name, says, has in stated
        if says is not None and has not in (None, says)
    ]
    if file.revision and is_commit(file.revision) and locked.revision not in (None, file.revision):
        found.append(f"revision {file.revision} in the manifest, {locked.revision} in the lock")
    return found


def _url(key: str) -> str:
    """The URL in a key of models: only Hugging Face ones carry a revision."""
    return key.rpartition("@")[0] if key.startswith("hf:") else key
