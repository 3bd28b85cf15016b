"""Programs that stages run: idle priority, no tokens, one log, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from init import children, memory
from init.failure import StageFailed
from init.lines import size, span
from init.priority import idle_prefix
from init.redact import Redactor, secrets

LOG_LIMIT = 64_000_000
"""Bytes that one program may write into the log; the rest is left out."""
_TICK = 0.2
_MEMORY_EVERY = 1.0
_DRAIN = 1.0

_SECRET = re.compile(
    r"(^|_)(TOKEN|PASSWORD|PASSWD|PASS|SECRET|CREDENTIALS?|API_?KEY|ACCESS_?KEY|PRIVATE_KEY)(_|$)", re.I
)
_DROPPED = re.compile(r"FIRSTLIGHT_|SUPERVISOR_|(PYTHONPATH|PYTHONHOME|VIRTUAL_ENV|CONDA_PREFIX)$")
_TELLING = re.compile(
    r"\b(error|fatal|failed|failure|cannot|could not|no such|not found|denied|killed|unsatisfiable)\b|Error\b", re.I
)


class OutOfMemory(StageFailed):
    """The program was ended because the memory was, or would have been, full."""


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without tokens and without what belongs to the runner itself."""
    return {name: value for name, value in environ.items() if not _SECRET.search(name) and not _DROPPED.match(name)}


def gist(lines: Sequence[str], most: int = 3) -> str:
    """The lines that tell why a program failed, in one: the last ones that speak of an error, else the last ones."""
    lines = [line.strip() for line in lines if line.strip()]
    telling = [line for line in lines if _TELLING.search(line)] or lines
    return " / ".join(line if len(line) <= 300 else line[:297] + "…" for line in telling[-most:])


@dataclass
class Runner:
    """Runs programs for one attempt of a stage: `Context.run`. Threads may share it."""

    log: Path
    folder: Path
    """`Paths.run`: children are written down below it."""
    environ: Mapping[str, str]
    cancel: threading.Event = field(default_factory=threading.Event)
    deadline: float | None = None
    """End of the attempt, on the monotonic clock."""
    redact: Callable[[str], str] | None = None
    idle: bool = True
    echo: Callable[[str], None] | None = None
    """Sees every line, too: a build's log is all that one sees of it."""

    def __call__(
        self,
        argv: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        within: float | None = None,
        check: bool = True,
        on_line: Callable[[str], None] | None = None,
        memory: int | None = None,
    ) -> int:
        """Exit code; negative: the signal. Raises StageFailed when it ran too long, took more than `memory` bytes, was
        stopped or, with `check`, when it failed. `env` is added to the cleaned environment."""
        limits = [self.deadline] if self.deadline is not None else []
        if within is not None:
            limits.append(time.monotonic() + within)
        job = _Job(self, [str(word) for word in argv], min(limits, default=None), memory, on_line)
        return job.run(cwd, {**clean(self.environ), **(env or {})}, check)


class _Job:
    """One program of a Runner."""

    def __init__(
        self,
        runner: Runner,
        argv: list[str],
        deadline: float | None,
        memory_limit: int | None,
        on_line: Callable[[str], None] | None,
    ):
        self.runner, self.argv, self.deadline, self.memory_limit, self.on_line = (
            runner,
            argv,
            deadline,
            memory_limit,
            on_line,
        )
        self.name = Path(argv[0]).name
        self.redact = runner.redact or Redactor(secrets(runner.environ)).text
        self.lines: list[str] = []
        self.mark = children.new_mark()
        self.since = 0
        self.written = 0
        self.began = self.heard = time.monotonic()

    def run(self, cwd: Path | None, env: dict[str, str], check: bool) -> int:
        if self.runner.cancel.is_set():
            raise StageFailed("stopped", retry=False)
        if shutil.which(self.argv[0], path=env.get("PATH")) is None:
            raise StageFailed(f"{self.argv[0]} is not installed", hint="add it to the image", retry=False)
        if cwd is not None and not cwd.is_dir():
            raise StageFailed(f"the folder {cwd} does not exist, so {self.name} cannot run there", retry=False)
        self.began, kills = time.monotonic(), memory.oom_kills()
        self.runner.log.parent.mkdir(parents=True, exist_ok=True)
        with self.runner.log.open("a", encoding="utf-8", errors="replace") as log:
            command = shlex.join(self.argv).replace("\n", "\\n")
            log.write(f"$ {self.redact(command)}\n")
            log.flush()
            code = self._attend(log, cwd, {**env, children.MARK: self.mark})
        if code == 0 or (not check and code > 0):
            return code
        seconds = time.monotonic() - self.began
        if memory.oom_kills() > kills and (code < 0 or code == 137 or "illed" in gist(self.lines)):
            raise self._out_of_memory(f"{self.name} was killed because the memory was full")
        if not check:
            return code
        how = f"was killed by {_signal_name(-code)}" if code < 0 else f"ended with {code}"
        reason = gist(self.lines)
        when = "at once" if seconds < 1 else f"after {span(seconds)}"
        raise self._failed(f"{self.name} {how} {when}" + (f": {reason}" if reason else ""))

    def _attend(self, log: IO[str], cwd: Path | None, env: dict[str, str]) -> int:
        prefix = idle_prefix() if self.runner.idle else ()
        process = subprocess.Popen(
            [*prefix, *self.argv],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        # The kernel's choice when memory runs out: JupyterLab and the apps must not be it.
        with contextlib.suppress(OSError):
            Path(f"/proc/{process.pid}/oom_score_adj").write_text("900")
        self.since = children.started(process.pid) or 0
        note = children.record(self.runner.folder, process.pid, self.mark)
        try:
            assert process.stdout is not None
            self._read(process, process.stdout, log)
            return process.wait()
        except BaseException:
            children.end(process.pid, self.mark, self.since)
            process.wait()
            raise
        finally:
            children.end(process.pid, self.mark, self.since)
            if process.stdout is not None:
                process.stdout.close()
            note.unlink(missing_ok=True)

    def _read(self, process: subprocess.Popen[bytes], pipe: IO[bytes], log: IO[str]) -> None:
        """Pass the output on until the program has ended, and what it started has let go of the pipe."""
        os.set_blocking(pipe.fileno(), False)
        rest, open_, ended, weighed = b"", True, 0.0, time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while open_ or process.poll() is None:
                if open_ and selector.select(_TICK):
                    chunk = os.read(pipe.fileno(), 65536)
                    open_ = bool(chunk)
                    *whole, rest = (rest + chunk).split(b"\n")
                    for line in whole:
                        self._line(line, log)
                elif not open_:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(_TICK)
                now = time.monotonic()
                if process.poll() is not None:
                    ended = ended or now
                    if now - ended > _DRAIN:
                        break
                    continue
                if self.memory_limit is not None and now - weighed > _MEMORY_EVERY:
                    weighed = now
                    self._weigh(process.pid)
                self._check(now)
        if rest:
            self._line(rest, log)

    def _line(self, raw: bytes, log: IO[str]) -> None:
        # A progress bar overwrites its line: the last state is what counts.
        line = self.redact(raw.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace"))
        self.heard = time.monotonic()
        self.lines.append(line)
        del self.lines[:-400]
        if self.written < LOG_LIMIT:
            self.written += len(line) + 1
            log.write(line + "\n" if self.written < LOG_LIMIT else "… the rest of this output is left out\n")
            log.flush()
        for shown in (self.runner.echo, self.on_line):
            if shown is not None:
                shown(line)

    def _check(self, now: float) -> None:
        if self.runner.cancel.is_set():
            raise StageFailed("stopped", retry=False)
        if self.deadline is not None and now > self.deadline:
            silent = now - self.heard
            text = f"{self.name} did not end in time and was stopped after {span(now - self.began)}"
            if silent > 30:
                text += f"; it had printed nothing for {span(silent)}"
            raise self._failed(text)

    def _weigh(self, session: int) -> None:
        used = memory.resident(children.members(session, self.mark, self.since))
        if self.memory_limit is not None and used > self.memory_limit:
            raise self._out_of_memory(
                f"{self.name} was stopped because it used {size(used)} of memory"
                f" and only {size(self.memory_limit)} were free for it"
            )

    def _failed(self, message: str) -> StageFailed:
        return StageFailed(message, hint=f"see {self.runner.log}")

    def _out_of_memory(self, message: str) -> OutOfMemory:
        return OutOfMemory(message, hint=f"use a machine with more memory; see {self.runner.log}", retry=False)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


reap = children.reap
