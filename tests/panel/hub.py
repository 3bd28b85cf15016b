"""A JupyterHub with real users' servers, behind its own proxy, with the panel's wheel in the servers' environment."""

from __future__ import annotations

import http.client
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from images import panel
from tests.lab.support import Place
from tests.panel import servers
from tests.ports import free_port
from tests.waiting import until

REQUIREMENTS = Path(__file__).with_name("hub.txt")
PROXY = Path(__file__).with_name("hub_proxy")
PASSWORD = "a-password"


def environment(folder: Path) -> Path:
    """JupyterHub, JupyterLab and the panel in `folder`, and configurable-http-proxy in `folder/proxy`."""
    servers.environment(folder, REQUIREMENTS)
    proxy = folder / "proxy"
    proxy.mkdir()
    for file in ("package.json", "package-lock.json"):
        (proxy / file).write_bytes((PROXY / file).read_bytes())
    command = [*panel.npm(folder), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=proxy, env=environ(folder), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return folder


def environ(env: Path) -> dict[str, str]:
    """That of this process, with the programs of `env` first and nothing of another Jupyter."""
    found = {key: value for key, value in os.environ.items() if not key.startswith(("JUPYTER", "JPY", "VIRTUAL_ENV"))}
    if "SSL_CERT_FILE" in found:
        found.setdefault("NODE_EXTRA_CA_CERTS", found["SSL_CERT_FILE"])
    programs = [env / "bin", panel.node(env) / "bin"]
    return found | {"PATH": os.pathsep.join([*map(str, programs), found.get("PATH", os.defpath)])}


@dataclass
class Hub:
    """Whoever knows the password is let in, under any name, and gets a server of their own."""

    env: Path
    place: Place
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def log(self) -> str:
        return (self.place.root / "hub" / "log").read_text(errors="replace")

    def get(self, path: str, method: str = "GET", body: str | None = None) -> int:
        """The status of an answer to somebody who has not logged in."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body)
            return connection.getresponse().status
        finally:
            connection.close()

    def answers(self) -> bool:
        try:
            return self.get("/hub/health") == 200
        except OSError:
            return False

    def start(self) -> subprocess.Popen[bytes]:
        """Returns when it answers through its proxy."""
        home = self.place.root / "hub"
        home.mkdir()
        server = [
            "c = get_config()",
            f"c.FirstlightLab.run = {str(self.place.run)!r}",
            f"c.FirstlightLab.state = {str(self.place.state)!r}",
            f"c.FirstlightLab.logs = {str(self.place.logs)!r}",
            "c.LabApp.news_url = None",
            "c.LabApp.check_for_updates_class = 'jupyterlab.NeverCheckForUpdate'",
        ]
        (home / "server.py").write_text("\n".join(server))
        node, proxy = panel.node(self.env) / "bin/node", self.env / "proxy/node_modules/.bin/configurable-http-proxy"
        lines = [
            "c = get_config()",
            f"c.JupyterHub.bind_url = {self.url!r}",
            f"c.JupyterHub.hub_bind_url = 'http://127.0.0.1:{free_port()}'",
            f"c.ConfigurableHTTPProxy.api_url = 'http://127.0.0.1:{free_port()}'",
            f"c.ConfigurableHTTPProxy.command = {[str(node), str(proxy)]!r}",
            "c.JupyterHub.authenticator_class = 'dummy'",
            f"c.DummyAuthenticator.password = {PASSWORD!r}",
            "c.Authenticator.allow_all = True",
            "c.JupyterHub.spawner_class = 'simple'",
            f"c.SimpleLocalProcessSpawner.home_dir_template = {str(home / 'of')!r} + '-{{username}}'",
            f"c.Spawner.args = ['--allow-root', '--config={home / 'server.py'}']",
            "c.Spawner.start_timeout = c.Spawner.http_timeout = 90",
        ]
        (home / "config.py").write_text("\n".join(lines))
        argv = [str(self.env / "bin" / "jupyterhub"), f"--config={home / 'config.py'}"]
        with (home / "log").open("wb") as out:
            return subprocess.Popen(argv, cwd=home, env=environ(self.env), stdout=out, stderr=out)


@contextmanager
def hub(env: Path, place: Place) -> Iterator[Hub]:
    """A running hub; at its end it stops its proxy and its users' servers."""
    found = Hub(env, place)
    process = found.start()

    def answers() -> bool:
        assert process.poll() is None, found.log
        return found.answers()

    try:
        until(answers, within=90, what="JupyterHub answers")
        yield found
    finally:
        process.terminate()
        process.wait(60)
