"""Small plans, and the real runner and supervisor on them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from init import state
from init.attempt import Attempt
from init.journal import events
from init.paths import Paths
from init.plan import Need, Plan, ReadySpec, ServiceSpec, Stage, dump
from init.redact import Redactor
from init.specs import CommandSpec
from init.stages import HANDLERS
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]


def command(id: str, line: str, *needs: str, **fields: Any) -> Stage:
    """A stage that runs a shell line; a need ending in `?` is soft."""
    options: dict[str, Any] = {"attempts": 1, "within": 60.0, **fields}
    return Stage(id, "command", id.capitalize(), _needs(needs), CommandSpec(["sh", "-euc", line]), **options)


def service(id: str, words: list[str], *needs: str, **fields: Any) -> ServiceSpec:
    return ServiceSpec(id, id.capitalize(), words, _needs(needs), **fields)


def web(port: int) -> dict[str, Any]:
    """Fields of a service that answers HTTP on a port."""
    return {"port": port, "listen": port, "ready": ReadySpec(http="/", within=30.0)}


def _needs(words: tuple[str, ...]) -> list[Need]:
    return [Need(word.removesuffix("?"), word.endswith("?")) for word in words]


@dataclass
class House:
    """A root folder with a plan in it, as `run --local` would lay it out."""

    root: Path
    stages: list[Stage] = field(default_factory=list)
    services: list[ServiceSpec] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)
    program: tuple[str, ...] = ("-m", "init.cli")
    """What Python is given to run `firstlight`."""

    def __post_init__(self) -> None:
        names = ("home", "disk", "workspace", "logs", "run")
        self.paths = Paths(**{name: str(self.root / name) for name in names})
        for name in names:
            (self.root / name).mkdir(parents=True, exist_ok=True)
        self.write()

    @property
    def plan(self) -> Plan:
        return Plan("test", "Test", "0", self.paths, self.stages, self.services, local=True, **self.more)

    @property
    def workspace(self) -> Path:
        return self.root / "workspace"

    def write(self) -> None:
        (self.root / "home" / "plan.json").write_text(dump(self.plan))

    def attempt(self, stage: Stage, tell: Callable[..., None]) -> Attempt:
        """An attempt at a stage, without a runner; `tell` hears what it says."""
        return Attempt(
            plan=self.plan,
            stage=stage,
            handler=HANDLERS[stage.kind],
            environ=self.environ(),
            redactor=Redactor(),
            tell=tell,
            marks={},
            results={},
        )

    def environ(self, **more: str) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("SUPERVISOR_", "FIRSTLIGHT_"))
        }
        return {**kept, "PYTHONPATH": str(ROOT), "FIRSTLIGHT_PLAN": str(self.root / "home" / "plan.json"), **more}

    def firstlight(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "init.cli", *words]
        return subprocess.run(
            argv, env=self.environ(**environ), capture_output=True, text=True, timeout=60, check=False
        )

    def start(self, **environ: str) -> subprocess.Popen[bytes]:
        """The runner, as a process; its output goes to `runner.log`."""
        with (self.root / "runner.log").open("ab") as log:
            argv = [sys.executable, *self.program, "run"]
            return subprocess.Popen(argv, env=self.environ(**environ), stdout=log, stderr=log)

    @contextmanager
    def running(self, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
        former = self.runner()
        process = self.start(**environ)
        try:
            until(lambda: self.runner() != former or process.poll() is not None, what="a state of this runner")
            yield process
        finally:
            stop(process)

    def runner(self) -> float | None:
        """When the runner started whose state this is; a former one leaves its own."""
        snapshot = self.snapshot()
        return None if snapshot is None else snapshot.boot.runner_started

    def snapshot(self) -> state.Snapshot | None:
        return state.read(self.paths.state)

    def states(self) -> dict[str, str]:
        """State by stage id, and by `service:ID`; empty before the first snapshot."""
        snapshot = self.snapshot()
        if snapshot is None:
            return {}
        return {s.id: s.state for s in snapshot.stages} | {f"service:{s.id}": s.state for s in snapshot.services}

    def stage(self, id: str) -> state.StageState:
        snapshot = self.snapshot()
        assert snapshot is not None
        return next(stage for stage in snapshot.stages if stage.id == id)

    def service(self, id: str) -> state.ServiceState:
        snapshot = self.snapshot()
        assert snapshot is not None
        return next(service for service in snapshot.services if service.id == id)

    def until(self, expected: Mapping[str, str], within: float = 30.0) -> None:
        """Wait for these states."""

        def there() -> bool:
            states = self.states()
            return all(states.get(name) == value for name, value in expected.items())

        try:
            until(there, within)
        except AssertionError:
            log = (self.root / "runner.log").read_text() if (self.root / "runner.log").exists() else ""
            raise AssertionError(f"wanted {expected}, have {self.states()}\n{log}") from None

    def until_phase(self, phase: str, within: float = 30.0) -> state.Snapshot:
        def there() -> state.Snapshot | None:
            snapshot = self.snapshot()
            return snapshot if snapshot is not None and snapshot.phase == phase else None

        found = until(there, within, what=f"phase {phase}")
        assert found is not None
        return found

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        return [event for event in events(self.paths.state) if name is None or event["event"] == name]

    def lines(self, name: str) -> list[str]:
        """Lines of a file on the workspace."""
        try:
            return (self.workspace / name).read_text().splitlines()
        except FileNotFoundError:
            return []


def stop(process: subprocess.Popen[bytes]) -> int:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


@contextmanager
def supervised(house: House, runner: bool = False, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """A real supervisord with the house's services as programs, and with the runner when asked."""
    run, logs = Path(house.paths.run), Path(house.paths.logs)
    python = sys.executable
    text = (
        f"[supervisord]\nnodaemon=true\nlogfile={logs}/supervisord.log\npidfile={run}/supervisord.pid\n"
        f"childlogdir={logs}\n[unix_http_server]\nfile={run}/supervisor.sock\nchmod=0600\n"
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
    )
    programs = [(spec.id, f"{python} -m init.cli serve {spec.id}", "false") for spec in house.services]
    if runner:
        programs.append(("init", f"{python} -m init.cli run", "true"))
    for name, line, autostart in programs:
        text += (
            f"[program:{name}]\ncommand=setpriv --pdeathsig KILL -- {line}\nautostart={autostart}\nautorestart=true\n"
            f"startsecs=1\nstartretries=3\nstopasgroup=true\nkillasgroup=true\nredirect_stderr=true\n"
            f"stdout_logfile={logs}/{name}.log\n"
        )
    (run / "supervisord.conf").write_text(text)
    environment = house.environ(**environ)
    argv = [python, "-m", "supervisor.supervisord", "-n", "-c", str(run / "supervisord.conf")]
    with (house.root / "supervisord.out").open("ab") as out:
        process = subprocess.Popen(argv, env=environment, stdout=out, stderr=out, cwd=house.root)
    try:
        until((run / "supervisor.sock").exists, what="supervisord's socket")
        _poke(run / "supervisor.sock")
        yield process
    finally:
        stop(process)


def _poke(path: Path) -> None:
    with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
