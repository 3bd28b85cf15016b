"""Which tests an image has, and what becomes of their result."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from urllib.error import HTTPError

import docker as docker_sdk
import pytest

from images import engine, push, records, testing
from manifests import load, lock
from manifests.load import Loaded
from manifests.trouble import Trouble
from tests.images.registry import Registry

CHILD = """
manifest: 1
name: child
extends: parent.yaml
test: [young]
"""
PARENT = """
manifest: 1
name: parent
image: {base: localhost/none}
test: [old]
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loaded:
    """A manifest with a parent, each with a test beside it; `boot` is one that the small image passes."""
    for name, text in (("child.yaml", CHILD), ("parent.yaml", PARENT)):
        (tmp_path / name).write_text(text)
    for name in ("boot", "old", "young"):
        (tmp_path / f"test_{name}.py").write_text(f"def test_{name}() -> None:\n    pass\n")
    return load.load(str(tmp_path / "child.yaml"))


def test_a_child_has_its_parents_tests_too(child: Loaded) -> None:
    assert [path.name for path in testing.files(child)] == ["test_boot.py", "test_old.py", "test_young.py"]


def test_a_test_that_there_is_not_is_named_with_the_nearest(child: Loaded) -> None:
    wrong = replace(child, manifest=child.manifest.model_copy(update={"test": ["dmeo"]}))
    with pytest.raises(Trouble, match=r"child names a test 'dmeo' that there is not\n.*\nhint: did you mean `demo`\?"):
        testing.files(wrong)
    alone = replace(child, manifest=child.manifest.model_copy(update={"test": ["zzz"]}))
    with pytest.raises(Trouble, match=r"write tests/images/test_zzz.py"):
        testing.files(alone)


def test_passing_opens_the_way_to_the_registry(
    child: Loaded, small: str, registry: Registry, monkeypatch: pytest.MonkeyPatch, docker: docker_sdk.DockerClient
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(registry.login()))
    assert not testing.passed(child, small)
    assert testing.run_test(child, image=small) == 0
    assert testing.passed(child, small)
    assert records.tested(docker.images.get(small).attrs) is not None
    assert push.push(child, small, f"{registry.host}/tested").digest


def test_an_image_s_tests_need_no_more_than_a_docker_that_answers(
    child: Loaded, small: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = "def test_boot(docker: object, built: object, hub: object) -> None:\n    assert docker.ping()\n"
    (child.path.parent / "test_boot.py").write_text(text)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("docker", "bash", "env", "python3"):
        (programs / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(programs))
    assert testing.run_test(child, image=small) == 0


def test_failing_closes_it_again(child: Loaded, small: str, docker: docker_sdk.DockerClient) -> None:
    records.remember(docker.images.get(small).attrs, small, [])
    (child.path.parent / "test_young.py").write_text("def test_young() -> None:\n    assert False\n")
    assert testing.run_test(child, image=small) == 1
    assert not testing.passed(child, small)


@pytest.mark.timeout(600)
def test_build_and_push_pushes_only_what_passes(
    child: Loaded, base: str, registry: Registry, monkeypatch: pytest.MonkeyPatch, docker: docker_sdk.DockerClient
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(registry.login()))
    test, target = child.path.parent / "test_young.py", f"{registry.host}/build"

    def build() -> int:
        return engine.run_build(child, lock.Lock(), base=base, push=True, registry=target, tag="try", sbom=False)

    try:
        test.write_text("def test_young() -> None:\n    assert False\n")
        assert build() == 1
        with pytest.raises(HTTPError, match="404"):
            registry.manifest_digest("build/child:try")
        test.write_text("def test_young() -> None:\n    pass\n")
        assert build() == 0
        assert registry.manifest_digest("build/child:try") == docker.images.get("child:try").id
    finally:
        for tag in ("child:try", "child:dev"):
            docker.images.remove(tag, force=True)


def test_no_test_at_all_is_no_pass(child: Loaded, small: str) -> None:
    for file in child.path.parent.glob("test_*.py"):
        file.write_text("")
    assert testing.run_test(child, image=small) == 1


def test_an_image_that_is_not_there_is_explained(child: Loaded, capsys: pytest.CaptureFixture[str]) -> None:
    assert testing.run_test(child) == 1
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "error: there is no image child:dev",
        f"hint: `./buildkit.py build {child.path}` makes it",
    ]
