"""The gate of every image's tests: a boot log that warns or reports an error is not passed over."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import docker as docker_sdk
import pytest
from docker.models.containers import Container

from images import containers
from manifests import load
from tests.images.machine import Machine
from tests.waiting import until

Says = Callable[[str, str, str], Machine]


@pytest.fixture
def says(docker: docker_sdk.DockerClient, small: str, tmp_path: Path) -> Iterator[Says]:
    """A container that prints `out`, and leaves `text` in the log `name` of a program."""
    running: list[Container] = []

    def start(out: str, name: str, text: str) -> Machine:
        script = 'mkdir -p /var/log/supervisor; printf "%s\\n" "$TEXT" >"/var/log/supervisor/$NAME"'
        script += '; printf "%s\\n" "$OUT" end; exec sleep 600'
        loaded = load.load("demo")
        container = containers.start(
            loaded,
            small,
            client=docker,
            volume=str(tmp_path / "workspace"),
            env={"OUT": out, "NAME": name, "TEXT": text, "DO": script},
            name=f"firstlight-test-says-{secrets.token_hex(3)}",
        )
        running.append(container)
        machine = Machine(container, loaded, small)
        until(lambda: machine.said().endswith("end\n"), within=30)
        return machine

    yield start
    for container in running:
        container.remove(force=True)


@pytest.mark.parametrize(
    "line",
    [
        "[W 2026-01-01 00:00:00 ServerApp] WARNING: a",
        "2026-01-01 00:00:00,000 WARN a",
        '{"level":"error","msg":"a"}',
        "Error: a",
        "[C 2026-01-01 LabApp] CRITICAL a",
        "fatal: a",
        "[W 2026-01-01 00:00:00.123 ServerApp] a",
        "[E 2026-01-01 00:00:00.123 LabApp] a",
        "[C 00:00:00.123 NotebookApp] a",
        "Traceback (most recent call last):",
    ],
)
def test_a_line_that_complains_is_found(line: str) -> None:
    machine = Machine(Container(), load.load("demo"), "")
    assert machine.complaints(logs={"init.log": f"fine\n{line}"}) == [f"init.log: {line}"]


def test_all_that_is_said_at_first_is_read_and_nothing_else_complains(says: Says) -> None:
    machine = says("WARNING one\nfine, no errors forewarned", "jupyterlab.log", "ERROR two\nINFO fine")
    assert machine.complaints([]) == ["docker logs: WARNING one", "jupyterlab.log: ERROR two"]
    assert machine.complaints(["^ERROR two$"]) == ["docker logs: WARNING one"]


def test_each_of_the_first_programs_is_listened_to(says: Says) -> None:
    machine = says("fine", "supervisord.log", "ERROR a")
    names = ["supervisord.log", "jupyterlab.log", "portal.log", "init.log"]
    for name in names:
        machine.run("cp", "-n", "/var/log/supervisor/supervisord.log", f"/var/log/supervisor/{name}")
    assert sorted(machine.complaints([])) == sorted(f"{name}: ERROR a" for name in names)


def test_what_warns_in_every_image_is_expected(says: Says) -> None:
    line = "2026-01-01 00:00:00,000 CRIT Server 'unix_http_server' running without any HTTP authentication checking"
    assert says(line, "supervisord.log", line).complaints() == []


def test_what_is_said_later_is_read_at_the_end(says: Says) -> None:
    machine = says("fine", "init.log", "[I 2026-01-01 00:00:00.123 ServerApp] [W] is no level")
    assert machine.complaints() == []
    machine.run("sh", "-c", "echo ERROR late >>/var/log/supervisor/init.log")
    assert machine.complaints() == []
    assert machine.complaints(logs=machine.first_logs()) == ["init.log: ERROR late"]


def test_an_app_may_complain(says: Says) -> None:
    assert says("fine", "lightbox.log", "ERROR a").complaints([]) == []
