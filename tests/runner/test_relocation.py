"""`DATA_DIRECTORY`: where the workspace lies, and what is said when it does not lie there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from init import relocation
from init.paths import Paths

NOBODY = 65534


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[Paths]:
    here = Path.cwd()
    (tmp_path / "workspace").mkdir()
    yield Paths(
        home=str(tmp_path / "opt/firstlight"),
        disk=str(tmp_path / "opt"),
        workspace=str(tmp_path / "workspace"),
        logs=str(tmp_path / "logs"),
        run=str(tmp_path / "run"),
    )
    os.chdir(here)


def relocate(paths: Paths, given: object) -> str:
    return relocation.relocate(paths, {"DATA_DIRECTORY": str(given)}) or ""


def test_nothing_to_do(paths: Paths) -> None:
    assert relocation.relocate(paths, {}) is None
    for given in ("", "  ", paths.workspace, f"{paths.workspace}/", f"/{paths.workspace}"):
        assert relocate(paths, given) == ""
    assert not Path(paths.workspace).is_symlink()


@pytest.mark.parametrize("before", ["empty", "missing", "dangling"])
def test_the_workspace_becomes_a_link(paths: Paths, tmp_path: Path, before: str) -> None:
    workspace, wanted = Path(paths.workspace), tmp_path / "data" / "of mine"
    if before != "empty":
        workspace.rmdir()
    if before == "dangling":
        workspace.symlink_to(tmp_path / "gone")
    assert relocate(paths, f"{wanted}/") == (
        f"the workspace is {wanted}, as DATA_DIRECTORY says; {workspace} leads there"
    )
    (wanted / "file").write_text("x")
    assert (workspace / "file").read_text() == "x" and workspace.readlink() == wanted
    assert relocate(paths, wanted) == "", "the next start finds it so"
    assert relocate(paths, "") == "" and (workspace / "file").exists()


def test_whoever_stands_in_it_is_not_lost(paths: Paths, tmp_path: Path) -> None:
    os.chdir(paths.workspace)
    assert "as DATA_DIRECTORY says" in relocate(paths, tmp_path / "data")
    assert Path.cwd() == Path("/")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("data", "which is no absolute path"),
        ("~/data", "which is no absolute path"),
        ("/data/../etc", "which is no plain path"),
        ("/data\nx", "which is no plain path"),
        ("/", "where the system or Firstlight itself lives"),
        ("/etc/x", "where the system or Firstlight itself lives"),
        ("/proc", "where the system or Firstlight itself lives"),
        ("/var", "where the system or Firstlight itself lives"),
        ("{home}/x", "where the system or Firstlight itself lives"),
        ("{disk}", "where the system or Firstlight itself lives"),
        ("{file}", "which is no folder"),
    ],
)
def test_bad_values_are_refused(paths: Paths, tmp_path: Path, given: str, why: str) -> None:
    (tmp_path / "file").write_text("")
    given = given.format(home=paths.home, disk=paths.disk, file=tmp_path / "file")
    assert relocate(paths, given) == f"DATA_DIRECTORY is {given!r}, {why}: the workspace is {paths.workspace}"
    assert not Path(paths.workspace).is_symlink()


def test_files_in_the_workspace_stay_where_they_are(paths: Paths, tmp_path: Path) -> None:
    workspace = Path(paths.workspace)
    (workspace / "mine").write_text("x")
    assert relocate(paths, tmp_path / "data") == (
        f"DATA_DIRECTORY names {tmp_path / 'data'}, but {workspace} holds files: that is used"
    )
    assert (workspace / "mine").read_text() == "x" and not (tmp_path / "data").exists()


def test_a_link_of_somebody_else_stays(paths: Paths, tmp_path: Path) -> None:
    workspace = Path(paths.workspace)
    workspace.rmdir()
    (tmp_path / "other").mkdir()
    workspace.symlink_to(tmp_path / "other")
    assert f"{workspace} leads to {tmp_path / 'other'}: that is used" in relocate(paths, tmp_path / "data")
    assert workspace.readlink() == tmp_path / "other"


def test_a_folder_in_the_workspace_itself(paths: Paths) -> None:
    workspace = Path(paths.workspace)
    assert f"that lies in {workspace}: that is used" in relocate(paths, workspace / "data")
    assert workspace.is_dir() and not workspace.is_symlink()


def test_a_volume_is_used(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_mount", lambda self: str(self) == paths.workspace)
    assert f"a volume is mounted at {paths.workspace}: that is used" in relocate(paths, tmp_path / "data")


def test_a_folder_that_cannot_be_made(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    wanted = tmp_path / "file" / "data"
    assert relocate(paths, wanted) == (
        f"DATA_DIRECTORY names {wanted}, which cannot be used ({wanted}: Not a directory):"
        f" the workspace is {paths.workspace}"
    )
    assert Path(paths.workspace).is_dir()


@pytest.fixture
def anybody(paths: Paths) -> Iterator[Path]:
    """Not root, to whom everything is open; a folder below which this user has a workspace."""
    folder = Path(tempfile.mkdtemp(prefix="firstlight-"))
    folder.chmod(0o755)
    (folder / "workspace").mkdir()
    (folder / "closed").mkdir(mode=0)
    if root := os.geteuid() == 0:
        os.chown(folder / "workspace", NOBODY, NOBODY)
        os.seteuid(NOBODY)
    yield folder
    if root:
        os.seteuid(0)
    for name in ("closed", "workspace"):
        (folder / name).chmod(0o755)
    shutil.rmtree(folder)


def test_a_folder_that_this_user_cannot_write(paths: Paths, anybody: Path) -> None:
    """A workspace that is there and takes nothing is worse than one that is lost with the container."""
    mine = replace(paths, workspace=str(anybody / "workspace"))
    assert relocate(mine, "/home") == (
        "DATA_DIRECTORY names /home, which cannot be used (/home: this user may not write there):"
        f" the workspace is {anybody / 'workspace'}"
    )
    assert not (anybody / "workspace").is_symlink()


@pytest.mark.parametrize("given", ["{closed}/data", "/" + "x" * 300], ids=["nobody may look", "too long"])
def test_what_cannot_even_be_looked_at_does_not_keep_it_from_starting(paths: Paths, anybody: Path, given: str) -> None:
    mine = replace(paths, workspace=str(anybody / "workspace"))
    wanted = given.format(closed=anybody / "closed")
    assert relocate(mine, wanted).startswith(f"DATA_DIRECTORY names {wanted}, which cannot be used ({wanted}: ")
    assert (anybody / "workspace").is_dir() and not (anybody / "workspace").is_symlink()


def test_a_workspace_that_this_user_cannot_read_is_left_alone(paths: Paths, anybody: Path) -> None:
    mine = replace(paths, workspace=str(anybody / "workspace"))
    (anybody / "workspace").chmod(0)
    said = relocate(mine, "/tmp-of-mine")
    assert said == (
        "DATA_DIRECTORY names /tmp-of-mine, which cannot be used"
        f" ({anybody / 'workspace'}: Permission denied): the workspace is {anybody / 'workspace'}"
    )


def test_a_link_into_the_system_is_refused(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "innocent").symlink_to("/etc")
    for given in (tmp_path / "innocent", tmp_path / "innocent" / "x"):
        assert relocate(paths, given) == (
            f"DATA_DIRECTORY is {str(given)!r}, where the system or Firstlight itself lives:"
            f" the workspace is {paths.workspace}"
        )
    assert not Path(paths.workspace).is_symlink() and not Path("/etc/x").exists()
