"""micromamba in the lock: the SHA-256 that its authors publish beside it, and no image without."""

from __future__ import annotations

from pathlib import Path

import pytest

from images import engine, specs
from images.planning import plan
from init.specs import PythonSpec
from manifests import expand, load
from manifests import lock as locks
from manifests.ancestry import filled
from manifests.cuda import release
from manifests.drift import drift, unknown
from manifests.lock import Lock, LockedFile
from manifests.problems import Refused
from manifests.resolution import update
from tests.manifests.lock_cases import manifest
from tests.origin import Bytes, Origin

SHA = "a" * 64
CONDA = "{channels: [conda-forge], packages: [cudnn]}"
BODY = f"python: {{envs: {{app: {{conda: {CONDA}}}, two: {{conda: {CONDA}}}, plain: {{}}}}}}\n"


@pytest.fixture
def url(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of micromamba, on the test's own server."""
    monkeypatch.setattr(expand, "MICROMAMBA", f"{origin.url}/releases")
    return f"{origin.url}/releases/2.8.1-0/micromamba-linux-64"


def publish(origin: Origin, text: str) -> None:
    origin.plain("releases/2.8.1-0/micromamba-linux-64.sha256", Bytes(text.encode()))


def test_it_is_looked_up_once_and_then_known(origin: Origin, url: str, tmp_path: Path) -> None:
    publish(origin, SHA)
    loaded = manifest(tmp_path, BODY)
    assert locks.wanted(loaded).programs[url].names == ("app", "two")
    found = update(loaded).lock
    assert found.programs == {url: LockedFile(sha256=SHA)}
    assert f"program {url}" not in unknown(found, locks.wanted(loaded))
    locks.write(found, loaded)
    assert locks.read(loaded) == found and [d for d in drift(found, loaded) if d.name.startswith("program")] == []
    stage = plan(loaded, found).stage("app").spec
    assert isinstance(stage, PythonSpec) and stage.conda is not None
    assert (stage.conda.url, stage.conda.sha256) == (url, SHA)
    assert specs.Specs(loaded.manifest, found, {}).python("plain").conda is None


@pytest.mark.parametrize("text", [None, "<html>not today</html>", ""])
def test_what_is_no_hash_stays_unknown(origin: Origin, url: str, tmp_path: Path, text: str | None) -> None:
    if text is not None:
        publish(origin, text)
    result = update(manifest(tmp_path, BODY))
    assert result.lock.programs == {url: LockedFile()}
    reason = next(u.reason for u in result.unresolved if u.item == f"program {url}")
    assert "does not answer with a SHA-256" in reason if text is not None else "there is no such file" in reason


def test_another_release_is_another_program(tmp_path: Path) -> None:
    old = expand.micromamba(manifest(tmp_path, BODY).manifest.python.envs["app"].conda or pytest.fail())
    newer = CONDA.replace("}", ", micromamba: 2.9.0-0}")
    loaded = manifest(tmp_path, f"python: {{envs: {{app: {{conda: {newer}}}}}}}\n")
    found = [d for d in drift(Lock("x", programs={old: LockedFile(sha256=SHA)}), loaded) if d.name.startswith("prog")]
    assert [(d.kind, "2.8.1-0" in d.name) for d in found] == [("pending", False), ("orphaned", True)]


def test_an_image_is_not_built_with_a_program_that_nobody_pinned(tmp_path: Path) -> None:
    loaded = manifest(tmp_path, BODY)
    with pytest.raises(Refused) as refused:
        engine.build(loaded, Lock())
    text = str(refused.value)
    assert "case.yaml:4:" in text and "does not know the SHA-256 of micromamba 2.8.1-0, which makes `two`" in text
    assert "buildkit.py lock" in text and text.count("error:") == 2


def test_a_lock_without_programs_says_nothing_of_them() -> None:
    assert "programs" not in locks.text(Lock())
    assert filled(Lock(), Lock(programs={"u": LockedFile(sha256=SHA)})).programs == {"u": LockedFile(sha256=SHA)}


def test_ours_is_pinned() -> None:
    known = locks.read(load.load("visomaster-conda")).programs
    assert len(known) == 1 and all(file.sha256 for file in known.values())


@pytest.mark.parametrize(
    ("conda", "expected"),
    [
        ("{channels: [nvidia/label/cuda-12.4.1, conda-forge], packages: [cuda-runtime]}", "12.4"),
        ("{channels: [conda-forge], packages: [cuda-version=12.6]}", "12.6"),
        ("{channels: [conda-forge], packages: ['cuda-runtime 12.9.1', cudnn=9]}", "12.9"),
        ("{channels: [conda-forge], packages: [cudnn=9]}", None),
    ],
)
def test_the_cuda_release_is_learnt_from_channels_too(tmp_path: Path, conda: str, expected: str | None) -> None:
    assert release(manifest(tmp_path, f"python: {{envs: {{app: {{conda: {conda}}}}}}}\n").manifest) == expected
