"""`firstlight run`: works the graph off, and stays to keep watch.

One thread decides (everything that touches the graph goes through its inbox); stages and services have threads of their
own that report to it. A failure is noted and its dependents are blocked: nothing that a stage does ends the runner.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from init import access, consequences, control, eta, graph, guided, lines, process, record, standing
from init.attempt import Attempt, End, Interrupted
from init.graph import SERVICE
from init.outlook import Outlook
from init.plan import Plan, Stage
from init.redact import Redactor, secrets
from init.sets import Sets
from init.specs import ModelsSpec
from init.stages import HANDLERS, Handler
from init.state import ServiceStatus
from init.store import Store
from init.verbs import Verbs

if TYPE_CHECKING:
    from init.services import Watcher

TICK = 1.0
PATIENCE = 8.0
"""Seconds that stages get to end when the runner is asked to."""


class Runner:
    def __init__(self, plan: Plan, environ: Mapping[str, str], handlers: Mapping[str, Handler] = HANDLERS):
        self.plan, self.environ, self.handlers = plan, environ, handlers
        durations = eta.read(plan.paths.state)
        self.graph = graph.of(plan, standing.limits(environ), durations)
        self.redactor = Redactor(secrets(environ))
        with contextlib.suppress(OSError):
            self.redactor.add(access.current(plan.paths))
        self.snapshot = standing.snapshot(plan, environ)
        self.store = Store(self.snapshot, plan.paths.state, Path(plan.paths.run), self.redactor)
        self.outlook = Outlook(plan, durations, self.graph, self.snapshot, self.store)
        self.sets = Sets(plan, environ, self.store)
        self.guided, self.unclear = guided.wanted(environ)
        self.inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.running: dict[str, Attempt] = {}
        self.threads: dict[str, threading.Thread] = {}
        self.watchers: dict[str, Watcher] = {}
        self.again: set[str] = set()
        self.marks: dict[str, str] = {}
        self.results: dict[str, dict[str, Any]] = {}
        self.problems: list[str] = []
        self.exit: int | None = None

    def run(self) -> int:
        """Until SIGTERM (0) or SIGINT (130)."""
        signal.signal(signal.SIGTERM, lambda *_: self.inbox.put(lambda: self._leave(0)))
        signal.signal(signal.SIGINT, lambda *_: self.inbox.put(lambda: self._leave(130)))
        process.reap(Path(self.plan.paths.run))
        self.store.listener = _print
        # Before the state is written: whoever reads that asks whether its runner is there.
        server = control.Server(Path(self.plan.paths.run), Verbs(self).do)
        self.store.start()
        self._select()
        self._guard(self.outlook.predict)
        self._guard(self._launch_stages)
        ticked, adopted = time.monotonic(), False
        while self.exit is None:
            self._guard(self._launch)
            with contextlib.suppress(Empty):
                self._guard(self.inbox.get(timeout=TICK))
            if time.monotonic() - ticked >= TICK:
                ticked = time.monotonic()
                self._guard(self._tick)
                if not adopted:
                    # Not before: it has to be loaded, and the first stages are loading what they need.
                    adopted = True
                    self._guard(self._adopt)
        server.close()
        self._stop()
        return self.exit

    def reset(self, ids: list[str]) -> None:
        """Show that these wait again."""
        for key in ids:
            if key.startswith(SERVICE):
                service = key.removeprefix(SERVICE)
                self.store.service(service, state="waiting", message="", consequence=None, repair=None)
            else:
                clear: dict[str, Any] = dict.fromkeys(("started", "ended", "rate_bps", "consequence", "repair"))
                clear["bytes_done"] = None if self.store.get_stage(key).bytes_total is None else 0
                self.store.stage(key, state="waiting", message="", **clear)
        self._judge()

    def release(self, keys: list[str]) -> None:
        """Let these begin that wait for the user."""
        for key in keys:
            self.graph.release(key)
            if self.guided:
                guided.begin(self.plan, key)
            self._tell(key, message="", repair=None)
        self._judge()

    def skip(self, stage: Stage, message: str) -> None:
        """A model set that nobody wants: what needs it goes on without."""
        self.marks[stage.id] = record.fingerprint(stage, {}, {})
        self.store.stage(stage.id, state="skipped", message=message, rate_bps=None, consequence=None, repair=None)
        for key in self.graph.ended(stage.id, "skipped"):
            self._blocked(key)

    def serve(self, name: str, restart: bool = False) -> None:
        """Start a service, or take up watching one that runs."""
        spec = next(service for service in self.plan.services if service.id == name)
        if self.guided:
            guided.begin(self.plan, SERVICE + name)
        self.graph.started(SERVICE + name)
        if name in self.watchers:
            self.watchers[name].end()
        from init.services import Watcher

        watcher: Watcher

        def changed(_: str, status: ServiceStatus) -> None:
            self.inbox.put(lambda: self._service_changed(name, status) if self.watchers[name] is watcher else None)

        watcher = self.watchers[name] = Watcher(self.plan, spec, self.store, changed, restart)
        self.store.service(name, consequence=None, repair=None)
        watcher.start()

    def pause(self, stage: Stage) -> None:
        """Let a model set rest: what there is of its files stays, and it goes on from there."""
        self.graph.hold(stage.id)
        self._interrupt(stage)
        self.store.stage(stage.id, state="waiting", message="paused", rate_bps=None)
        self._judge()

    def drop(self, stage: Stage, delete: bool) -> int:
        """Take a model set back; the bytes that this frees."""
        assert isinstance(stage.spec, ModelsSpec)
        self._interrupt(stage)
        record.drop(self.plan, stage)
        others = [s.spec for s in self.plan.stages if s is not stage and self.graph.state[s.id] != "skipped"]
        return self.sets.drop(stage.spec, [spec for spec in others if isinstance(spec, ModelsSpec)], delete)

    def _interrupt(self, stage: Stage) -> None:
        """What it may still say counts no more."""
        attempt = self.running.pop(stage.id, None)
        if attempt is not None:
            attempt.end()
            self.threads.pop(stage.id, None)

    def _select(self) -> None:
        chosen = self.sets.select()
        self.problems = [*self.unclear, *chosen.problems]
        for stage in self.plan.stages:
            if isinstance(stage.spec, ModelsSpec) and stage.spec.set not in chosen.chosen:
                self.skip(stage, f"not selected; `firstlight models add {stage.spec.set}` fetches it")
            elif isinstance(stage.spec, ModelsSpec):
                self.sets.queue(stage.spec)
        for key in guided.waiting(self.plan, self.graph) if self.guided else []:
            self.graph.hold(key)
            self._tell(key, **guided.told(self.plan, key))
        self._judge()

    def _tell(self, key: str, **changes: Any) -> None:
        """Change fields of a stage, or of `service:ID`."""
        if key.startswith(SERVICE):
            self.store.service(key.removeprefix(SERVICE), **changes)
        else:
            self.store.stage(key, **changes)

    def _adopt(self) -> None:
        """Services that outlived an earlier runner are watched at once, whatever their needs are up to."""
        from init.services import running

        for name in running(self.plan):
            if name not in self.watchers:
                self.serve(name)

    def _launch(self) -> None:
        self._launch_stages()
        for key in self.graph.ready():
            if key.startswith(SERVICE):
                self.serve(key.removeprefix(SERVICE))

    def _launch_stages(self) -> None:
        for key in self.graph.ready():
            if not key.startswith(SERVICE):
                self._start(self.plan.stage(key))

    def _start(self, stage: Stage) -> None:
        if self.guided:
            guided.begin(self.plan, stage.id)
        self.graph.started(stage.id)
        attempt = Attempt(
            plan=self.plan,
            stage=stage,
            handler=self.handlers[stage.kind],
            environ=self.environ,
            redactor=self.redactor,
            tell=lambda **changes: self.store.stage(stage.id, **changes),
            marks={need.id: self.marks.get(need.id, "") for need in stage.needs if not need.soft},
            results=dict(self.results),
            fetcher=self.sets.fetcher,
            again=stage.id in self.again,
        )
        self.again.discard(stage.id)
        # What there is to load for its work is part of it.
        begun = {"state": "running", "attempt": 1, "message": ""} if attempt.fresh() else {}
        self.store.stage(stage.id, started=time.time(), ended=None, **begun)

        def work() -> None:
            try:
                end: End | None = attempt.run()
            except Interrupted:
                end = None
            self.inbox.put(lambda: self._ended(stage, attempt, end))

        self.running[stage.id] = attempt
        self.threads[stage.id] = threading.Thread(target=work, name=f"stage {stage.id}", daemon=True)
        self.threads[stage.id].start()

    def _ended(self, stage: Stage, attempt: Attempt, end: End | None) -> None:
        if self.running.get(stage.id) is not attempt:
            return
        del self.running[stage.id], self.threads[stage.id]
        if end is None:
            self.graph.state[stage.id] = "waiting"
            self.store.stage(stage.id, state="waiting", message="interrupted", rate_bps=None)
            return
        self.marks[stage.id], self.results[stage.id] = end.mark, end.result
        shown, now = self.store.get_stage(stage.id), time.time()
        self.store.stage(
            stage.id,
            state=end.state,
            started=now if end.took is None else shown.started,
            ended=now,
            result=end.result,
            rate_bps=None,
            bytes_done=shown.bytes_total if end.state == "done" else shown.bytes_done,
            **consequences.of_end(self.plan, self.graph, stage, end),
        )
        if isinstance(stage.spec, ModelsSpec) and end.took is None:
            self.sets.show_present(stage.spec)
        if end.state == "done" and end.took is not None:
            self.outlook.remember(stage.id, end.took)
        for key in self.graph.ended(stage.id, end.state):
            self._blocked(key)
        self._judge()

    def _blocked(self, key: str) -> None:
        told = consequences.of_block(self.plan, self.graph, key)
        self._tell(key, state="failed" if key.startswith(SERVICE) else "blocked", **told)

    def _service_changed(self, name: str, status: ServiceStatus) -> None:
        key = SERVICE + name
        if status == "ready" and self.graph.state[key] != "done":
            if self.graph.state[key] != "running":
                self.reset([other for other in self.graph.reset(key) if other != key])
            state = self.store.get_service(name)
            if state.started and state.ready_at and not state.restarts and state.ready_at > state.started:
                self.outlook.remember(key, state.ready_at - state.started)
            self.graph.ended(key, "done")
        elif status == "failed":
            for other in self.graph.ended(key, "failed"):
                self._blocked(other)
        self._judge()

    def _judge(self) -> None:
        with self.store.together():
            self.store.top(standing.judge(self.snapshot), "; ".join(self.problems))
            self.outlook.tell()
        self.outlook.measure()

    def _tick(self) -> None:
        self.outlook.keep()
        self.outlook.tell()
        self.outlook.measure()
        self.show_sets()

    def show_sets(self) -> None:
        self.store.sets(self.sets.shown(self.snapshot, self.graph))

    def _guard(self, step: Callable[[], None]) -> None:
        """A mistake of ours must not take the runner down: it is logged, the rest goes on."""
        try:
            step()
        except Exception:
            print(self.redactor.text(traceback.format_exc()), file=sys.stderr, flush=True)

    def _leave(self, code: int) -> None:
        self.exit = code

    def _stop(self) -> None:
        for watcher in self.watchers.values():
            watcher.end()
        for attempt in self.running.values():
            attempt.end()
        deadline = time.monotonic() + PATIENCE
        for thread in self.threads.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        while not self.inbox.empty():
            self._guard(self.inbox.get())
        self._guard(self.sets.stop)
        self.outlook.keep()
        for key in self.running:
            self.store.stage(key, state="waiting", message="interrupted", rate_bps=None)
        self.store.close()


def _print(event: dict[str, Any]) -> None:
    text = lines.line(event)
    if text is not None:
        with contextlib.suppress(OSError):
            print(text, flush=True)
