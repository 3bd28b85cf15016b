"""`DATA_DIRECTORY`: where the workspace lies, and what is said when it does not lie there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from init import relocation
from init.paths import Paths


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
