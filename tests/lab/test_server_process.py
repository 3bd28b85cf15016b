"""A Jupyter server as a process of its own: it stops cleanly, and it runs whatever is wrong with us."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.support import ROOT, Place
from tests.ports import free_port
from tests.waiting import until

TOKEN = "a-token"


class Jupyter:
    def __init__(self, port: int, log: Path, process: subprocess.Popen[bytes]):
        self.port, self._log, self.process = port, log, process

    def get(self, path: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", f"/{path}", headers={"Authorization": f"token {TOKEN}"})
        return connection.getresponse()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def answers(self) -> bool:
        try:
            return self.get("api/status").status == 200
        except OSError:
            assert self.process.poll() is None, self.log
            return False


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


@contextmanager
def jupyter(place: Place, *config: str) -> Iterator[Jupyter]:
    """With the extension as its package enables it: by the file that ships in `jupyter-config`."""
    home = place.root / "home"
    enabled = home / "etc" / "jupyter_server_config.d"
    enabled.mkdir(parents=True)
    shipped = ROOT / "lab" / "jupyter-config" / "server-config" / "firstlight_lab.json"
    (enabled / shipped.name).write_bytes(shipped.read_bytes())
    lines = [
        "c = get_config()",
        f"c.IdentityProvider.token = {TOKEN!r}",
        f"c.FirstlightLab.run = {str(place.run)!r}",
        f"c.FirstlightLab.state = {str(place.state)!r}",
        f"c.FirstlightLab.logs = {str(place.logs)!r}",
        *config,
    ]
    (home / "config.py").write_text("\n".join(lines))
    port, log = free_port(), home / "log"
    environ = {
        **os.environ,
        "HOME": str(home),
        "JUPYTER_CONFIG_PATH": str(home / "etc"),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "lab"), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    words = [
        "--allow-root",
        "--no-browser",
        f"--port={port}",
        f"--config={home / 'config.py'}",
        "--ServerApp.ip=127.0.0.1",
    ]
    with log.open("wb") as out:
        argv = [sys.executable, "-m", "jupyter_server", *words, f"--ServerApp.root_dir={home}"]
        process = subprocess.Popen(argv, env=environ, stdout=out, stderr=out)
    server = Jupyter(port, log, process)
    try:
        until(server.answers, within=60, what="Jupyter answers")
        yield server
    finally:
        process.kill()
        process.wait()


def test_it_stops_cleanly_while_clients_listen(place: Place) -> None:
    place.write()
    (place.logs / "init.log").write_text("hello\n")
    with jupyter(place) as server:
        assert json.load(server.get("firstlight/state"))["state"]["title"] == "Test"
        streams = [server.get(f"firstlight/{path}") for path in ("events", "events", "logs/init?follow=1&offset=0")]
        for stream in streams:
            assert stream.readline().startswith(b"event: ")
        server.process.send_signal(signal.SIGTERM)
        for stream in streams:
            stream.read()  # raises when the stream is cut off instead of ended
        assert server.process.wait(20) == 0
        stopping = server.log.partition("received signal 15, stopping")[2]
        assert stopping, server.log
        assert not re.search(r"Traceback|destroyed|never awaited|\bERROR\b|^\[E ", stopping, re.M), server.log


@pytest.mark.parametrize(
    "fault",
    [
        "import firstlight_lab.app as app; app.routes = None",
        "import sys; sys.modules['firstlight_lab'] = None",
    ],
    ids=["handlers", "import"],
)
def test_a_server_starts_without_us_when_we_fail(place: Place, fault: str) -> None:
    with jupyter(place, fault) as server:
        assert server.get("api/contents").status == 200
        assert server.get("firstlight/state").status == 404
        assert "firstlight_lab" in server.log
