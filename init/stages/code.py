"""Putting source code into place: a git commit, or a folder shipped with the image.

What is there under the final name is always whole: new code is prepared beside it and renamed. What the user changed
is never deleted, it is moved aside.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

from init.failure import StageFailed
from init.specs import Code
from init.stages import replacement
from init.stages.context import Context
from init.stages.repository import Git, GitFailed, explained, resolve, unknown_ref

_STAMP = "firstlight.json"


@dataclass(frozen=True)
class Checkout:
    """Code in its place."""

    commit: str
    """Commit, or digest of a folder."""
    changed: bool = False
    """The user has changed files of it."""
    kept: Path | None = None
    """Where the former content went because the user had changed it."""
    fresh: bool = True
    """It was put there now."""

    @property
    def note(self) -> str:
        """What the user should know."""
        if self.kept is not None:
            return f"your changed copy was moved to {self.kept}"
        return "has changes of yours, left as they are" if self.changed else ""


@dataclass(frozen=True)
class _Stamp:
    """What stands there, as we left it. `files`: digests of a folder's files by path."""

    origin: str
    ref: str
    commit: str
    files: dict[str, str] = field(default_factory=dict)


def put(context: Context, code: Code, at: Path, *, ignored: list[str] | None = None) -> Checkout:
    """Make `at` the wanted code. `ignored` are folders of it whose content is the user's anyway. Raises StageFailed."""
    at.parent.mkdir(parents=True, exist_ok=True)
    if code.git is not None:
        return _put_git(context, code, code.git, at, ignored or [])
    return _put_folder(context, code, at, ignored or [])


def identity(context: Context, code: Code) -> str:
    """The commit, or the folder's digest, that `put` would put into place. Raises StageFailed."""
    if code.git is None:
        return code.digest or _folder_digest(_shipped(context, code))
    return code.commit or _remembered(context, code.git, code.ref or "HEAD")


def _shipped(context: Context, code: Code) -> Path:
    folder = context.plan.paths.files / (code.path or "")
    if not folder.is_dir() or not folder.resolve().is_relative_to(context.plan.paths.files.resolve()):
        raise StageFailed(f"the image does not hold the folder {code.path}", hint="build the image again", retry=False)
    return folder


def _put_git(context: Context, code: Code, url: str, at: Path, ignored: list[str]) -> Checkout:
    git, ref = Git(context, at), code.ref or "HEAD"
    if at.is_symlink():
        return Checkout(git.head() or "", changed=True, fresh=False)
    replacement.resume(context.plan.paths, at)
    stamp = _read_stamp(at / ".git")
    commit = code.commit
    if commit is None and stamp is not None and (stamp.origin, stamp.ref) == (url, ref):
        commit = stamp.commit
    if commit is None:
        commit = _remembered(context, url, ref)
    tracked: set[str] | None = None
    if stamp is not None and git.head() == stamp.commit:
        changed = bool(git.changed(ignored)) or _has_refs(at / ".git")
        if stamp.origin == url and stamp.commit.startswith(commit):
            return Checkout(stamp.commit, changed=changed, fresh=False)
        tracked = None if changed else set(git("-c", "core.quotepath=off", "ls-files"))
    partial = at.with_name(f".{at.name}.partial")
    commit = _clone(context, code, url, commit, partial)
    _write_stamp(partial / ".git", _Stamp(url, ref, commit))
    _remember(context, url, ref, commit)
    return Checkout(commit, kept=replacement.replace(context.plan.paths, partial, at, tracked))


def _clone(context: Context, code: Code, url: str, commit: str, partial: Path) -> str:
    """Fetch `commit` into `partial`, going on with what an interrupted attempt left there. Returns the full hash."""
    ref = code.ref or commit
    if partial.is_symlink() or (partial.exists() and not partial.is_dir()):
        partial.unlink()
    partial.mkdir(parents=True, exist_ok=True)
    for lock in (partial / ".git").rglob("*.lock") if (partial / ".git").is_dir() else []:
        lock.unlink(missing_ok=True)  # a killed runner's git may be ending just now
    git = Git(context, partial)
    try:
        if not (partial / ".git" / "HEAD").exists() or not git("remote", check=False):
            git("init", "--quiet")
            git("remote", "add", "origin", url)
        git("remote", "set-url", "origin", url)
        if not git.has(commit):
            _fetch(context, git, commit)
        if not git.has(commit):
            raise unknown_ref(url, commit)
        git("checkout", "--quiet", "--force", "--detach", commit)
        if code.submodules:
            context.report(message=f"fetching submodules of {url}")
            git("submodule", "update", "--init", "--recursive", "--depth", "1", "--quiet")
    except GitFailed as failure:
        raise explained(failure, url, ref) from None
    return git.head() or commit


def _fetch(context: Context, git: Git, commit: str) -> None:
    """The commit alone where the server gives it; else everything."""

    def progress(line: str) -> None:
        if "objects:" in line:
            context.report(message=line.removeprefix("remote: ").strip())

    if len(commit) >= 40:
        try:
            git("fetch", "--depth", "1", "--no-tags", "--progress", "origin", commit, on_line=progress)
            return
        except GitFailed as failure:
            if not any(word in failure.words for word in ("dumb http", "shallow", "unadvertised", "not our ref")):
                raise
    git("fetch", "--tags", "--force", "--progress", "origin", on_line=progress)


def _put_folder(context: Context, code: Code, at: Path, ignored: list[str]) -> Checkout:
    assert code.path is not None
    origin = _shipped(context, code)
    digest = code.digest or _folder_digest(origin)
    if at.is_symlink():
        return Checkout(digest, changed=True, fresh=False)
    replacement.resume(context.plan.paths, at)
    stamp = _read_stamp(at)
    known: set[str] | None = None
    if stamp is not None:
        changed = any(_file_digest(at / name) != was for name, was in stamp.files.items() if not _below(name, ignored))
        if stamp.origin == code.path and stamp.commit == digest:
            return Checkout(digest, changed=changed, fresh=False)
        known = None if changed else {*stamp.files, _STAMP}
    partial = at.with_name(f".{at.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(origin, partial, symlinks=True)
    _refuse_escapes(partial, code.path)
    _write_stamp(partial, _Stamp(code.path, "", digest, _file_digests(partial)))
    return Checkout(digest, kept=replacement.replace(context.plan.paths, partial, at, known))


def _refuse_escapes(folder: Path, name: str) -> None:
    root = folder.resolve()
    for path in folder.rglob("*"):
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            raise StageFailed(f"{name}/{path.relative_to(folder)} is a link that leads out of its folder", retry=False)


def _has_refs(git_folder: Path) -> bool:
    """Branches or stashes; a checkout of ours has none."""
    heads = git_folder / "refs" / "heads"
    return (git_folder / "refs" / "stash").exists() or (heads.is_dir() and any(p.is_file() for p in heads.rglob("*")))


def _below(name: str, folders: list[str]) -> bool:
    return any(name == folder or name.startswith(folder + "/") for folder in folders)


def _file_digest(path: Path) -> str:
    if path.is_symlink():
        return f"link {path.readlink()}"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _file_digests(folder: Path) -> dict[str, str]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_symlink() or path.is_file())
    return {str(path.relative_to(folder)): _file_digest(path) for path in paths}


def _folder_digest(folder: Path) -> str:
    return hashlib.sha256(json.dumps(_file_digests(folder)).encode()).hexdigest()


def _read_stamp(folder: Path) -> _Stamp | None:
    try:
        return _Stamp(**json.loads((folder / _STAMP).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _write_stamp(folder: Path, stamp: _Stamp) -> None:
    (folder / _STAMP).write_text(json.dumps(asdict(stamp)))


def _memory(context: Context, url: str, ref: str) -> Path:
    name = hashlib.sha256(f"{url}#{ref}".encode()).hexdigest()[:20]
    return context.plan.paths.state / "commits" / name


def _remembered(context: Context, url: str, ref: str) -> str:
    """The commit of an unlocked `ref`: as this workspace resolved it before, so that a new pod gets the same code."""
    try:
        commit = _memory(context, url, ref).read_text().strip()
    except OSError:
        commit = ""
    return commit or resolve(context, url, ref)


def _remember(context: Context, url: str, ref: str, commit: str) -> None:
    file = _memory(context, url, ref)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.write_text(commit + "\n")
    temporary.rename(file)
