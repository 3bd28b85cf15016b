"""An image that does not run as root: what is baked, what runs and what is kept belong to its user."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import docker as docker_sdk
import pytest

from init.paths import Paths
from manifests import load
from tests.images.machine import Machine, started

MANIFEST = """\
manifest: 1
name: firstlight-try-user
image: {base: "debian:trixie", user: maker}
python: {envs: {app: {at: build}}}
commands:
  baked: {run: 'id -un >"$FIRSTLIGHT_DISK/baked"', env: app, at: build}
  started: {run: 'id -un >"$FIRSTLIGHT_WORKSPACE/started"', needs: [baked]}
desktop: {}
services:
  box: {command: 'python3 -m http.server --bind 127.0.0.1 {port}', port: 8188, needs: [started]}
"""


@pytest.fixture(scope="module")
def machine(
    built: Callable[[str], str], docker: docker_sdk.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    path = tmp_path_factory.mktemp("user") / "firstlight-try-user.yaml"
    path.write_text(MANIFEST)
    image = built(str(path))
    try:
        with started(docker, load.load(str(path)), image) as running:
            yield running
    finally:
        for tag in docker.images.get(image).tags:
            docker.images.remove(tag, force=True)


def test_the_image_names_its_user(machine: Machine) -> None:
    assert machine.attributes["Config"]["User"] == "maker"


def test_everything_becomes_ready_without_root(machine: Machine) -> None:
    assert machine.settled()["phase"] == "ready", machine.said()
    rows = machine.container.top(ps_args="-eo user:32,pid,args")["Processes"]
    inside = [row.split(None, 3) for row in machine.run("ps", "-eo", "pid=,ppid=,user:32=,args=").splitlines()]
    assert len(rows) >= 5
    # What Docker puts in from outside, as its health checks, has no parent here, and is root's before it is the user's.
    own = [row for row in inside if row[1] != "0" or row[0] == "1"]
    assert {owner for _, _, owner, _ in own} == {"maker"}, own


def test_the_desktop_is_the_user_s(machine: Machine) -> None:
    machine.settled()
    assert "current 1920 x 1080" in machine.run("xrandr")
    answer = machine.get(6080, "/", headers=machine.bearer())
    assert answer.status == 302 and answer.headers["Location"].startswith("vnc.html?")


def test_what_was_baked_and_what_is_kept_belong_to_the_user(machine: Machine) -> None:
    machine.settled()
    disk = Paths().disk
    for place in (f"{disk}/baked", "/workspace/started"):
        file = machine.host.file(place)
        assert (file.user, file.content_string.strip()) == ("maker", "maker"), place
    assert machine.host.file("/workspace/.firstlight/token").user == "maker"
    places, but = [disk, "/workspace", "/var/log/supervisor", "/run/firstlight"], ["-path", Paths().home, "-prune"]
    assert machine.run("find", *places, "-ignore_readdir_race", *but, "-o", "-user", "root", "-print").split() == []
    assert machine.host.file("/opt/firstlight/plan.json").user == "root", "the user cannot rewrite the plan"


def test_who_has_the_token_comes_in(machine: Machine) -> None:
    machine.settled()
    assert machine.get(8888, "/lab", headers=machine.bearer()).status == 200
    assert machine.get(8188, "/").status == 401
    assert machine.get(8188, "/", headers=machine.bearer()).status == 200


def test_an_on_start_script_that_root_runs_becomes_the_user(machine: Machine, docker: docker_sdk.DockerClient) -> None:
    """As on platforms that put a program of their own, which runs as root, in the place of the entrypoint."""
    # Docker's health checks would come and go as root's.
    container = docker.containers.create(
        machine.image, user="root", entrypoint=["sleep", "infinity"], command=[], healthcheck={"test": ["NONE"]}
    )
    other = Machine(container, machine.loaded, machine.image)
    try:
        container.start()
        assert "Firstlight has started." in other.run("entrypoint.sh")
        assert other.settled()["phase"] == "ready", other.said()
        rows = [row.split() for row in other.run("ps", "-eo", "user:32=,args=").splitlines()]
        assert {owner for owner, *words in rows if words[0] not in ("sleep", "ps")} == {"maker"}, rows
        assert other.host.file("/run/firstlight/boot.lock").user == "maker"
        assert "nothing to do" in other.run("entrypoint.sh")
    finally:
        container.remove(force=True)


def test_an_on_start_script_that_a_stranger_runs_says_who_should(machine: Machine) -> None:
    machine.settled()
    code, said = machine.container.exec_run(["entrypoint.sh"], user="4321")
    assert isinstance(said, bytes)
    assert (code, said.decode()) == (
        1,
        "firstlight: /run/firstlight/boot.lock cannot be used by user 4321 (Permission denied)\n"
        "  run it as root, or as the image's own user\n",
    )


def test_a_container_that_takes_no_files_says_what_it_needs(machine: Machine, docker: docker_sdk.DockerClient) -> None:
    container = docker.containers.create(machine.image, user="root", read_only=True, tmpfs={"/run": ""})
    try:
        container.start()
        assert container.wait(timeout=30)["StatusCode"] == 1
        assert container.logs().decode() == (
            "firstlight boot: /var/log/supervisor cannot be written by user 0 (it takes no files)\n"
            "  run the container as its own user, or give user 0 the folders /var/log/supervisor and /run/firstlight,"
            " as a tmpfs where the container is read-only\n"
        )
    finally:
        container.remove(force=True)
