"""The lock file itself: what it has to know, how it is read and written, what can be known offline."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from manifests import lock as locks
from manifests.drift import unknown
from manifests.lock import Lock, LockedBase, LockedFile
from manifests.problems import Refused
from manifests.resolution import baseline
from tests.manifests.lock_cases import BASE, manifest, sets

COMMIT, OTHER = "c" * 40, "d" * 40
SHA, SHA2 = "a" * 64, "b" * 64
DIGEST = f"sha256:{'e' * 64}"

EVERYTHING = f"""
python: {{envs: {{tools: {{}}}}}}
sources:
  app: {{git: 'https://git.example/app', ref: v1, env: tools}}
  plain: {{git: 'https://git.example/plain', ref: {COMMIT}}}
nodes:
  into: app/nodes
  env: tools
  list:
    - {{git: 'https://git.example/app', ref: v1}}
    - {{git: 'https://git.example/Some-Node.git', ref: main}}
models:
  sets:
    weights:
      hf: owner/name
      under: split
      files: [a.safetensors, {{path: b.safetensors, size: 10, sha256: {SHA}}}]
    again:
      hf: owner/name
      files: [{{path: split/a.safetensors, to: elsewhere/a.safetensors, size: 20}}]
    other:
      files: [{{url: 'https://files.example/c.onnx'}}, {{url: 'civitai://77', to: d.safetensors}}]
"""


def test_everything_that_is_looked_up_is_wanted_once(tmp_path: Path) -> None:
    want = locks.wanted(manifest(tmp_path, EVERYTHING))
    assert want.base == BASE
    assert {key: origin.names for key, origin in want.git.items()} == {
        "https://git.example/app#v1": ("app", "app"),
        f"https://git.example/plain#{COMMIT}": ("plain",),
        "https://git.example/Some-Node.git#main": ("Some-Node",),
    }
    assert {key: (file.size, file.sha256) for key, file in want.models.items()} == {
        "hf://owner/name/split/a.safetensors@main": (20, None),
        "hf://owner/name/split/b.safetensors@main": (10, SHA),
        "https://files.example/c.onnx": (None, None),
        "civitai://77": (None, None),
    }
    assert want.models["hf://owner/name/split/a.safetensors@main"].names == (
        "weights",
        "a.safetensors",
        "again",
        "elsewhere/a.safetensors",
    )


FULL = Lock(
    checksum="1" * 64,
    base=LockedBase(BASE, DIGEST),
    git={"https://git.example/app#v1": COMMIT, "https://git.example/x#é": None},
    models={"hf://o/n/a@main": LockedFile(COMMIT, 12, SHA), "https://f.example/b": LockedFile()},
    wheels={"https://f.example/w.whl": LockedFile(None, 3, SHA2)},
)


def test_a_lock_survives_the_disk(tmp_path: Path) -> None:
    loaded = manifest(tmp_path)
    path = locks.write(FULL, loaded)
    assert path == tmp_path / "case.lock.json"
    assert locks.read(loaded) == FULL
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def test_the_same_lock_is_the_same_bytes_and_is_not_written_again(tmp_path: Path) -> None:
    loaded = manifest(tmp_path)
    path = locks.write(FULL, loaded)
    before = path.stat()
    assert locks.write(replace(FULL, models=dict(reversed(FULL.models.items()))), loaded) == path
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert json.loads(path.read_text())["models"]["https://f.example/b"] == {
        "revision": None,
        "sha256": None,
        "size": None,
    }
    assert path.read_text().endswith("}\n")


def test_a_lock_answers_by_url_and_ref() -> None:
    assert FULL.digest(BASE) == DIGEST
    assert FULL.digest("debian:13") is None
    assert FULL.commit("https://git.example/app", "v1") == COMMIT
    assert FULL.commit("https://git.example/app", "v2") is None
    assert FULL.commit("https://git.example/app", OTHER) == OTHER
    assert FULL.file("hf://o/n/a", "main").size == 12
    assert FULL.file("https://f.example/w.whl").sha256 == SHA2
    assert FULL.file("https://f.example/none") == LockedFile()


def test_the_revision_of_a_lock_changes_with_it() -> None:
    assert FULL.revision == replace(FULL).revision
    assert FULL.revision != replace(FULL, base=LockedBase(BASE, None)).revision


def test_no_lock_is_an_empty_lock(tmp_path: Path) -> None:
    assert locks.read(manifest(tmp_path)) == Lock()


BEYOND = "the lock is damaged: it is nested too deeply, or holds a number that is too long"
AGAIN = "restore case.lock.json from version control, or delete it and run `./buildkit.py lock {path}`"


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("", "1:1", "the lock is not JSON: Expecting value", AGAIN),
        ('{\n "schema": 1,\n}\n', "3:1", "the lock is not JSON: Expecting property name enclosed", AGAIN),
        (
            '{\n "schema": "firstlight.lock/9"\n}\n',
            "2:2",
            "the lock has the schema 'firstlight.lock/9', and this Firstlight reads 'firstlight.lock/1'",
            f"use the Firstlight that wrote it, or {AGAIN}",
        ),
        ("[" * 200_000, "1:1", BEYOND, AGAIN),
        ('{"a":' * 100_000, "1:1", BEYOND, AGAIN),
        (f'{{"schema": "{locks.SCHEMA}", "git": {"9" * 5000}}}', "1:1", BEYOND, AGAIN),
        ("[]", "1:1", "the lock has the schema None", f"use the Firstlight that wrote it, or {AGAIN}"),
        (
            "{\n<<<<<<< ours\n=======\n>>>>>>> theirs\n}\n",
            "2:1",
            "the lock holds an unresolved merge conflict",
            "keep either side as a whole, then run `./buildkit.py lock {path}`",
        ),
        (
            locks.text(FULL).replace(COMMIT, "c0ffee"),
            "8:3",
            "the lock is damaged at git → https://git.example/app#v1: String should match pattern",
            AGAIN,
        ),
        (
            locks.text(FULL).replace('"size": 12', '"size": "12"'),
            "15:4",
            "the lock is damaged at models → hf://o/n/a@main → size: Input should be a valid integer",
            AGAIN,
        ),
        (
            locks.text(FULL).replace('"size": 12', '"size": -1'),
            "15:4",
            "the lock is damaged at models → hf://o/n/a@main → size: Input should be greater than or equal to 0",
            AGAIN,
        ),
        (
            locks.text(FULL).replace(SHA2, "abc"),
            "27:4",
            "the lock is damaged at wheels → https://f.example/w.whl → sha256: String should match pattern",
            AGAIN,
        ),
        (
            locks.text(FULL).replace(DIGEST, "latest"),
            "3:3",
            "the lock is damaged at base → digest: String should match pattern",
            AGAIN,
        ),
        (
            locks.text(FULL).replace('"digest"', '"digets"'),
            "3:3",
            "the lock is damaged at base → digets: Unexpected keyword argument",
            AGAIN,
        ),
    ],
)
def test_a_broken_lock_is_refused_with_its_place(
    tmp_path: Path, text: str, place: str, message: str, hint: str
) -> None:
    loaded = manifest(tmp_path)
    (tmp_path / "case.lock.json").write_text(text)
    with pytest.raises(Refused) as caught:
        locks.read(loaded)
    assert f"case.lock.json:{place}: error: {message}" in str(caught.value)
    assert str(caught.value).endswith(f"  hint: {hint.replace('{path}', str(loaded.path))}")


def test_an_unreadable_lock_is_refused(tmp_path: Path) -> None:
    loaded = manifest(tmp_path)
    (tmp_path / "case.lock.json").mkdir()
    with pytest.raises(Refused, match="the lock cannot be read"):
        locks.read(loaded)


def test_what_the_manifest_states_is_known_without_a_network(tmp_path: Path) -> None:
    loaded = manifest(tmp_path, EVERYTHING)
    lock = baseline(Lock(), loaded)
    assert lock.checksum == loaded.checksum
    assert lock.base == LockedBase(BASE, None)
    assert lock.git == {
        "https://git.example/app#v1": None,
        f"https://git.example/plain#{COMMIT}": COMMIT,
        "https://git.example/Some-Node.git#main": None,
    }
    assert lock.models["hf://owner/name/split/b.safetensors@main"] == LockedFile(None, 10, SHA)
    assert lock.models["civitai://77"] == LockedFile()


KEY = "hf://owner/name/a@main"


@pytest.mark.parametrize(
    ("files", "before", "after"),
    [
        ("a", LockedFile(COMMIT, 5, SHA), LockedFile(COMMIT, 5, SHA)),
        ("a", LockedFile(None, None, SHA), LockedFile(None, None, SHA)),
        ("{path: a, size: 5}", LockedFile(COMMIT, None, SHA), LockedFile(COMMIT, 5, SHA)),
        (f"{{path: a, sha256: {SHA}}}", LockedFile(COMMIT, 5, None), LockedFile(COMMIT, 5, SHA)),
        (f"{{path: a, sha256: {SHA2}}}", LockedFile(COMMIT, 5, SHA), LockedFile(None, None, SHA2)),
        ("{path: a, size: 6}", LockedFile(COMMIT, 5, SHA), LockedFile(None, 6, None)),
    ],
)
def test_a_lock_keeps_what_the_manifest_does_not_contradict(
    tmp_path: Path, files: str, before: LockedFile, after: LockedFile
) -> None:
    loaded = manifest(tmp_path, sets(files))
    assert baseline(Lock(models={KEY: before}), loaded).models == {KEY: after}


@pytest.mark.parametrize(
    ("url", "file", "is_unknown"),
    [
        ("hf://o/n/a", LockedFile(COMMIT, 1, SHA), False),
        ("hf://o/n/a", LockedFile(COMMIT, 1, None), False),
        ("hf://o/n/a", LockedFile(None, 1, SHA), True),
        ("hf://o/n/a", LockedFile(COMMIT, None, SHA), True),
        ("https://f.example/a", LockedFile(None, 1, None), False),
        ("https://f.example/a", LockedFile(None, None, SHA), True),
        ("civitai://1", LockedFile(None, 1, SHA), False),
        ("civitai://1", LockedFile(None, 1, None), True),
    ],
)
def test_unknown_is_what_somebody_could_tell(tmp_path: Path, url: str, file: LockedFile, is_unknown: bool) -> None:
    key = f"{url}@main" if url.startswith("hf") else url
    body = f"models: {{sets: {{s: {{files: [{{url: '{url}', to: a}}]}}}}}}"
    loaded = manifest(tmp_path, body)
    lock = replace(baseline(Lock(), loaded), base=LockedBase(BASE, DIGEST), models={key: file})
    assert unknown(lock, locks.wanted(loaded)) == ({f"model {key}"} if is_unknown else set())
