"""JupyterLab as a process of its own, with the panel's wheel installed, in front of folders as a start has them."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from images import ground, panel
from tests.lab.support import Place
from tests.ports import free_port
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
NEWEST = ROOT / "images" / "control.txt"
"""What images have: the newest JupyterLab that is pinned."""
OLDEST = Path(__file__).with_name("oldest.txt")
"""JupyterLab 4.2.0."""
TOKEN = "a-token"


def environment(folder: Path, requirements: Path) -> Path:
    """A Python environment in `folder` of pinned requirements, and the panel's wheel."""
    uv, wheel = ground.find_uv(os.environ), panel.wheel(os.environ)
    environ = {**os.environ, "UV_NATIVE_TLS": "1", "UV_NO_PROGRESS": "1"}
    environ.pop("VIRTUAL_ENV", None)
    install = [uv, "pip", "install", "--no-config", "--quiet", "--compile-bytecode", "--python", str(folder)]
    for command in (
        [uv, "venv", "--no-config", "--quiet", "--python", ground.base_python(), str(folder)],
        [*install, "--require-hashes", "-r", str(requirements)],
        [*install, "--no-deps", str(wheel)],
    ):
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return folder


@dataclass
class Lab:
    """A server that can be stopped, and started again on its port with its data."""

    env: Path
    place: Place
    config: Sequence[str] = ()
    """More lines of its configuration."""
    environ: Mapping[str, str] = field(default_factory=dict)
    base: str = "/"
    token: str = TOKEN
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def home(self) -> Path:
        return self.place.root / "home"

    @property
    def log(self) -> str:
        return (self.home / "log").read_text(errors="replace")

    def url(self, path: str = "lab") -> str:
        mark = "&" if "?" in path else "?"
        return f"http://127.0.0.1:{self.port}{self.base}{path}{mark}token={self.token}"

    def start(self) -> None:
        """Returns when it answers."""
        (self.home / "work").mkdir(parents=True, exist_ok=True)
        lines = [
            "c = get_config()",
            f"c.IdentityProvider.token = {self.token!r}",
            "c.PasswordIdentityProvider.hashed_password = ''",
            f"c.ServerApp.base_url = {self.base!r}",
            f"c.ServerApp.root_dir = {str(self.home / 'work')!r}",
            f"c.FirstlightLab.run = {str(self.place.run)!r}",
            f"c.FirstlightLab.state = {str(self.place.state)!r}",
            f"c.FirstlightLab.logs = {str(self.place.logs)!r}",
            "c.LabApp.news_url = None",
            "c.LabApp.check_for_updates_class = 'jupyterlab.NeverCheckForUpdate'",
            *self.config,
        ]
        (self.home / "config.py").write_text("\n".join(lines))
        programs = self.env / "bin"
        argv = [str(programs / "python"), "-m", "jupyterlab", "--allow-root", "--no-browser"]
        argv += ["--ServerApp.ip=127.0.0.1", f"--port={self.port}", "--ServerApp.port_retries=0"]
        argv += [f"--config={self.home / 'config.py'}"]
        environ = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("JUPYTER", "VIRTUAL_ENV"))},
            "HOME": str(self.home),
            "PATH": os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)]),
            **self.environ,
        }
        with (self.home / "log").open("ab") as out:
            self.process = subprocess.Popen(argv, env=environ, stdout=out, stderr=out, cwd=self.home)
        until(self.answers, within=90, what="JupyterLab answers")

    def answers(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.log
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", f"{self.base}api", headers={"Authorization": f"token {self.token}"})
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(30)
            self.process = None


@contextmanager
def lab(env: Path, place: Place, **more: object) -> Iterator[Lab]:
    """A running server; `more` are fields of `Lab`."""
    server = Lab(env, place, **more)  # type: ignore[arg-type]
    try:
        server.start()
        yield server
    finally:
        server.stop()
