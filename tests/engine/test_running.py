"""Containers of an image on this machine: ports, workspace, environment, and what is said when one does not come up."""

from __future__ import annotations

import re
import secrets
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker as docker_sdk
import pytest
from docker.models.containers import Container

from images import containers, daemon, ground, hostports, variables
from manifests import expand, load
from manifests.load import Loaded
from manifests.trouble import Trouble
from tests.ports import free_port
from tests.waiting import until


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
    )
    yield container
    container.remove(force=True)


def test_ports_are_on_loopback_and_the_workspace_is_the_folder(
    idle: Container, loaded: Loaded, tmp_path: Path, docker: docker_sdk.DockerClient
) -> None:
    idle.reload()
    bound = idle.attrs["NetworkSettings"]["Ports"]
    assert set(bound) == {f"{port}/tcp" for port in expand.ports(loaded.manifest)}
    assert {place[0]["HostIp"] for place in bound.values()} == {"127.0.0.1"}
    idle.exec_run(["sh", "-c", 'printf %s "$COLOUR" > /workspace/colour'])
    assert (tmp_path / "workspace" / "colour").read_text() == "a $b 'c'"


def test_a_certificate_authority_of_this_machine_is_trusted_inside(
    docker: docker_sdk.DockerClient, small: str, loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("our own\n")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    name, show = f"firstlight-test-ca-{secrets.token_hex(3)}", 'cat "$SSL_CERT_FILE" "$REQUESTS_CA_BUNDLE"; sleep 600'
    container = containers.start(loaded, small, client=docker, volume=str(tmp_path), name=name, env={"DO": show})
    try:
        until(lambda: containers.log_tail(container) == "our own\nour own\n", within=30)
        assert containers.inside(container, "sh", "-c", "echo x >>$SSL_CERT_FILE")[0] != 0, "it is not for writing"
    finally:
        container.remove(force=True)


def test_jupyterlab_s_port_comes_first(loaded: Loaded) -> None:
    assert expand.ports(loaded.manifest)[0] == loaded.manifest.jupyter.port
    assert loaded.manifest.services["lightbox"].port in expand.ports(loaded.manifest)


def test_a_taken_port_is_replaced_by_a_free_one() -> None:
    with socket.socket() as other:
        other.bind((containers.HOST, 0))
        other.listen()
        taken = other.getsockname()[1]
        with hostports.choose([taken]) as chosen:
            assert chosen[taken] not in (0, taken)
        with pytest.raises(Trouble) as asked, hostports.choose([taken - 1], offset=1):
            pass
        assert str(asked.value) == (
            f"error: port {taken} is taken on this machine\n"
            "hint: give another --port-offset, or none: then a port that is taken gets another one"
        )


def test_a_port_beyond_the_last_one() -> None:
    for offset, port in ((60_000, 68_888), (-8888, 0)):
        said = rf"--port-offset {offset} makes {port} of port 8888\nhint: ports go from 1 to"
        with pytest.raises(Trouble, match=said), hostports.choose([8888], offset=offset):
            pass


def test_a_port_that_an_instance_on_this_machine_will_take_goes_to_nobody_else(tmp_path: Path) -> None:
    """Its app starts long after the port was chosen."""
    with ground.claim(tmp_path) as place:
        port = place.port(free_port())
        with hostports.choose([port]) as chosen:
            assert chosen[port] != port
            assert place.port(chosen[port]) != chosen[port], "nor the one that a container is about to get"
        with pytest.raises(Trouble, match=f"port {port} is taken"), hostports.choose([port], offset=0):
            pass
    with hostports.choose([port]) as chosen:
        assert chosen == {port: port}


def at_once(
    count: int, image: str, loaded: Loaded, volume: Path, **options: Any
) -> tuple[list[dict[str, Any]], list[Trouble]]:
    """The ports of containers that were all started at the same moment, and what was said of those that were not."""
    gate, name = threading.Barrier(count), f"firstlight-test-race-{secrets.token_hex(3)}"

    def one(number: int) -> dict[str, Any] | Trouble:
        client = daemon.connect()
        gate.wait()
        try:
            started = containers.start(
                loaded, image, client=client, volume=str(volume), name=f"{name}-{number}", **options
            )
        except Trouble as trouble:
            return trouble
        started.reload()
        return dict(started.attrs["NetworkSettings"]["Ports"])

    client = daemon.connect()
    try:
        with ThreadPoolExecutor(count) as pool:
            ends = list(pool.map(one, range(count)))
        there = client.containers.list(all=True, filters={"name": name})
        assert len(there) == len([end for end in ends if isinstance(end, dict)]), "what failed leaves nothing behind"
    finally:
        for container in client.containers.list(all=True, filters={"name": name}):
            container.remove(force=True)
    return [e for e in ends if isinstance(e, dict)], [e for e in ends if isinstance(e, Trouble)]


def test_containers_that_start_at_the_same_moment_all_get_ports(small: str, loaded: Loaded, tmp_path: Path) -> None:
    bound, troubles = at_once(4, small, loaded, tmp_path)
    assert troubles == []
    assert all(set(ports) == {f"{port}/tcp" for port in expand.ports(loaded.manifest)} for ports in bound)
    every = [place[0]["HostPort"] for ports in bound for place in ports.values()]
    assert len(set(every)) == len(every) == 4 * len(expand.ports(loaded.manifest))


def test_of_two_that_ask_for_the_same_ports_one_is_told(small: str, loaded: Loaded, tmp_path: Path) -> None:
    offset = free_port() - expand.ports(loaded.manifest)[0]
    (bound,), (trouble,) = at_once(2, small, loaded, tmp_path, port_offset=offset)
    assert {int(inside.partition("/")[0]): int(place[0]["HostPort"]) for inside, place in bound.items()} == {
        port: port + offset for port in expand.ports(loaded.manifest)
    }
    assert re.match(
        r"error: port \d+ is taken on this machine\nhint: give another --port-offset, or none", str(trouble)
    )


def test_a_container_is_told_which_of_its_ports_have_another_number_here(
    docker: docker_sdk.DockerClient, small: str, loaded: Loaded, tmp_path: Path
) -> None:
    offset = free_port() - expand.ports(loaded.manifest)[0]
    name = f"firstlight-test-moved-{secrets.token_hex(3)}"
    container = containers.start(loaded, small, client=docker, volume=str(tmp_path), name=name, port_offset=offset)
    try:
        _, said = containers.inside(container, "env")
        told = dict(line.split("=", 1) for line in said.splitlines() if line.startswith("VAST_TCP_PORT_"))
        assert told == {f"VAST_TCP_PORT_{port}": str(port + offset) for port in expand.ports(loaded.manifest)}
    finally:
        container.remove(force=True)


def test_what_docker_says_of_a_port_that_was_lost() -> None:
    said = "driver failed …: Bind for 127.0.0.1:8888 failed: port is already allocated"
    assert hostports.lost(said, [8888, 1111]) == {8888}
    assert hostports.lost("listen tcp4 127.0.0.1:1111: bind: address already in use", [8888, 1111]) == {1111}
    assert hostports.lost("port is already allocated", [8888, 1111]) == {8888, 1111}
    assert hostports.lost("no such image", [8888]) == set()


def test_a_second_container_of_the_name_is_explained(
    idle: Container, docker: docker_sdk.DockerClient, small: str, loaded: Loaded, tmp_path: Path
) -> None:
    with pytest.raises(Trouble, match=rf"a container {idle.name} is there already\nhint: `docker rm -f {idle.name}`"):
        containers.start(loaded, small, client=docker, volume=str(tmp_path), name=str(idle.name))


def test_a_container_that_ends_shows_its_last_words(
    docker: docker_sdk.DockerClient, small: str, loaded: Loaded, tmp_path: Path
) -> None:
    name = f"firstlight-test-ends-{secrets.token_hex(3)}"
    ends = {"DO": "echo the plan cannot be read; exit 3"}
    container = containers.start(loaded, small, client=docker, volume=str(tmp_path), name=name, env=ends)
    try:
        with pytest.raises(Trouble, match=rf"container {name} ended with exit code 3\n  the plan cannot be read"):
            containers.wait_for(container, lambda: False, "JupyterLab answers", 30)
    finally:
        container.remove(force=True)


def test_a_container_that_does_not_answer_in_time_shows_its_log(idle: Container) -> None:
    with pytest.raises(Trouble, match=r"JupyterLab answers not within 0 s\nhint: `docker logs"):
        containers.wait_for(idle, lambda: False, "JupyterLab answers", 0)


def test_an_image_that_is_not_there_is_explained(docker: docker_sdk.DockerClient, loaded: Loaded) -> None:
    with pytest.raises(Trouble, match=r"there is no image demo:none-such\nhint: `./buildkit.py build demo --tag none"):
        containers.start(loaded, "demo:none-such", client=docker, volume="x", name="firstlight-test-none")


@pytest.mark.parametrize("image", ["bad ref", "Demo:1", "demo:a b", "127.0.0.1:9/Demo:1"])
def test_a_name_that_no_image_can_have_is_explained(
    docker: docker_sdk.DockerClient, loaded: Loaded, image: str
) -> None:
    with pytest.raises(Trouble, match=rf"'{image}' cannot be an image's name\n  invalid ref.*\nhint: write NAME:TAG"):
        containers.start(loaded, image, client=docker, volume="x", name="firstlight-test-none")


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
    docker.volumes.get(name).remove(force=True)


@pytest.mark.parametrize(
    ("pairs", "values"),
    [(["A=1", "B=x=y"], {"A": "1", "B": "x=y"}), (["HERE"], {"HERE": "value"}), (["A="], {"A": ""}), ([], {})],
)
def test_environment(pairs: list[str], values: dict[str, str]) -> None:
    assert variables.given(pairs, {"HERE": "value"}) == values


@pytest.mark.parametrize(
    ("pair", "words"), [("1A=x", "is no variable"), ("a b=x", "is no variable"), ("NOT_HERE", "has no value")]
)
def test_environment_that_is_none(pair: str, words: str) -> None:
    with pytest.raises(Trouble, match=words):
        variables.given([pair], {})


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
