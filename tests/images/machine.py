"""A running container of an image, as tests see it: from inside (testinfra) and from outside (HTTP)."""

from __future__ import annotations

import json
import re
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import docker
import testinfra
from docker.errors import NotFound
from docker.models.containers import Container

from images import containers
from init.state import ENDED
from manifests.load import Loaded
from tests.waiting import until

WORSE = re.compile(
    # Jupyter has one letter for a level: `[W 2026-01-01 00:00:00.000 ServerApp] `.
    r"\b(?i:WARN|WARNING|ERROR|CRIT|CRITICAL|FATAL)\b|Traceback \(most recent call last\)|^\s*\[[WEC] [\d:.\- ]+\w*\]"
)
EXPECTED = (
    # Its folder is only for the user that supervisord runs as.
    "Server 'unix_http_server' running without any HTTP authentication checking",
    # Platforms put their own TLS in front.
    "The Jupyter server is listening on all IP addresses and not using encryption",
    # Caddy's opinion of indentation.
    "Caddyfile input is not formatted",
    # Where tests run there is none.
    "gpu: degraded: no NVIDIA driver answers",
)
"""Lines that warn in every image, and why they may."""
FIRST = ("supervisord", "jupyterlab", "portal", "init")
"""The programs that every container starts with."""
LOGS = "/var/log/supervisor"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: str


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> None:
        return None


@dataclass
class Machine:
    container: Container
    loaded: Loaded
    image: str

    @cached_property
    def host(self) -> Any:
        """testinfra's view of the inside."""
        return testinfra.get_host(f"docker://{self.container.id}")

    @property
    def address(self) -> str:
        """From where servers of this machine see it come."""
        self.container.reload()
        (network,) = self.container.attrs["NetworkSettings"]["Networks"].values()
        return str(network["IPAddress"])

    @property
    def attributes(self) -> dict[str, Any]:
        """`docker image inspect` of its image."""
        image = self.container.image
        assert image is not None
        return dict(image.attrs)

    @cached_property
    def token(self) -> str:
        return containers.token(self.container)

    def url(self, port: int, path: str = "/") -> str:
        """The address, on this machine, of a port of the container."""
        return f"http://{containers.HOST}:{containers.published(self.container, port)}{path}"

    def get(
        self, port: int, path: str = "/", *, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask the container, following no redirect; status 0 when it does not answer."""
        request = urllib.request.Request(self.url(port, path), method=method, headers=dict(headers or {}))
        try:
            with urllib.request.build_opener(_Stay).open(request, timeout=20) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read().decode(errors="replace"))
        except urllib.error.HTTPError as error:
            return Answer(error.code, dict(error.headers), error.read().decode(errors="replace"))
        except OSError as error:
            return Answer(0, {}, str(error))

    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def run(self, *argv: str) -> str:
        """Output of a program inside; AssertionError when it fails."""
        code, output = containers.inside(self.container, *argv)
        assert code == 0, f"{argv} ended with {code}: {output}"
        return output

    def own(self) -> list[tuple[str, str]]:
        """User and command line of the processes that the container itself has started: what Docker puts in from
        outside, as its health checks, is root's before it is the user's."""
        self.container.reload()
        first, rows = self.container.attrs["State"]["Pid"], self.container.top(ps_args="-eo user,pid,ppid,args")
        pids = {pid for _, pid, *_ in rows["Processes"]}
        return [(row[0], row[3]) for row in rows["Processes"] if row[2] in pids or row[1] == str(first)]

    def state(self) -> dict[str, Any]:
        """As the runner says now; nothing is in it before there is one."""
        # Exit code 1 says that something failed; what it prints is the state all the same.
        _, said = containers.inside(self.container, "firstlight", "status", "--json")
        none = {"phase": "", "stages": [], "services": []}
        return dict(json.loads(said)) if said.startswith("{") else none

    def settled(self, within: float = 240) -> dict[str, Any]:
        """The runner's state once every stage has ended and no service is on its way; `within` in seconds."""

        def found() -> dict[str, Any] | None:
            data = self.state()
            over = all(stage["state"] in ENDED for stage in data["stages"])
            up = all(service["state"] in ("ready", "failed", "stopped") for service in data["services"])
            # What a change means for the whole is told right after it.
            return data if data["stages"] and over and up and data["phase"] != "starting" else None

        return until(found, within=within, every=0.5, what="every stage has ended") or {}

    def said(self) -> str:
        """What `docker logs` shows."""
        return containers.log_tail(self.container, "all")

    def logs(self) -> dict[str, str]:
        """Log files of the programs, by name."""
        names = self.run("find", LOGS, "-type", "f").split()
        return {name.removeprefix(f"{LOGS}/"): self.run("cat", name) for name in names}

    def first_logs(self, programs: tuple[str, ...] = FIRST) -> dict[str, str]:
        """What the container and these programs have said so far."""
        logs = {name: text for name, text in self.logs().items() if name.startswith(programs)}
        return {"docker logs": self.said(), **logs}

    @cached_property
    def boot_log(self) -> dict[str, str]:
        """What they had said when JupyterLab and the portal were up."""
        return self.first_logs()

    def complaints(self, allow: Iterable[str] = (), logs: Mapping[str, str] | None = None) -> list[str]:
        """Lines of the boot log, or of `logs`, that warn or report an error; but those that are expected or match a
        pattern of `allow`."""
        fine = (*EXPECTED, *allow)
        return [
            f"{name}: {line}"
            for name, text in (self.boot_log if logs is None else logs).items()
            for line in text.splitlines()
            if WORSE.search(line) and not any(re.search(pattern, line) for pattern in fine)
        ]


@contextmanager
def opened(
    client: docker.DockerClient, loaded: Loaded, image: str, volume: str, environment: Mapping[str, str] | None = None
) -> Iterator[Machine]:
    """A container on `volume`, a name or a folder, from the first answer of JupyterLab on; removed afterwards."""
    name = f"firstlight-test-{loaded.manifest.name}-{secrets.token_hex(3)}"
    container = containers.start(loaded, image, client=client, volume=volume, env=environment, name=name)
    try:
        machine = Machine(container, loaded, image)
        until(lambda: machine.get(loaded.manifest.jupyter.port, "/api").status == 200, within=90, what="JupyterLab")
        yield machine
    finally:
        with suppress(NotFound):
            container.remove(force=True)


@contextmanager
def started(
    client: docker.DockerClient,
    loaded: Loaded,
    image: str,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Machine]:
    """A container with a workspace of its own, once JupyterLab and the portal answer; both are removed afterwards."""
    name = f"firstlight-test-{loaded.manifest.name}-{secrets.token_hex(3)}"
    volume = client.volumes.create(name)
    container = None
    try:
        container = containers.start(loaded, image, client=client, volume=name, env=environment, name=name)
        machine = Machine(container, loaded, image)
        manifest = loaded.manifest
        jupyter = machine.url(manifest.jupyter.port, "")
        containers.wait_for(container, lambda: containers.jupyter_answers(jupyter), "JupyterLab answers", 60)
        until(lambda: machine.get(manifest.portal.port).status, within=30, what="the portal answers")
        assert machine.boot_log
        until(lambda: containers.healthy(machine.container), within=90, what="the container is healthy")
        yield machine
    finally:
        if container is not None:
            container.remove(force=True)
        volume.remove(force=True)
