"""Services under a real supervisord."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from init.plan import ReadySpec
from init.programs import Programs
from init.readiness import probe
from tests.ports import free_port
from tests.runner.support import House, command, service, supervised, web
from tests.waiting import until

SERVER = """
import http.server, os, pathlib, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        busy = pathlib.Path("busy").exists()
        if busy:
            with open("busy.answers", "a") as answers:
                print(self.path, file=answers)
        self.send_response(503 if busy else 200)
        self.end_headers()
    def log_message(self, *args):
        pass
print("listening with", *sys.argv[2:], flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def server(house: House) -> list[str]:
    (house.workspace / "server.py").write_text(SERVER)
    return [sys.executable, "server.py", "{port}"]


@contextmanager
def answering(house: House, port: int) -> Iterator[None]:
    """The server by itself."""
    words = [str(port) if word == "{port}" else word for word in server(house)]
    with subprocess.Popen(words, cwd=house.workspace) as process:
        try:
            until(lambda: probe(ReadySpec(tcp=True), port, house.workspace).ready, what="its server")
            yield
        finally:
            process.kill()


def restarted(house: House, times: int) -> bool:
    """Whether the app is ready again, in one look."""
    app = house.service("app")
    return (app.restarts, app.state) == (times, "ready")


def pid_of(house: House, name: str) -> int:
    return Programs(Path(house.paths.run, "supervisor.sock")).look(name).pid


def test_a_service_starts_when_its_needs_hold_and_is_looked_after(tmp_path: Path) -> None:
    house = House(tmp_path, [command("slow", "while ! test -e go; do sleep 0.05; done")])
    house.services[:] = [service("app", server(house), "slow", **web(free_port()), open="/ui")]
    house.write()
    with supervised(house, runner=True):
        house.until({"slow": "running", "service:app": "waiting"})
        assert pid_of(house, "app") == 0
        (house.workspace / "go").touch()
        snapshot = house.until_phase("ready")
        app = snapshot.services[0]
        assert app.url == f":{app.port}/ui"
        assert app.started is not None and app.ready_at is not None and app.ready_at >= app.started - 1
        until(lambda: (house.snapshot() or snapshot).eta_s == 0.0)

        first = pid_of(house, "app")
        os.kill(first, signal.SIGKILL)
        until(lambda: restarted(house, 1))
        assert pid_of(house, "app") != first

        runner = pid_of(house, "init")
        second = pid_of(house, "app")
        os.kill(runner, signal.SIGKILL)
        until(lambda: pid_of(house, "init") not in (0, runner))

        def taken_up() -> bool:
            seen = house.snapshot() or snapshot
            return (seen.services[0].state, seen.stages[0].message) == ("ready", "kept from an earlier start")

        until(taken_up)
        assert pid_of(house, "app") == second
        boots = {event["boot"] for event in house.events("boot")}
        assert len(house.events("boot")) == 2 and len(boots) == 1

        assert house.firstlight("retry", "service:app").stdout == "app starts again\n"
        until(lambda: house.service("app").state == "ready" and pid_of(house, "app") not in (0, second))


def test_the_log_of_a_service_that_is_called_as_a_stage_is(tmp_path: Path) -> None:
    house = House(tmp_path, [command("app", "echo of the stage")])
    words = ["sh", "-c", "echo 'ImportError: no module named torch' >&2; exit 1"]
    house.services[:] = [service("app", words, "app", restarts=0)]
    house.write()
    with supervised(house, runner=True):
        house.until({"app": "done", "service:app": "failed"})
        message = house.service("app").message
        assert message.endswith("see `firstlight logs service:app`"), message
        said = house.firstlight("logs", "service:app").stdout
        assert "ImportError" in said and "of the stage" not in said


def test_an_app_that_dies_at_once(tmp_path: Path) -> None:
    house = House(tmp_path)
    words = ["sh", "-c", "test -e fixed && exec sleep 300; echo 'ImportError: no module named torch' >&2; exit 1"]
    house.services[:] = [service("app", words, restarts=1), service("user", ["sleep", "300"], "service:app")]
    house.write()
    with supervised(house, runner=True):
        house.until({"service:app": "failed", "service:user": "failed"})
        house.until_phase("failed")
        app = house.service("app")
        assert "ImportError: no module named torch" in app.message
        assert "`firstlight logs app`" in app.message
        assert (app.consequence, app.repair) == (
            "App is not available; JupyterLab and everything else go on",
            "firstlight retry service:app",
        )
        assert house.service("user").message == "cannot start: service:app failed"
        assert Programs(Path(house.paths.run, "supervisor.sock")).look("app").state in ("STOPPED", "FATAL")
        (house.workspace / "fixed").touch()
        assert house.firstlight("retry", "service:app").returncode == 0
        house.until({"service:app": "ready", "service:user": "ready"})
        house.until_phase("ready")
        assert house.service("app").repair is None


def test_an_app_that_dies_after_a_while_is_not_started_for_ever(tmp_path: Path) -> None:
    house = House(tmp_path)
    # Ready, it counts for supervisor as started well, which would go on without end.
    wait = "until test -e end.$(wc -l < starts); do sleep 0.05; done"
    words = ["sh", "-c", f"echo x >> starts; {wait}; echo 'error: lost the GPU' >&2; exit 1"]
    house.services[:] = [service("app", words, restarts=1)]
    house.write()
    with supervised(house, runner=True):
        house.until({"service:app": "ready"})
        (house.workspace / "end.1").touch()
        until(lambda: restarted(house, 1))
        (house.workspace / "end.2").touch()
        house.until({"service:app": "failed"})
        assert house.service("app").message.startswith(
            "ended 2 times within ten minutes, last with: error: lost the GPU"
        )
        assert Programs(Path(house.paths.run, "supervisor.sock")).look("app").state in ("STOPPED", "EXITED")
    assert len(house.lines("starts")) <= 3


def test_a_ready_service_that_is_busy_for_a_moment_stays_ready(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.services[:] = [service("app", server(house), **web(free_port()))]
    house.write()
    with supervised(house, runner=True):
        house.until({"service:app": "ready"})
        answered = len(house.lines("busy.answers"))
        (house.workspace / "busy").touch()
        until(lambda: len(house.lines("busy.answers")) >= answered + 3, what="three looks at the busy service")
        (house.workspace / "busy").unlink()
        assert [event["state"] for event in house.events("service")] == ["starting", "ready"]


def test_a_service_that_stops_answering_and_comes_back(tmp_path: Path) -> None:
    house = House(tmp_path)
    port = free_port()
    # What answers is there before: the app is given a second.
    house.services[:] = [service("app", ["sleep", "300"], port=1, listen=port, ready=ReadySpec(http="/", within=1.0))]
    house.write()
    (house.workspace / "busy").touch()
    with answering(house, port), supervised(house, runner=True):
        house.until({"service:app": "failed"})
        assert "after 1 s it answers / with status 503" in house.service("app").message
        pid = pid_of(house, "app")
        assert pid
        (house.workspace / "busy").unlink()
        house.until({"service:app": "ready"})
        house.until_phase("ready")
        assert pid_of(house, "app") == pid
        programs = Programs(Path(house.paths.run, "supervisor.sock"))
        programs.stop("app")
        house.until({"service:app": "stopped"})
        assert "firstlight retry service:app" in house.service("app").message
        programs.start("app")
        house.until({"service:app": "ready"})


def test_ready_by_port_and_by_file_and_a_program_that_is_not_there(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.services[:] = [
        service("port", server(house), listen=free_port(), ready=ReadySpec(tcp=True)),
        service("file", ["sh", "-c", "touch there; exec sleep 300"], ready=ReadySpec(file="there")),
        service("lost", ["no-such-program"], restarts=0),
    ]
    house.write()
    with supervised(house, runner=True):
        house.until({"service:port": "ready", "service:file": "ready", "service:lost": "failed"})
        assert "no-such-program" in house.service("lost").message
        house.until_phase("degraded")


def test_a_service_that_supervisor_does_not_know(tmp_path: Path) -> None:
    house = House(tmp_path)
    with supervised(house):
        house.services[:] = [service("app", ["true"])]
        house.write()
        with house.running():
            house.until({"service:app": "failed"})
            assert "supervisor has no such program" in house.service("app").message


def test_without_supervisor_it_waits(tmp_path: Path) -> None:
    house = House(tmp_path, [command("a", "true")], [service("app", ["sleep", "300"])])
    with house.running():
        house.until({"a": "done", "service:app": "starting"})
        assert "supervisor does not answer" in house.service("app").message
        with supervised(house):
            house.until({"service:app": "ready"})
