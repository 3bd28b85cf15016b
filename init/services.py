"""Services: supervisor keeps them alive, here they are started, watched and judged."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from init import consequences, process
from init.graph import SERVICE
from init.plan import Plan, ServiceSpec
from init.programs import NoProgram, NoSupervisor, NotStarted, Program, Programs
from init.readiness import Answer, probe
from init.state import ServiceStatus
from init.store import Store

WINDOW = 600.0
"""Seconds within which restarts are counted."""
PACE_READY = 1.0
QUICKEST, SLOWEST = 0.03, 0.25
"""Seconds between two looks at a service that starts: a fortieth of what it has taken so far, within these."""
BUSY = 15
"""Probes in a row that a ready service may leave unanswered: apps do not answer while they compute."""
END = 4096
"""Bytes at a log's end that its last words are looked for in."""


class Watcher:
    """One service's life, in a thread of its own, from its start until `end` or until it is given up."""

    def __init__(
        self,
        plan: Plan,
        spec: ServiceSpec,
        store: Store,
        changed: Callable[[str, ServiceStatus], None],
        restart: bool = False,
    ):
        self._plan, self._spec, self._store, self._changed = plan, spec, store, changed
        self._programs = Programs(Path(plan.paths.run, "supervisor.sock"))
        self._end = threading.Event()
        self._restart = restart
        self._state: ServiceStatus = "waiting"
        self._ends: deque[float] = deque()
        self._seen: tuple[int, int] = (0, 0)
        self._unanswered = self._unheard = 0
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name=f"service {spec.id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Stop watching; the service itself goes on."""
        self._end.set()

    def _watch(self) -> None:
        launched = False
        while not self._end.is_set():
            try:
                if not launched:
                    self._launch()
                    launched = True
                if self._look(self._programs.look(self._spec.id)):
                    return
                self._unheard = 0
            except NoSupervisor as error:
                # It may be on its way out, and take this process with it: no news for the first seconds.
                self._unheard += 1
                if self._unheard > 3 or not launched:
                    self._say("starting", f"{error}; trying again")
                self._end.wait(1.0)
            except NoProgram:
                self._fail("supervisor has no such program: this image was built from another plan; build it again")
                return
            except NotStarted as error:
                self._fail(f"supervisor cannot start it: {error}")
                return
            self._end.wait(self._pace())

    def _pace(self) -> float:
        if self._state in ("ready", "stopped", "failed"):
            return PACE_READY
        return min(SLOWEST, max(QUICKEST, (time.monotonic() - self._began) / 40))

    def _launch(self) -> None:
        program = self._programs.look(self._spec.id)
        if self._restart and program.state not in ("STOPPED", "EXITED", "FATAL"):
            self._say("starting", "stopping it, to start it again")
            self._programs.stop(self._spec.id)
            program = self._programs.look(self._spec.id)
        self._restart = False
        self._began = time.monotonic()
        if program.state in ("STARTING", "RUNNING", "BACKOFF"):
            self._seen = (program.pid, program.start)
            self._store.service(self._spec.id, started=float(program.start))
            return
        self._store.service(self._spec.id, started=time.time(), ready_at=None, restarts=0)
        self._say("starting", "")
        self._programs.start(self._spec.id)

    def _look(self, program: Program) -> bool:
        """One look at the program. True when there is no use in watching on."""
        self._count(program)
        while self._ends and self._ends[0] < time.monotonic() - WINDOW:
            self._ends.popleft()
        ends = len(self._ends) + (program.state in ("BACKOFF", "EXITED", "FATAL"))
        if program.state == "FATAL" or ends > self._spec.restarts:
            self._programs.stop(self._spec.id)
            often = "ended at once" if ends == 1 else f"ended {ends} times within ten minutes"
            self._fail(f"{often}{self._last_words(program)}")
            return True
        if program.state in ("STOPPED", "STOPPING"):
            self._say("stopped", f"stopped by hand; `firstlight retry service:{self._spec.id}` starts it")
        elif program.state in ("EXITED", "UNKNOWN"):
            self._programs.start(self._spec.id)
        elif program.state == "BACKOFF":
            self._say("starting", f"ended at once{self._last_words(program)}; supervisor tries again")
        else:
            self._judge(program, probe(self._spec.ready, self._spec.listen, Path(self._plan.paths.workspace)))
        return False

    def _count(self, program: Program) -> None:
        """Note a new process, or a failed start, since the last look."""
        pid, start = self._seen
        again = program.start != start or (program.pid and pid and program.pid != pid)
        if not again:
            self._seen = (program.pid or pid, start)
            return
        self._seen = (program.pid, program.start)
        if not start:
            return
        self._ends.append(time.monotonic())
        self._began = time.monotonic()
        self._unanswered = 0
        with self._store.together():
            self._store.service(self._spec.id, restarts=len(self._ends), started=float(program.start))
            if self._state in ("ready", "failed"):
                self._say("starting", f"ended, and was started again ({len(self._ends)} of {self._spec.restarts})")

    def _judge(self, program: Program, answer: Answer) -> None:
        if self._spec.ready is None and program.state != "RUNNING":
            answer = Answer(False, "starting")
        if answer.ready:
            self._unanswered = 0
            if self._state != "ready":
                ready_at = self._store.get_service(self._spec.id).ready_at
                if ready_at is None or ready_at < program.start:
                    ready_at = time.time()
                self._store.service(self._spec.id, ready_at=ready_at, consequence=None, repair=None)
                self._say("ready", "")
            return
        within = self._spec.ready.within if self._spec.ready else WINDOW
        if self._state == "ready":
            self._unanswered += 5 if answer.refused else 1
            if self._unanswered < BUSY:
                return
            self._began = time.monotonic()
            self._say("starting", f"was ready, and now {answer.detail}")
        elif self._state == "failed":
            return
        elif time.monotonic() - self._began > within:
            self._fail(f"runs, but after {within:.0f} s it {answer.detail}{self._last_words(program)}")
        else:
            self._say("starting", answer.detail)

    def _say(self, state: ServiceStatus, message: str) -> None:
        if self._end.is_set():
            return
        self._store.service(self._spec.id, state=state, message=message)
        if state != self._state:
            self._state = state
            self._changed(self._spec.id, state)

    def _fail(self, message: str) -> None:
        self._store.service(
            self._spec.id,
            consequence=consequences.of_service(self._spec.title),
            repair=f"firstlight retry service:{self._spec.id}",
        )
        # A stage of the same name, as a source has often, has the plain name.
        kind = SERVICE if any(stage.id == self._spec.id for stage in self._plan.stages) else ""
        self._say("failed", f"{message}; see `firstlight logs {kind}{self._spec.id}`")

    def _last_words(self, program: Program) -> str:
        words = (last_words(program.log) if program.log else "") or program.reason
        return f", last with: {words}" if words else ""


def running(plan: Plan) -> list[str]:
    """Services that run already."""
    programs, found = Programs(Path(plan.paths.run, "supervisor.sock")), []
    for service in plan.services:
        with suppress(NoSupervisor, NoProgram, NotStarted):
            if programs.look(service.id).up:
                found.append(service.id)
    return found


def last_words(log: Path) -> str:
    """The line near the end of a log that tells most about a failure, or nothing."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - END))
            return process.gist(file.read().decode("utf-8", "replace").splitlines()[-20:], 1)
    except OSError:
        return ""
