"""Containers of an image on this machine: ports, workspace, environment, and what is said when one does not come up."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import docker as docker_sdk
import pytest
from docker.models.containers import Container

from images import containers, running
from images.trouble import Trouble
from manifests import load
from manifests.load import Loaded


@pytest.fixture
def loaded() -> Loaded:
    return load.load("demo")


@pytest.fixture
def idle(docker: docker_sdk.DockerClient, small: str, loaded: Loaded, tmp_path: Path) -> Iterator[Container]:
    """A container of the small image that does nothing, with the demo's ports."""
    name = f"firstlight-test-idle-{secrets.token_hex(3)}"
    container = containers.start(
        loaded,
        small,
        client=docker,
        volume=str(tmp_path / "workspace"),
        env={"COLOUR": "a $b 'c'"},
        name=name,
        extra={"command": ["sleep", "600"]},
    )
    yield container
    container.remove(force=True)


def test_ports_are_on_loopback_and_the_workspace_is_the_folder(
    idle: Container, loaded: Loaded, tmp_path: Path, docker: docker_sdk.DockerClient
) -> None:
    idle.reload()
    bound = idle.attrs["NetworkSettings"]["Ports"]
    assert set(bound) == {f"{port}/tcp" for port in containers.ports(loaded)}
    assert {place[0]["HostIp"] for place in bound.values()} == {"127.0.0.1"}
    idle.exec_run(["sh", "-c", 'printf %s "$COLOUR" > /workspace/colour'])
    assert (tmp_path / "workspace" / "colour").read_text() == "a $b 'c'"


def test_jupyterlab_s_port_comes_first(loaded: Loaded) -> None:
    assert containers.ports(loaded)[0] == loaded.manifest.jupyter.port
    assert loaded.manifest.services["lightbox"].port in containers.ports(loaded)


def test_a_taken_port_is_replaced_by_a_free_one() -> None:
    with socket.socket() as other:
        other.bind((containers.HOST, 0))
        other.listen()
        taken = other.getsockname()[1]
        found = containers.host_port(taken)
        assert found not in (0, taken)


def test_a_second_container_of_the_name_is_explained(
    idle: Container, docker: docker_sdk.DockerClient, small: str, loaded: Loaded, tmp_path: Path
) -> None:
    with pytest.raises(Trouble, match=rf"a container {idle.name} is there already\nhint: `docker rm -f {idle.name}`"):
        containers.start(loaded, small, client=docker, volume=str(tmp_path), name=str(idle.name))


def test_a_container_that_ends_shows_its_last_words(
    docker: docker_sdk.DockerClient, small: str, loaded: Loaded, tmp_path: Path
) -> None:
    name = f"firstlight-test-ends-{secrets.token_hex(3)}"
    ends = {"command": ["sh", "-c", "echo the plan cannot be read; exit 3"]}
    container = containers.start(loaded, small, client=docker, volume=str(tmp_path), name=name, extra=ends)
    try:
        with pytest.raises(Trouble, match=rf"container {name} ended with exit code 3\n  the plan cannot be read"):
            containers.wait_for(container, lambda: False, "JupyterLab answers", 30)
    finally:
        container.remove(force=True)


def test_a_container_that_does_not_answer_in_time_shows_its_log(idle: Container) -> None:
    with pytest.raises(Trouble, match=r"JupyterLab answers not within 0 s\nhint: `docker logs"):
        containers.wait_for(idle, lambda: False, "JupyterLab answers", 0)


def test_an_image_that_is_not_there_is_explained(docker: docker_sdk.DockerClient, loaded: Loaded) -> None:
    with pytest.raises(Trouble, match=r"there is no image demo:none-such\nhint: `./buildkit.py build demo` makes it"):
        containers.start(loaded, "demo:none-such", client=docker, volume="x", name="firstlight-test-none")


def test_an_image_that_a_registry_does_not_have_is_explained(docker: docker_sdk.DockerClient, loaded: Loaded) -> None:
    with pytest.raises(Trouble, match=r"127.0.0.1:9/demo:1 was not pulled\n(.*\n)*hint: check its name"):
        containers.start(loaded, "127.0.0.1:9/demo:1", client=docker, volume="x", name="firstlight-test-none")


def test_gpus_that_docker_cannot_give_are_explained(
    docker: docker_sdk.DockerClient, small: str, loaded: Loaded
) -> None:
    if "nvidia" in docker.info().get("Runtimes", {}):
        assert docker.info()["Runtimes"]["nvidia"]
        return
    name = f"firstlight-test-gpu-{secrets.token_hex(3)}"
    with pytest.raises(Trouble, match="Docker has no access to a GPU here"):
        containers.start(loaded, small, client=docker, volume=name, name=name, gpus=True)
    docker.containers.get(name).remove(force=True)
    docker.volumes.get(name).remove(force=True)


@pytest.mark.parametrize(
    ("pairs", "values"),
    [(["A=1", "B=x=y"], {"A": "1", "B": "x=y"}), (["HERE"], {"HERE": "value"}), (["A="], {"A": ""}), ([], {})],
)
def test_environment(pairs: list[str], values: dict[str, str]) -> None:
    assert running.environment(pairs, {"HERE": "value"}) == values


@pytest.mark.parametrize(
    ("pair", "words"), [("1A=x", "is no variable"), ("a b=x", "is no variable"), ("NOT_HERE", "has no value")]
)
def test_environment_that_is_none(pair: str, words: str) -> None:
    with pytest.raises(Trouble, match=words):
        running.environment([pair], {})


def test_volumes_and_folders(tmp_path: Path) -> None:
    assert containers.mount(None, "demo")["Source"] == "firstlight-demo"
    assert containers.mount("models", "demo")["Type"] == "volume"
    assert containers.mount(f"{tmp_path}/new", "demo")["Type"] == "bind"
    assert (tmp_path / "new").is_dir()
    with pytest.raises(Trouble, match="is no volume's name"):
        containers.mount("a b", "demo")
    (tmp_path / "file").write_text("")
    with pytest.raises(Trouble, match="cannot be the workspace"):
        containers.mount(f"{tmp_path}/file/below", "demo")
