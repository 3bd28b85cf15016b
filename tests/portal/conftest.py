"""The control environment, installed once, and houses that run."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from images import ground
from init import access, boot, health, portalconfig, tls
from init.programs import Programs
from tests.portal import house
from tests.portal.browser import Reply, ask
from tests.portal.house import House
from tests.waiting import until

CLI = """
import sys, time
def main(argv):
    from init import access, boot, health, serve
    if argv[0] == "run":
        time.sleep(1e6)
    return {"boot": boot, "serve": serve, "health": health, "token": access}[argv[0]].main(argv[1:])
"""


@pytest.fixture(scope="session")
def control() -> Path:
    """JupyterLab, supervisor and the runner's packages, below `.cache/`, installed once for all sessions."""
    digest = hashlib.sha256(ground.requirements().encode() + sys.version.encode()).hexdigest()[:16]
    folder = house.REPO / ".cache" / f"control-{digest}"
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / "control.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            ground.install_control(folder, os.environ)
            (folder / ".complete").touch()
    return folder


def stop(process: subprocess.Popen[Any], supervisor: Path | None = None) -> None:
    """End a house's session, whatever is in it."""
    if process.poll() is None:
        process.terminate()
        try:
            until(lambda: process.poll() is not None or (supervisor and boot.poke(supervisor) and None), 20)
        except AssertionError:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


@pytest.fixture
def start_portal(tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Start the portal alone: `start_portal(token, environ=…, **house)`; `bare`: without what opens it; `given`: where
    the platform's certificate is."""
    running: list[subprocess.Popen[bytes]] = []

    def start(
        token: str = "secret",
        environ: dict[str, str] | None = None,
        bare: bool = False,
        given: tuple[Path, Path] = tls.GIVEN,
        **options: Any,
    ) -> House:
        made = house.build(tmp_path / f"house{len(running)}", cli=CLI, **options)
        env = {**os.environ, "JUPYTER_TOKEN": token, **(environ or {})}
        env["FIRSTLIGHT_PLAN"] = str(made.home / "plan.json")
        access.ensure(made.plan.paths, env)
        tls.ensure(made.plan.paths, env, given)
        code = "from init import serve; import sys; sys.exit(serve.main(['portal']))"
        command = [sys.executable, "-c", code]
        if bare:
            command = ["caddy", "run", "--config", str(made.home / "etc" / "Caddyfile"), "--adapter", "caddyfile"]
        with (made.logs / "portal.log").open("wb") as log:
            running.append(subprocess.Popen(command, cwd=made.home, env=env, stdout=log, stderr=log))
        until(lambda: _served(made, env), what=str(made.logs / "portal.log"))
        return made

    yield start
    for process in running:
        stop(process)


@pytest.fixture
def start_app() -> Iterator[Callable[[int], subprocess.Popen[bytes]]]:
    """Start the app on a loopback port."""
    running: list[subprocess.Popen[bytes]] = []

    def start(port: int) -> subprocess.Popen[bytes]:
        running.append(subprocess.Popen([sys.executable, str(house.REPO / "tests/portal/app.py"), str(port)]))
        until(lambda: health.answers(port, "/"))
        return running[-1]

    yield start
    for process in running:
        stop(process)


@dataclass
class Stack:
    """A whole house that runs: supervisord, JupyterLab, the portal, and a runner that only sleeps."""

    house: House
    process: subprocess.Popen[bytes]
    token: str
    out: Path

    def stop(self) -> None:
        stop(self.process, self.house.run / "supervisor.sock")

    @property
    def programs(self) -> Programs:
        return Programs(self.house.run / "supervisor.sock")

    def processes(self) -> dict[int, str]:
        """Command line by process id, of everything that has this house's plan in its environment."""
        mark = f"FIRSTLIGHT_PLAN={self.house.home / 'plan.json'}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return found

    def lab(self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET", body: str = "") -> Reply:
        content = body.encode() if method != "GET" else None
        return ask(self.house.plan.jupyter.port, path, headers, method, content)


def start_stack(made: House, environ: Mapping[str, str], lab: str = "/api") -> Stack:
    """Boot a house and wait until JupyterLab and the portal answer. Variables with an empty value stay empty."""
    base = {k: v for k, v in os.environ.items() if k not in (*access.PRIVATE, "NB_PREFIX", "FIRSTLIGHT_PLAN")}
    # What a terminal's shell reads at its start is this house's too, and not of whoever runs the tests.
    home = made.root / "user"
    home.mkdir(exist_ok=True)
    env = {**base, "HOME": str(home), **environ}
    out = made.root / "out"
    with out.open("wb") as log:
        command = [str(made.home / "bin" / "firstlight"), "boot"]
        daemon = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    port = made.plan.jupyter.port
    try:
        until(lambda: _answers(made, port, lab) == 200 and _served(made, env), 60, what=str(made.logs))
    except BaseException:
        stop(daemon)
        raise
    return Stack(made, daemon, access.current(made.plan.paths), out)


def _answers(made: House, port: int, path: str = "/.firstlight/health") -> int | None:
    return health.answers(port, path, https=tls.on(made.plan.paths))


def _served(made: House, environ: Mapping[str, str]) -> bool:
    """Whether the portal answers, and listens on all its further ports: it begins with any of them."""
    further = [*made.plan.jupyter.also, *(s.port for s in made.plan.services if s.port and s.listen)]
    further += portalconfig.read(environ.get("PORTAL_CONFIG", ""), made.plan, environ).forwards
    return _answers(made, made.plan.portal_port) is not None and all(map(_listened, further))


def _listened(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
