"""What `run --local` stands on: programs of this host, folders below one root, free ports, the control environment."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from images import hostports
from images.layout import Layout
from init.paths import Paths
from manifests import desktop

if TYPE_CHECKING:
    from manifests.model import Manifest

REPO = Path(__file__).resolve().parents[1]
PROGRAMS = {"aria2c": "aria2", "caddy": "caddy", "git": "git", "setpriv": "util-linux", "chrt": "util-linux"}
"""Debian package by program."""
SOCKET_PATH = 107
"""Longest path of a Unix socket, in bytes."""
LONGEST_SOCKET = len("/supervisor.sock.1234567")


class GroundError(Exception):
    """It cannot run here. The text says why and what to do."""


def missing_programs(environ: Mapping[str, str], manifest: Manifest) -> dict[str, str]:
    """What `manifest` needs of this host and does not find there: its package, or where that is, by name or path."""
    path = environ.get("PATH", os.defpath)

    def there(name: str) -> bool:
        return Path(name).exists() if name.startswith("/") else shutil.which(name, path=path) is not None

    wanted = PROGRAMS | desktop.programs(manifest)
    return {name: package for name, package in wanted.items() if not there(name)}


def install_commands(missing: Mapping[str, str]) -> list[str]:
    """What to do on Debian and Ubuntu to get `missing`, line by line."""
    addresses = sorted({package for package in missing.values() if "://" in package})
    packages = " ".join(sorted(set(missing.values()) - set(addresses)))
    sudo = "" if os.geteuid() == 0 else "sudo "
    install = f"{sudo}apt-get update && {sudo}apt-get install -y --no-install-recommends {packages}"
    return [*([install] if packages else []), *(f"install the package {address}" for address in addresses)]


def requirements() -> str:
    """The control environment, as pinned requirements with hashes."""
    return (REPO / "images" / "control.txt").read_text(encoding="utf-8")


def control_digest(folder: Path, more: list[str]) -> str:
    """What the control environment in `folder` depends on. Its scripts name the folder: moved, it is another one."""
    return hashlib.sha256("\n".join([requirements(), sys.version, str(folder), *more]).encode()).hexdigest()


def install_control(folder: Path, environ: Mapping[str, str], more: list[str] | None = None) -> None:
    """Make the control environment in `folder`, with `more` requirements beside the pinned ones. Raises GroundError."""
    uv = find_uv(environ)
    env = {**environ, "UV_NATIVE_TLS": "1", "UV_NO_PROGRESS": "1"}
    env.pop("VIRTUAL_ENV", None)
    listed = folder.parent / f".{folder.name}.requirements.txt"
    listed.write_text(requirements(), encoding="utf-8")
    python = ["--python", str(folder)]
    install = [uv, "pip", "install", "--no-config", "--quiet", "--compile-bytecode", *python]
    commands = [
        [uv, "venv", "--no-config", "--quiet", "--clear", "--python", base_python(), str(folder)],
        [*install, "-r", str(listed)],
    ]
    if more:
        commands.append([*install, "--", *more])
    with _waiting(f"Installing JupyterLab's environment into {folder.parent.parent} (once)"):
        for command in commands:
            done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode != 0:
                shutil.rmtree(folder, ignore_errors=True)
                raise GroundError(f"JupyterLab's environment cannot be installed:\n{done.stdout.strip()}")


@contextmanager
def _waiting(words: str) -> Iterator[None]:
    """A line with the seconds so far, gone at the end; where there is no terminal, the words."""
    if not sys.stdout.isatty():
        print(f"{words} …", flush=True)
        yield
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), transient=True) as shown:
        shown.add_task(words, total=None)
        yield


def base_python() -> str:
    """The interpreter that runs this, not a virtual environment's: environments made from it outlive ours."""
    return getattr(sys, "_base_executable", None) or sys.executable


def find_uv(environ: Mapping[str, str]) -> str:
    """uv beside this Python, else on PATH. Raises GroundError."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv", path=environ.get("PATH", os.defpath))
    if found is None:
        raise GroundError("uv is missing; run `make setup`, or `pip install uv`")
    return found


@dataclass
class Ground:
    """One root, in use by this process."""

    root: Path
    run: Path
    ports: dict[int, int] = field(default_factory=dict)
    """Port in use by port that was wanted."""
    held: dict[int, socket.socket] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        return Layout(
            paths=Paths(
                home=str(self.root / "home"),
                disk=str(self.root / "disk"),
                workspace=str(self.root / "workspace"),
                logs=str(self.root / "logs"),
                run=str(self.run),
            ),
            port=self.port,
            local=True,
        )

    def port(self, wanted: int) -> int:
        """The wanted port if it is free, the one it got before if that is, else another; remembered below the root."""
        if wanted not in self.ports or not self._take(self.ports[wanted]):
            others = {port for other, port in self.ports.items() if other != wanted}
            found = wanted
            while found in others or not self._take(found):
                found = _any_port(others)
            self.ports[wanted] = found
            store = {str(k): v for k, v in sorted(self.ports.items())}
            _replace(self.root / "ports.json", json.dumps(store) + "\n")
        return self.ports[wanted]

    def _take(self, port: int) -> bool:
        """Whether nobody listens there, nor will: an app's port is silent until it starts, and promised until then."""
        if port not in self.held:
            name = hostports.promise(port)
            if name is None:
                return False
            self.held[port] = name
        return free(port)

    def announce(self, url: str) -> None:
        """Tell whoever tries to start a second one where this one is."""
        _replace(self.root / "instance.json", json.dumps({"pid": os.getpid(), "url": url}) + "\n", private=True)


@contextmanager
def claim(root: Path) -> Iterator[Ground]:
    """Folders below `root`, held while the context lasts. Raises GroundError: another instance has it, or it cannot
    be used."""
    if not _writable_in_configuration(str(root)):
        raise GroundError(
            f"{str(root)!r}: choose a folder without line breaks and without ` ;`, ` #` or `{{$` in its name"
        )
    try:
        for name in ("home", "disk", "workspace", "logs"):
            (root / name).mkdir(parents=True, exist_ok=True)
        lock = (root / ".lock").open("w")
    except OSError as error:
        raise GroundError(f"{error.filename}: {error.strerror}; choose another folder with --root") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GroundError(_other(root)) from None
        place = Ground(root, _run_folder(root), _remembered(root))
        try:
            yield place
        finally:
            for taken in place.held.values():
                taken.close()
            (root / "instance.json").unlink(missing_ok=True)


def _other(root: Path) -> str:
    about = ""
    with suppress(OSError, ValueError, KeyError):
        record = json.loads((root / "instance.json").read_text(encoding="utf-8"))
        about = f", process {record['pid']}: {record['url']}"
    return f"another one runs on {root} already{about}\n  end it with Ctrl-C where it was started, or choose --root"


def _run_folder(root: Path) -> Path:
    """A folder for sockets. Their paths are short by law, so that of a deep root lies in the temporary folder."""
    run = root / "run"
    if len(os.fsencode(run)) + LONGEST_SOCKET > SOCKET_PATH:
        digest = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
        run = Path("/tmp", f"firstlight-{os.geteuid()}-{digest}")
    run.mkdir(mode=0o700, exist_ok=True)
    if run.is_symlink() or run.stat().st_uid != os.geteuid():
        raise GroundError(f"{run} belongs to somebody else; remove it, or choose a shorter --root")
    run.chmod(0o700)
    return run


def _remembered(root: Path) -> dict[int, int]:
    try:
        stored = json.loads((root / "ports.json").read_text(encoding="utf-8"))
        return {int(wanted): int(port) for wanted, port in stored.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def free(port: int) -> bool:
    """Whether a program may listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_port(taken: set[int]) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port


def _writable_in_configuration(path: str) -> bool:
    return not (set("\r\n\v\f\0`") & set(path)) and not any(mark in path for mark in (" ;", " #", "{$", "\t"))


def _replace(path: Path, text: str, private: bool = False) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text("", encoding="utf-8")
    if private:
        draft.chmod(0o600)
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
