"""Pushes to a real registry: who may, what is refused, and what arrives."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

import docker as docker_sdk
import pytest

from images import daemon, push, records
from manifests import load
from manifests.trouble import Trouble
from tests.images.registry import Registry

Login = pytest.MonkeyPatch


@pytest.fixture
def passed(small: str, docker: docker_sdk.DockerClient) -> str:
    """The small image, as one that has passed its tests."""
    records.remember(docker.images.get(small).attrs, small, ["boot"])
    return small


def sent(image: str, registry: str) -> tuple[push.Pushed, str]:
    out = io.StringIO()
    client = daemon.connect()
    return push.push(load.load("demo"), image, registry, client=client, out=out), out.getvalue()


def test_what_arrives_is_what_was_built(
    passed: str, registry: Registry, docker: docker_sdk.DockerClient, monkeypatch: Login
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(registry.login()))
    pushed, said = sent(passed, f"{registry.host}/fl")
    assert pushed.reference == f"{registry.host}/fl/firstlight-small:1"
    assert pushed.digest == registry.manifest_digest("fl/firstlight-small:1") == docker.images.get(passed).id
    assert said.splitlines()[-1].startswith(f"pushed {pushed.reference}@{pushed.digest} in ")


def test_an_untested_image_stays_here(small: str, registry: Registry, monkeypatch: Login) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(registry.login()))
    with pytest.raises(Trouble) as caught:
        sent(small, f"{registry.host}/never")
    assert str(caught.value) == (
        "error: firstlight-small:1 was not pushed: it has not passed its tests\n"
        "hint: `./buildkit.py test demo --image firstlight-small:1`, then push again"
    )


def test_an_image_that_failed_its_tests_is_untested_again(
    passed: str, registry: Registry, docker: docker_sdk.DockerClient, monkeypatch: Login
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(registry.login()))
    records.forget(docker.images.get(passed).attrs)
    with pytest.raises(Trouble, match="has not passed its tests"):
        sent(passed, registry.host)


def test_a_tag_that_someone_else_moves_meanwhile_is_noticed(
    passed: str, base: str, registry: Registry, docker: docker_sdk.DockerClient, monkeypatch: Login
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(registry.login()))
    follow, reference = push.follow, f"{registry.host}/race/firstlight-small:1"

    def slow(stream: Iterable[dict[str, Any]], out: TextIO) -> push.Transfer:
        transfer = follow(stream, out)
        docker.images.get(base).tag(reference)
        for item in docker.api.push(reference, stream=True, decode=True):
            assert "error" not in item
        return transfer

    monkeypatch.setattr(push, "follow", slow)
    with pytest.raises(
        Trouble, match=r"is not what was pushed\n  the registry has sha256:.*\nhint: someone else pushes"
    ):
        sent(passed, f"{registry.host}/race")


@pytest.mark.parametrize("password", ["wrong", None])
def test_a_wrong_or_missing_login_is_explained(
    passed: str, registry: Registry, monkeypatch: Login, tmp_path: Path, password: str | None
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(registry.login(password) if password else tmp_path))
    with pytest.raises(Trouble, match=r"hint: the registry refuses this login: `docker login HOST`"):
        sent(passed, f"{registry.host}/other")


def test_a_registry_that_is_not_there_is_explained(passed: str) -> None:
    with pytest.raises(Trouble, match="hint: the registry does not answer"):
        sent(passed, "127.0.0.1:9/fl")


def test_an_image_that_does_not_exist_is_explained(registry: Registry) -> None:
    with pytest.raises(Trouble, match=r"there is no image firstlight-none:1\nhint: `./buildkit.py build demo`"):
        sent("firstlight-none:1", registry.host)
    with pytest.raises(
        Trouble, match=r"there is no image demo:of-mine\nhint: `./buildkit.py build demo --tag of-mine`"
    ):
        sent("demo:of-mine", registry.host)


@pytest.mark.parametrize("registry_name", ["https://ghcr.io/me", "Ghcr.io/Me", "ghcr.io/me:1 x", ""])
def test_a_registry_is_a_host_and_a_path(registry_name: str) -> None:
    with pytest.raises(Trouble, match="is no registry"):
        push.target("demo:1", registry_name)


def test_latest_is_never_pushed() -> None:
    with pytest.raises(Trouble, match="says nothing about its content"):
        push.target("demo:latest", "ghcr.io/me")


def test_progress_counts_every_layer_once() -> None:
    transfer = push.Transfer()
    for item in (
        {"id": "a", "status": "Preparing"},
        {"id": "a", "status": "Pushing", "progressDetail": {"current": 70, "total": 60}},
        {"id": "b", "status": "Pushing", "progressDetail": {"current": 10, "total": 40}},
        {"id": "b", "status": "Pushed", "progressDetail": {}},
        {"status": f"1: digest: sha256:{'ab' * 32} size: 855"},
    ):
        transfer.take(item)
    assert (transfer.done, transfer.total, transfer.digest) == (100, 100, f"sha256:{'ab' * 32}")


def test_an_error_in_the_stream_is_an_error() -> None:
    with pytest.raises(Trouble, match="no space left"):
        push.follow([{"status": "Preparing"}, {"error": "write: no space left on device"}], io.StringIO())


def test_a_record_is_of_the_content_not_of_the_name(small: str, docker: docker_sdk.DockerClient) -> None:
    attributes = docker.images.get(small).attrs
    records.remember(attributes, small, ["boot"])
    assert records.tested(docker.images.get("firstlight-small:dev").attrs) is not None
    changed = attributes | {"Config": attributes["Config"] | {"Cmd": ["sh"]}}
    assert records.tested(changed) is None
    layers = attributes["RootFS"] | {"Layers": [*attributes["RootFS"]["Layers"][:-1], f"sha256:{'0' * 64}"]}
    assert records.tested(attributes | {"RootFS": layers}) is None
    assert records.tested(attributes | {"Architecture": "riscv64"}) is None
