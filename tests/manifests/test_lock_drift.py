"""Drift, as a table: a lock, a manifest, and what is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from manifests.drift import drift
from manifests.load import load
from manifests.lock import Lock, LockedBase, LockedFile
from tests.manifests.lock_cases import BASE, manifest, sets

COMMIT, OTHER, SHA, SHA2 = "c" * 40, "d" * 40, "a" * 64, "b" * 64
GIT = "sources: {app: {git: 'https://git.example/app', ref: v2}}"
PINNED = f"sources: {{app: {{git: 'https://git.example/app', ref: {COMMIT}}}}}"
WHEEL = f"""
python: {{envs: {{app: {{}}}}}}
kernels:
  k:
    git: https://git.example/k
    ref: {COMMIT}
    env: app
    probe: probe.py
    wheels: [{{url: 'https://f.example/k.whl', sha256: {SHA}}}]
"""


@pytest.mark.parametrize(
    ("body", "lock", "expected"),
    [
        ("", Lock(), []),
        ("", Lock(base=LockedBase(BASE, f"sha256:{SHA}")), []),
        (
            "",
            Lock(base=LockedBase("debian:12")),
            [("base", "changed", f"the manifest says {BASE}, the lock debian:12")],
        ),
        (GIT, Lock(git={"https://git.example/app#v2": COMMIT}), []),
        (GIT, Lock(git={"https://git.example/app#v2": None}), []),
        (GIT, Lock(), [("git app", "pending", "https://git.example/app#v2 is not in the lock")]),
        (
            GIT,
            Lock(git={"https://git.example/app#v1": COMMIT}),
            [("git app", "changed", "https://git.example/app at v2, in the lock at v1")],
        ),
        (
            GIT,
            Lock(git={"https://git.example/app#v2": COMMIT, "https://git.example/old#v1": COMMIT}),
            [("git https://git.example/old#v1", "orphaned", "the manifest no longer has it")],
        ),
        (
            GIT,
            Lock(git={"https://git.example/old#v1": COMMIT}),
            [
                ("git app", "pending", "https://git.example/app#v2 is not in the lock"),
                ("git https://git.example/old#v1", "orphaned", "the manifest no longer has it"),
            ],
        ),
        (
            PINNED,
            Lock(git={f"https://git.example/app#{COMMIT}": OTHER}),
            [("git app", "changed", f"https://git.example/app#{COMMIT} is locked to {OTHER}")],
        ),
        (sets("a"), Lock(models={"hf://owner/name/a@main": LockedFile()}), []),
        (sets("a"), Lock(models={"hf://owner/name/a@main": LockedFile(COMMIT, 1, SHA)}), []),
        (sets("a"), Lock(), [("model hf://owner/name/a", "pending", "of weights, is not in the lock")]),
        (
            sets("a", revision="v2"),
            Lock(models={"hf://owner/name/a@main": LockedFile(COMMIT, 1, SHA)}),
            [("model hf://owner/name/a", "changed", "at v2, in the lock at main")],
        ),
        (
            sets("a"),
            Lock(models={"hf://owner/name/a@main": LockedFile(), "https://f.example/x@1": LockedFile()}),
            [("model https://f.example/x@1", "orphaned", "the manifest no longer has it")],
        ),
        (
            sets(f"{{path: a, sha256: {SHA}, size: 2}}"),
            Lock(models={"hf://owner/name/a@main": LockedFile(COMMIT, 1, SHA2)}),
            [
                ("model hf://owner/name/a", "changed", f"sha256 {SHA} in the manifest, {SHA2} in the lock"),
                ("model hf://owner/name/a", "changed", "size 2 in the manifest, 1 in the lock"),
            ],
        ),
        (
            sets(f"{{path: a, sha256: {SHA}}}"),
            Lock(models={"hf://owner/name/a@main": LockedFile(COMMIT, 1, None)}),
            [],
        ),
        (
            sets("a", revision=COMMIT),
            Lock(models={f"hf://owner/name/a@{COMMIT}": LockedFile(OTHER, 1, SHA)}),
            [("model hf://owner/name/a", "changed", f"revision {COMMIT} in the manifest, {OTHER} in the lock")],
        ),
        (
            WHEEL,
            Lock(git={f"https://git.example/k#{COMMIT}": COMMIT}),
            [("wheel https://f.example/k.whl", "pending", "of k, is not in the lock")],
        ),
    ],
)
def test_drift(tmp_path: Path, body: str, lock: Lock, expected: list[tuple[str, str, str]]) -> None:
    (tmp_path / "probe.py").touch()
    loaded = manifest(tmp_path, body)
    lock = replace(lock, checksum=loaded.checksum, base=lock.base if lock.base.reference else LockedBase(BASE))
    found = drift(lock, loaded)
    assert [(d.name, d.kind, d.detail) for d in found] == expected
    assert {d.repair for d in found} <= {f"./buildkit.py lock {loaded.path}"}


def test_no_lock_is_one_thing_to_do(tmp_path: Path) -> None:
    (found,) = drift(Lock(), manifest(tmp_path, GIT))
    assert str(found) == f"pending lock: case has none yet; run `./buildkit.py lock {tmp_path}/case.yaml`"


def test_the_repair_names_the_manifest_as_it_was_asked_for(tmp_path: Path) -> None:
    odd = tmp_path / "with space"
    odd.mkdir()
    assert drift(Lock(), manifest(odd))[0].repair == f"./buildkit.py lock '{odd}/case.yaml'"
    assert drift(Lock(), load("demo"))[0].repair == "./buildkit.py lock demo"


def test_any_other_change_of_the_manifest_is_seen(tmp_path: Path) -> None:
    loaded = manifest(tmp_path)
    (found,) = drift(Lock(checksum="0" * 64, base=LockedBase(BASE)), loaded)
    assert (found.name, found.kind) == ("manifest", "changed")
    assert found.detail == "case.yaml: not as it was when the lock was made"


def test_a_change_of_a_parent_is_seen(tmp_path: Path) -> None:
    parent = tmp_path / "_parent.yaml"
    parent.write_text("manifest: 1\nname: parent\nimage: {base: 'debian:13'}\n")
    lock = Lock(manifest(tmp_path, "extends: _parent.yaml").checksum, LockedBase(BASE))
    assert drift(lock, manifest(tmp_path, "extends: _parent.yaml")) == []
    parent.write_text(parent.read_text() + "title: Parent\n")
    (found,) = drift(lock, manifest(tmp_path, "extends: _parent.yaml"))
    assert found.detail == "_parent.yaml, case.yaml: not as it was when the lock was made"
