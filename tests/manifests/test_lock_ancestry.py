"""What a child's lock takes from those of its parents."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifests import load
from manifests import lock as locks
from manifests.ancestry import filled, inherited
from manifests.lock import Lock, LockedBase, LockedFile
from manifests.problems import Refused
from manifests.resolution import update
from tests.manifests.lock_cases import BASE

COMMIT, SHA, SHA2 = "c" * 40, "a" * 64, "b" * 64
DIGEST = f"sha256:{'e' * 64}"
FILE = "hf://owner/name/a@main"
PARENT = f"""\
manifest: 1
name: parent
image: {{base: {BASE}}}
models: {{sets: {{weights: {{hf: owner/name, files: [a]}}}}}}
"""


def family(folder: Path, parents: Lock | str) -> load.Loaded:
    """A child whose parent has this lock."""
    (folder / "parent.yaml").write_text(PARENT)
    (folder / "child.yaml").write_text("manifest: 1\nname: child\nextends: parent.yaml\n")
    text = parents if isinstance(parents, str) else locks.text(parents)
    (folder / "parent.lock.json").write_text(text)
    return load.load(str(folder / "child.yaml"))


def test_a_child_is_told_what_its_parent_knows_without_asking_anybody(tmp_path: Path) -> None:
    known = Lock(base=LockedBase(BASE, DIGEST), models={FILE: LockedFile(COMMIT, 5, SHA)})
    result = update(family(tmp_path, known))
    assert (result.asked, result.unresolved) == (0, [])
    assert result.lock.base == known.base and result.lock.models == known.models


def test_a_broken_lock_of_a_parent_is_refused_with_its_place(tmp_path: Path) -> None:
    loaded = family(tmp_path, "{")
    with pytest.raises(Refused, match=r"parent.lock.json:1:2: error: the lock is not JSON"):
        inherited(loaded)


def test_a_lock_of_a_parent_that_is_no_text_is_refused_too(tmp_path: Path) -> None:
    loaded = family(tmp_path, Lock())
    (tmp_path / "parent.lock.json").write_bytes(b"\xff")
    with pytest.raises(Refused, match=r"parent.lock.json:1:1: error: the lock cannot be read"):
        inherited(loaded)


@pytest.mark.parametrize(
    ("own", "theirs", "whole"),
    [
        (LockedFile(), LockedFile(COMMIT, 5, SHA), LockedFile(COMMIT, 5, SHA)),
        (LockedFile(None, 5, None), LockedFile(COMMIT, 5, SHA), LockedFile(COMMIT, 5, SHA)),
        (LockedFile(COMMIT, None, SHA), LockedFile(None, 5, SHA), LockedFile(COMMIT, 5, SHA)),
        (LockedFile(None, None, SHA2), LockedFile(COMMIT, 5, SHA), LockedFile(None, None, SHA2)),
        (LockedFile(None, 6, None), LockedFile(COMMIT, 5, SHA), LockedFile(None, 6, None)),
    ],
)
def test_only_of_the_very_same_file(own: LockedFile, theirs: LockedFile, whole: LockedFile) -> None:
    assert filled(Lock(models={FILE: own}), Lock(models={FILE: theirs})).models == {FILE: whole}


@pytest.mark.parametrize(
    ("own", "theirs", "whole"),
    [
        (LockedBase(), LockedBase(BASE, DIGEST), LockedBase(BASE, DIGEST)),
        (LockedBase(BASE, None), LockedBase(BASE, DIGEST), LockedBase(BASE, DIGEST)),
        (LockedBase("other:1", None), LockedBase(BASE, DIGEST), LockedBase("other:1", None)),
    ],
)
def test_only_of_the_very_same_base(own: LockedBase, theirs: LockedBase, whole: LockedBase) -> None:
    assert filled(Lock(base=own), Lock(base=theirs)).base == whole


def test_its_own_commit_wins() -> None:
    assert filled(Lock(git={"u#main": COMMIT, "u#v1": None}), Lock(git={"u#main": "d" * 40, "u#v1": COMMIT})).git == {
        "u#main": COMMIT,
        "u#v1": COMMIT,
    }
