"""What the image brings for the workspace: offered once, whole, and never over a user's file."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import stat
import sys
from pathlib import Path

import pytest

from init import offer
from init.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(home=str(tmp_path / "home"), disk=str(tmp_path / "disk"), workspace=str(tmp_path / "workspace"))
    brought = Path(made.home, offer.FOLDER)
    (brought / "deep" / "er").mkdir(parents=True)
    (brought / "empty").mkdir()
    (brought / "README").write_text("image")
    (brought / "deep" / "er" / "tool").write_text("#!")
    (brought / "deep" / "er" / "tool").chmod(0o750)
    (brought / "deep").chmod(0o711)
    (brought / "link").symlink_to("deep/er/tool")
    Path(made.workspace).mkdir()
    return made


def come(paths: Paths) -> tuple[int, list[str]]:
    said: list[str] = []
    return offer.offer(paths, said.append), said


def names(paths: Paths) -> set[str]:
    root = Path(paths.workspace)
    return {str(path.relative_to(root)) for path in root.rglob("*") if ".firstlight" not in path.parts}


def test_it_is_copied_with_its_modes(paths: Paths) -> None:
    assert come(paths) == (3, [])
    assert names(paths) == {"README", "deep", "deep/er", "deep/er/tool", "empty", "link"}
    workspace = Path(paths.workspace)
    assert stat.S_IMODE((workspace / "deep/er/tool").stat().st_mode) == 0o750
    assert stat.S_IMODE((workspace / "deep").stat().st_mode) == 0o711
    assert (workspace / "link").readlink() == Path("deep/er/tool")
    assert list((paths.state / "offered").iterdir()) == []


def test_users_files_stay_and_what_they_deleted_does_not_come_back(paths: Paths) -> None:
    workspace = Path(paths.workspace)
    (workspace / "README").write_text("mine")
    assert come(paths)[0] == 2
    assert (workspace / "README").read_text() == "mine"
    for name in ("README", "link", "deep/er/tool"):
        (workspace / name).unlink()
    (workspace / "deep/er").rmdir()
    (workspace / "deep").rmdir()
    (workspace / "empty").rmdir()
    assert come(paths) == (0, []) and names(paths) == set()
    # A newer image changes one and brings others; one of them lies in the folder that was deleted.
    brought = Path(paths.home, offer.FOLDER)
    (brought / "README").write_text("newer")
    (brought / "deep" / "new").write_text("new")
    internal = Path(paths.disk, offer.INTERNAL)
    internal.mkdir(parents=True)
    (internal / "vast").write_text("x")
    assert come(paths) == (2, []) and names(paths) == {"deep", "deep/new", "vast"}


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "deep/../../../outside", "."])
def test_links_that_leave_are_refused(paths: Paths, target: str, tmp_path: Path) -> None:
    link = Path(paths.home, offer.FOLDER, "out")
    link.symlink_to(target)
    count, said = come(paths)
    if target == ".":
        assert (count, said) == (4, [])
        return
    assert count == 3 and not os.path.lexists(Path(paths.workspace, "out"))
    assert said == [
        f"{link} is not copied to the workspace: it is a link that leads out of {Path(paths.home, offer.FOLDER)}"
    ]


def test_what_else_is_refused(paths: Paths, tmp_path: Path) -> None:
    brought, workspace = Path(paths.home, offer.FOLDER), Path(paths.workspace)
    (brought / ".firstlight").mkdir()
    (brought / ".firstlight" / "token").write_text("chosen")
    os.mkfifo(brought / "pipe")
    (workspace / "deep").symlink_to(tmp_path)
    (workspace / "empty").write_text("a file of the user's")
    (brought / "empty" / "one").write_text("x")
    _, said = come(paths)
    assert sorted(said) == [
        f"{brought}/.firstlight/token is not copied to the workspace: .firstlight is Firstlight's own folder there",
        f"{brought}/deep/er/tool is not copied to the workspace: {workspace}/deep/er leads out of the workspace",
        f"{brought}/empty/one is not copied to the workspace: Not a directory; the next start tries again",
        f"{brought}/pipe is not copied to the workspace: it is neither a file nor a folder",
    ]
    assert (workspace / "README").exists() and not (tmp_path / "er").exists()
    (workspace / "empty").unlink()
    assert come(paths)[0] == 1 and (workspace / "empty" / "one").read_text() == "x"


def test_names_that_are_no_text(paths: Paths) -> None:
    odd = Path(paths.home, offer.FOLDER, os.fsdecode(b"a\xff\nb"))
    odd.write_text("x")
    assert come(paths)[0] == 4
    (Path(paths.workspace) / odd.name).unlink()
    assert come(paths) == (0, [])


def test_a_full_disk_is_said_once_and_the_next_start_goes_on(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        target.write_text("ha")
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr(shutil, "copyfile", full)
    count, said = come(paths)
    assert count == 0 and len(said) == 1
    assert "No space left on device); the next start goes on" in said[0]
    assert not (Path(paths.workspace) / "README").exists() and list((paths.state / "offered").iterdir()) == []
    monkeypatch.undo()
    assert come(paths) == (3, [])


def test_another_machine_on_the_volume_is_at_it(paths: Paths) -> None:
    paths.state.mkdir()
    with (paths.state / "offered.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert come(paths) == (0, [])
    assert come(paths)[0] == 3


def killed(paths: Paths, step: int) -> bool:
    """Offer in a process that kills itself before its `step`th call of the system; False: it had ended before."""
    pid = os.fork()
    if pid == 0:
        count = 0

        def hook(event: str, _: object) -> None:
            nonlocal count
            count += event.startswith(("os.", "open", "shutil."))
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        offer.offer(paths, print)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def test_killed_at_any_moment_nothing_is_half_or_twice(paths: Paths) -> None:
    workspace, contents = Path(paths.workspace), {"README": "image", "deep/er/tool": "#!"}
    step, deleted = 1, 0
    while killed(paths, step):
        there = {name for name in names(paths) if not (workspace / name).is_dir()}
        assert all((workspace / name).read_text() == text for name, text in contents.items() if name in there)
        gone = max(there, default=None)
        if gone:
            (workspace / gone).unlink()
            deleted += 1
        assert come(paths)[1] == []
        left = {"README", "deep", "deep/er", "deep/er/tool", "empty", "link"} - {gone}
        assert names(paths) == left, f"killed before step {step}, {gone} deleted"
        assert list((paths.state / "offered").iterdir()) == []
        shutil.rmtree(workspace)
        workspace.mkdir()
        step += 1
    assert step > 40 and deleted > 20
