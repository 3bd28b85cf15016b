"""A bench to run one stage on, with real programs: below a temporary folder, without a runner."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from init import children
from init.paths import Paths
from init.plan import Kind, Plan, Stage
from init.process import Runner
from init.specs import CommandSpec, GitSpec, KernelSpec, ModelsSpec, NodesSpec, NotebookSpec, PythonSpec, Spec
from init.stages import HANDLERS
from init.stages.context import Context, Outcome
from tests.waiting import until

KINDS: dict[type[Spec], Kind] = {
    PythonSpec: "python",
    GitSpec: "git",
    NodesSpec: "nodes",
    KernelSpec: "kernel",
    ModelsSpec: "models",
    CommandSpec: "command",
    NotebookSpec: "notebook",
}


@dataclass
class Bench:
    root: Path
    cache: Path
    """uv's cache, shared by all tests."""
    environ: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    cancel: threading.Event = field(default_factory=threading.Event)

    @property
    def paths(self) -> Paths:
        root = self.root
        return Paths(
            str(root / "home"), str(root / "disk"), str(root / "workspace"), str(root / "logs"), str(root / "run")
        )

    @property
    def log(self) -> str:
        """All that the stages' programs have printed."""
        return "".join(file.read_text() for file in sorted(Path(self.paths.logs).glob("*.log")))

    def context(
        self, spec: Spec, id: str | None = None, *, degrade: bool = True, within: float = 120.0, **more: Any
    ) -> Context:
        on_failure: Literal["degrade", "fail"] = "degrade" if degrade else "fail"
        stage = Stage(id or KINDS[type(spec)], KINDS[type(spec)], "", [], spec, on_failure=on_failure)
        plan = Plan("demo", "Demo", "", self.paths, [stage], [])
        log = Path(self.paths.logs, f"{stage.id.replace(':', '.')}.log")
        environ = {**os.environ, "UV_CACHE_DIR": str(self.cache), **self.environ}
        runner = Runner(log, Path(self.paths.run), environ, self.cancel, time.monotonic() + within, idle=False)
        return Context(plan, stage, log, self._report, runner, self.cancel, environ, {}, **more)

    def run(self, spec: Spec, id: str | None = None, **more: Any) -> Outcome:
        context = self.context(spec, id, **more)
        return HANDLERS[context.stage.kind].run(context)

    def _report(self, *, message: str | None = None, **_: Any) -> None:
        if message is not None:
            self.messages.append(message)


def until_there(runner: subprocess.Popen[bytes], folder: Path, pattern: str) -> None:
    """Until there is such a file in the folder, or the process has ended."""

    def there() -> bool:
        try:
            return any(folder.glob(pattern))
        except FileNotFoundError:  # what an attempt that was killed has left is being removed
            return False

    until(lambda: there() or runner.poll() is not None, every=0.002)


def kill(bench: Bench, runner: subprocess.Popen[bytes]) -> None:
    """Kill a process that runs a stage on this bench; what it has left running ends, as at the next start."""
    runner.kill()
    runner.wait()
    children.reap(Path(bench.paths.run))


def ran(log: str, *words: str) -> list[str]:
    """Command lines in a log that hold all these words."""
    lines = [line for line in log.splitlines() if line.startswith("$ ")]
    return [line for line in lines if all(word in line for word in words)]


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write text files below `folder`."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder
