"""What the image brings for the workspace, offered once: copied at the first start that has it.

A file of the user's is never overwritten, and what the user has deleted does not come back: what was offered is
remembered on the workspace. Killed at any moment, the next start goes on: a complete draft is first remembered, then
put into place, so that a remembered file without a draft has been there.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from init.paths import Paths

FOLDER = "workspace"
"""Below `Paths.home`: what a manifest ships."""
INTERNAL = "workspace-internal"
"""Below `Paths.disk`: where images of Vast.ai's kind keep the same."""
OWN = ".firstlight"
NICE = 10
"""How far behind JupyterLab the copying stands."""
FULL = (errno.ENOSPC, errno.EDQUOT)


def offer(paths: Paths, say: Callable[[str], None]) -> int:
    """Copy what was not offered before; the number of files that came. `say` is told what could not be."""
    try:
        with _alone(paths.state / "offered.lock") as alone:
            return sum(_Offer(paths, folder, say).run() for folder in _sources(paths)) if alone else 0
    except OSError as error:
        say(
            f"what the image brings for the workspace is not all there ({error.filename or paths.workspace}:"
            f" {error.strerror or error}); the next start goes on"
        )
        return 0


def beside(paths: Paths) -> None:
    """The same in a thread: JupyterLab starts meanwhile, and comes first."""
    if not _sources(paths):
        return
    from threading import Thread, get_native_id

    def copy() -> None:
        os.setpriority(os.PRIO_PROCESS, get_native_id(), NICE)
        if count := offer(paths, lambda text: print(f"Firstlight: {text}", file=sys.stderr, flush=True)):
            what = "1 file" if count == 1 else f"{count} files"
            print(f"Firstlight: the image brought {what} for the workspace {paths.workspace}", flush=True)

    Thread(target=copy, name="offer", daemon=True).start()


class _Offer:
    """One folder of the image."""

    def __init__(self, paths: Paths, folder: Path, say: Callable[[str], None]) -> None:
        self.folder, self.say = folder, say
        self.workspace = Path(paths.workspace)
        self.drafts = paths.state / "offered"
        self.record = paths.state / "offered.jsonl"
        self.known = _read(self.record)

    def run(self) -> int:
        self.drafts.mkdir(parents=True, exist_ok=True)
        count = 0
        for name, path in _walk(self.folder):
            draft = self.drafts / sha256(os.fsencode(name)).hexdigest()
            if name in self.known and not os.path.lexists(draft):
                continue
            why = self._refused(name, path)
            try:
                count += why is None and self._place(name, path, draft)
            except OSError as error:
                if error.errno in FULL:
                    raise
                why = f"{error.strerror or error}; the next start tries again"
            if why:
                self.say(f"{path} is not copied to the workspace: {why}")
        return count

    def _refused(self, name: str, path: Path) -> str | None:
        if Path(name).parts[0] == OWN:
            return f"{OWN} is Firstlight's own folder there"
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode) and not _stays(path, self.folder):
            return f"it is a link that leads out of {self.folder}"
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode)):
            return "it is neither a file nor a folder"
        if not (self.workspace / name).parent.resolve().is_relative_to(self.workspace.resolve()):
            return f"{(self.workspace / name).parent} leads out of the workspace"
        return None

    def _place(self, name: str, path: Path, draft: Path) -> bool:
        """Draft, remember, put into place. True when it came."""
        target, mode = self.workspace / name, path.lstat().st_mode
        if not os.path.lexists(draft) and not os.path.lexists(target):
            _draft(path, draft, mode)
        if name not in self.known:
            self._remember(name)
        if not os.path.lexists(draft):
            return False
        _folders(self.folder, self.workspace, Path(name).parent)
        if os.path.lexists(target):
            _drop(draft)
            return False
        draft.rename(target)
        return not stat.S_ISDIR(mode)

    def _remember(self, name: str) -> None:
        self.known.add(name)
        with self.record.open("a", encoding="utf-8") as file:
            file.write(json.dumps(name) + "\n")


def _sources(paths: Paths) -> list[Path]:
    return [folder for folder in (Path(paths.home, FOLDER), Path(paths.disk, INTERNAL)) if folder.is_dir()]


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """Everything below, by its name there: files and links, and folders that hold nothing."""
    for parent, folders, files in os.walk(folder):
        folders.sort()
        links = [name for name in folders if Path(parent, name).is_symlink()]
        empty = [name for name in folders if name not in links and not any(Path(parent, name).iterdir())]
        for name in sorted([*files, *links, *empty]):
            path = Path(parent, name)
            yield str(path.relative_to(folder)), path


def _stays(link: Path, folder: Path) -> bool:
    """Whether a link is relative and leads to something in `folder`."""
    text = link.readlink()
    return not text.is_absolute() and link.resolve().is_relative_to(folder.resolve())


def _draft(path: Path, draft: Path, mode: int) -> None:
    """A whole copy, under its own name only when it is whole."""
    import shutil

    part = draft.with_name(f"{draft.name}.part")
    _drop(part)
    try:
        if stat.S_ISLNK(mode):
            part.symlink_to(path.readlink())
        elif stat.S_ISDIR(mode):
            part.mkdir()
            part.chmod(stat.S_IMODE(mode) & 0o777 | 0o700)
        else:
            shutil.copyfile(path, part)
            part.chmod(stat.S_IMODE(mode) & 0o777)
            with part.open("rb") as file:
                os.fsync(file.fileno())
        part.rename(draft)
    except OSError:
        _drop(part)
        raise


def _folders(folder: Path, workspace: Path, parent: Path) -> None:
    """Make the folders above a file, with the modes that they have in the image."""
    for name in [*reversed(parent.parents), parent]:
        target = workspace / name
        if not target.exists():
            target.mkdir()
            target.chmod(stat.S_IMODE((folder / name).stat().st_mode) & 0o777 | 0o700)


def _drop(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def _read(record: Path) -> set[str]:
    """Names that were offered; a line that a crash has cut off counts as none."""
    found: set[str] = set()
    with suppress(FileNotFoundError):
        for line in record.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError):
                found.add(str(json.loads(line)))
    return found


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """False while another machine does the same on this volume. Where nothing can be locked, on we go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        alone = True
    except OSError as error:
        alone = error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN)
    try:
        yield alone
    finally:
        os.close(handle)
