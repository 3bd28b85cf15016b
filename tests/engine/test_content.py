"""The tag of an image names its content, here and in a registry; made twice it is the same where the builder can."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker as docker_sdk
import pytest

from images import buildx, content, context, daemon, engine, push, records
from manifests import load, lock
from manifests.load import Loaded
from manifests.trouble import Trouble
from tests.images.registry import Registry
from tests.waiting import until

MADE = """
manifest: 1
name: made
image: {base: "localhost/one:1"}
python: {envs: {app: {packages: [numpy]}}}
sources: {tool: {path: tool}}
"""


def test_whatever_goes_into_an_image_changes_its_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made.yaml").write_text(MADE)
    (tmp_path / "tool").mkdir()
    shipped = tmp_path / "tool" / "run.py"
    shipped.write_text("one\n")
    runner = tmp_path / "init"
    # Who runs it meanwhile compiles it.
    shutil.copytree(context.RUNNER, runner, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(context, "RUNNER", runner)

    def checksum(arguments: dict[str, str] | None = None, at: str | None = None, base: str | None = None) -> str:
        loaded = engine.with_at(load.load(str(tmp_path / "made.yaml")), at)
        with tempfile.TemporaryDirectory(dir=tmp_path) as place:
            files = context.make(loaded, Path(place), lock.read(loaded), base)
            (Path(place) / "of-somebody-else").write_text(place)
            return content.checksum(Path(place), files, arguments or {})

    first = checksum()
    assert checksum() == first
    found = [first, checksum(at="build"), checksum(base="localhost/other:1"), checksum({"REVISION": "abc"})]
    shipped.write_text("two\n")
    found.append(checksum())
    shipped.chmod(0o755)
    found.append(checksum())
    (runner / "more.py").write_text("")
    found.append(checksum())
    assert len(set(found)) == len(found)


def last_layer(archive: Path) -> str:
    """Digest of the last layer of an image in a file."""
    with tarfile.open(archive) as file:
        index = file.extractfile("manifest.json")
        assert index is not None
        return str(json.load(index)[0]["Layers"][-1])


def test_what_is_built_twice_is_one_layer_where_the_builder_dates_files(
    docker: docker_sdk.DockerClient, base: str, tmp_path: Path
) -> None:
    # Docker's own builder does for an archive what other builders do for an image.
    extras, _ = buildx.extras(daemon.Builder((0, 13), "docker-container", True), "try", None, sbom=False)
    place = tmp_path / "context"
    place.mkdir()
    (place / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nRUN mkdir /x && date +%Y > /x/y\n")
    arguments = {"BASE": base, **engine.build_arguments("")}
    metadata = tmp_path / "metadata.json"
    argv = buildx.command(place, ["firstlight-try:2"], extras, metadata=metadata, arguments=arguments, load=True)
    dates = next(word for word in argv if word.startswith("--output="))
    found: dict[str, list[str]] = {dates: [], "--output=type=docker": []}
    for output, number in itertools.product(found, (1, 2)):
        archive = tmp_path / f"{len(output)}-{number}.tar"
        second = int(time.time())
        until(lambda second=second: int(time.time()) != second, what="another time that files could have")  # type: ignore[misc]
        changed = [f"{output},dest={archive}" if word == dates else word for word in argv]
        subprocess.run([*changed[:-1], "--no-cache", changed[-1]], check=True, capture_output=True)
        found[output].append(last_layer(archive))
    assert found[dates][0] == found[dates][1]
    assert found["--output=type=docker"][0] != found["--output=type=docker"][1]


@pytest.fixture
def made(docker: docker_sdk.DockerClient, base: str, tmp_path: Path) -> Iterator[Callable[[str, str], str]]:
    """Builds an image `firstlight-made:dev` that holds a text and bears a checksum, as one that has passed."""
    name = "firstlight-made"

    def build(text: str, checksum: str) -> str:
        (tmp_path / "Dockerfile").write_text(f"ARG BASE\nFROM ${{BASE}}\nRUN echo {text} >/text\n")
        names, labels = engine.tags(name, checksum or "none"), {content.LABEL: checksum} if checksum else {}
        buildx.build(tmp_path, names, buildx.Extras(), arguments={"BASE": base}, labels=labels)
        records.remember(docker.images.get(names[0]).attrs, names[0], [])
        return names[0]

    yield build
    for image in docker.images.list(name):
        docker.images.remove(str(image.id), force=True)


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    (tmp_path / "firstlight-made.yaml").write_text(MADE.replace("name: made", "name: firstlight-made"))
    (tmp_path / "tool").mkdir()
    return load.load(str(tmp_path / "firstlight-made.yaml"))


def test_without_a_tag_what_was_built_last_is_pushed_under_its_content_s(
    made: Callable[[str, str], str],
    loaded: Loaded,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(registry.login()))
    assert made("one", "1" * 64) == "firstlight-made:111111111111"
    made("two", "2" * 64)
    assert push.run_push(loaded, registry=f"{registry.host}/last") == 0
    assert f"pushed {registry.host}/last/firstlight-made:222222222222@sha256:" in capsys.readouterr().out

    made("three", "")
    assert push.run_push(loaded, registry=f"{registry.host}/last") == 1
    assert capsys.readouterr().err == (
        "error: firstlight-made:dev does not say what it was made of\n"
        "  it has no label io.firstlight.content\n"
        f"hint: `./buildkit.py build {loaded.path}`, or push another one with --tag\n"
    )


def test_a_registry_that_cannot_be_asked_is_pushed_nothing(
    made: Callable[[str, str], str], loaded: Loaded, registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tag = made("one", "4" * 64)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for target, remedy in (
        ("127.0.0.1:9/none", "the registry does not answer: check REGISTRY and the network"),
        (
            f"{registry.host}/none",
            "the registry refuses this login: `docker login HOST` with a user who may push there",
        ),
    ):
        with pytest.raises(Trouble) as caught:
            push.push(loaded, tag, target)
        assert caught.value.what == "the image was not pushed" and caught.value.remedy.startswith(remedy)
    monkeypatch.setenv("DOCKER_CONFIG", str(registry.login()))
    assert content.held(f"{registry.host}/none/{tag}") is None


def test_another_image_under_the_same_name_is_not_replaced(
    made: Callable[[str, str], str], loaded: Loaded, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(registry.login()))
    target, checksum = f"{registry.host}/twice", "3" * 64
    first = push.push(loaded, made("one", checksum), target)
    assert push.push(loaded, made("one", checksum), target).reference == first.reference

    # Packages of another day, or another image behind the base's name: the same checksum, other layers.
    other = made("other", checksum)
    with pytest.raises(Trouble) as caught:
        push.push(loaded, other, target)
    assert str(caught.value).startswith(
        f"error: {first.reference} was not pushed: the registry has another image of this name\n"
    )
    assert "--tag TAG`" in caught.value.remedy
    held = content.held(first.reference)
    made("one", checksum)
    assert held == content.of(daemon.connect().images.get(other).attrs)
