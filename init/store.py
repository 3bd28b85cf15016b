"""Holds the snapshot and has it written down: a transition at once, progress at most once a second.

Changes come from many threads; one thread writes, so that no stage waits for a slow volume.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from init.graph import SERVICE
from init.journal import Journal
from init.redact import Redactor
from init.state import (
    EVENT_SCHEMA,
    FileState,
    Headline,
    Phase,
    ServiceState,
    SetState,
    Snapshot,
    StageState,
    dump,
)

PACE = 1.0
"""Seconds between two writes of mere progress."""


class Store:
    def __init__(self, snapshot: Snapshot, folder: Path, run: Path | None, redactor: Redactor):
        self._snapshot = snapshot
        self._stages = {stage.id: stage for stage in snapshot.stages}
        self._services = {service.id: service for service in snapshot.services}
        self._files = {(file.set, file.path): file for file in snapshot.files}
        self._journal = Journal(folder, run, snapshot.boot.id)
        self._redactor = redactor
        self._lock = threading.RLock()
        self._wake = threading.Condition(self._lock)
        self._events: list[str] = []
        self._dirty = False
        self._urgent = False
        self._closed = False
        self.listener: Callable[[dict[str, Any]], None] | None = None
        """Hears every event, redacted, in order; must not call back."""
        self._thread = threading.Thread(target=self._write_forever, name="store", daemon=True)

    def start(self) -> None:
        self._journal.tidy()
        snapshot = self._snapshot
        self.event(
            "boot",
            schema=EVENT_SCHEMA,
            image=snapshot.image,
            revision=snapshot.revision,
            started=snapshot.boot.started,
            runner_started=snapshot.boot.runner_started,
            title=snapshot.title,
            needs={stage.id: stage.needs for stage in snapshot.stages}
            | {f"service:{service.id}": service.needs for service in snapshot.services},
        )
        self._thread.start()

    def close(self) -> None:
        """Write what is left, and stop writing."""
        with self._wake:
            self._closed = self._dirty = self._urgent = True
            self._wake.notify_all()
        if self._thread.ident is not None:
            self._thread.join(10)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What is changed meanwhile is seen and written down as a whole."""
        with self._lock:
            yield

    def stage(self, id: str, **changes: Any) -> None:
        """Change a stage's fields; a new `state` is a transition and becomes an event."""
        with self._wake:
            self._change("stage", self._stages[id], changes)

    def service(self, id: str, **changes: Any) -> None:
        with self._wake:
            self._change("service", self._services[id], changes)

    def file(self, file: FileState) -> None:
        """Take over the state of one model file."""
        with self._wake:
            key = (file.set, file.path)
            known = self._files.get(key)
            if known is None:
                known = self._files[key] = replace(file)
                self._snapshot.files.append(known)
                known.message = self._redactor.text(known.message)
                self._touch(urgent=False)
            else:
                self._change("file", known, asdict(file), urgent=False)

    def forget_files(self, set: str) -> None:
        with self._wake:
            self._files = {key: file for key, file in self._files.items() if file.set != set}
            self._snapshot.files = list(self._files.values())
            self._touch(urgent=False)

    def top(self, phase: Phase | None = None, message: str | None = None) -> None:
        """Change what stands above stages and services."""
        with self._wake:
            snapshot = self._snapshot
            if message is not None:
                message = self._redactor.text(message)
                if message != snapshot.message:
                    snapshot.message = message
                    self._touch(urgent=True)
            if phase is not None and phase != snapshot.phase:
                snapshot.phase = phase
                self._event("phase", {"phase": phase, "message": snapshot.message})
                self._touch(urgent=True)

    def estimate(self, **outlook: Any) -> None:
        """Change what is foreseen: `eta_s`, `eta_range`, `progress`, `critical`."""
        with self._wake:
            self._foresee(self._snapshot, outlook)

    def headline(self, headline: Headline) -> None:
        headline.text = self._redactor.text(headline.text)
        with self._wake:
            before = self._snapshot.headline
            if headline != before:
                self._snapshot.headline = headline
                self._touch(urgent=headline.tone != before.tone)

    def waits(self, key: str, needs: list[str]) -> None:
        """Change what a stage, or `service:ID`, waits for."""
        with self._wake:
            self._foresee(self._node(key), {"waits_for": needs})

    def predict(self, spans: Mapping[str, list[float]]) -> None:
        """Note when everything should begin and end, in seconds since the boot, by stage or `service:ID`."""
        with self._wake:
            for key, span in spans.items():
                self._node(key).predicted = span
            self._event("predicted", {"spans": dict(spans)})
            self._touch(urgent=False)

    def sets(self, sets: list[SetState]) -> None:
        with self._wake:
            if sets != self._snapshot.sets:
                before = [(each.selected, each.paused) for each in self._snapshot.sets]
                self._snapshot.sets = sets
                # What the user has chosen is seen at once; how much is there may wait.
                self._touch(urgent=before != [(each.selected, each.paused) for each in sets])

    def _foresee(self, item: Any, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if getattr(item, name) != value:
                setattr(item, name, value)
                self._touch(urgent=False)

    def _node(self, key: str) -> StageState | ServiceState:
        return self._services[key.removeprefix(SERVICE)] if key.startswith(SERVICE) else self._stages[key]

    def disk(self, free: int, needed: int) -> None:
        """Bytes of the workspace."""
        with self._wake:
            disk = {"free": free, "needed": needed}
            if disk != self._snapshot.disk:
                self._snapshot.disk = disk
                self._touch(urgent=False)

    def event(self, name: str, **fields: Any) -> None:
        with self._wake:
            self._event(name, fields)
            self._touch(urgent=True)

    def get_stage(self, id: str) -> StageState:
        """A copy."""
        with self._lock:
            return replace(self._stages[id])

    def get_service(self, id: str) -> ServiceState:
        with self._lock:
            return replace(self._services[id])

    def text(self) -> str:
        """The snapshot as JSON."""
        with self._lock:
            self._snapshot.updated = time.time()
            return dump(self._snapshot)

    def _change(self, what: str, item: Any, changes: dict[str, Any], urgent: bool = True) -> None:
        before = item.state
        for name, value in changes.items():
            setattr(item, name, self._redactor.value(value) if name in _TEXTS else value)
        if item.state == before:
            self._touch(urgent=False)
            return
        if what == "file":
            shown = {"path": item.path, "set": item.set, "state": item.state, "message": item.message}
        else:
            shown = {name: getattr(item, name, None) for name in _SHOWN}
        self._event(what, {name: value for name, value in shown.items() if value not in (None, "")})
        self._touch(urgent)

    def _event(self, name: str, fields: dict[str, Any]) -> None:
        line = {"at": round(time.time(), 3), "boot": self._snapshot.boot.id, "event": name, **fields}
        line = self._redactor.value(line)
        self._events.append(json.dumps(line, ensure_ascii=False) + "\n")
        if self.listener is not None:
            self.listener(line)

    def _touch(self, urgent: bool) -> None:
        if not self._dirty or (urgent and not self._urgent):
            self._wake.notify_all()
        self._dirty = True
        self._urgent = self._urgent or urgent

    def _write_forever(self) -> None:
        written = 0.0
        while True:
            with self._wake:
                while not self._urgent:
                    rest = written + PACE - time.monotonic() if self._dirty else None
                    if rest is not None and rest <= 0:
                        break
                    self._wake.wait(rest)
                self._dirty = self._urgent = False
                closed = self._closed
                events, self._events = self._events, []
                self._snapshot.updated = time.time()
                text = dump(self._snapshot)
            self._journal.append(events)
            self._journal.replace(text)
            written = time.monotonic()
            if closed:
                return


_TEXTS = frozenset({"message", "consequence", "repair", "result"})
_SHOWN = ("id", "state", "attempt", "message", "consequence", "repair", "bytes_done", "bytes_total", "url")
