"""What the events of a start tell: what ran when, what it waited for, and which chain made the wait."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from init import eta
from init.graph import SERVICE
from init.journal import STATE, events

BEGINS = frozenset({"running", "verifying", "starting"})
ENDS = frozenset({"done", "ready", "skipped", "degraded", "failed", "stopped"})


@dataclass
class Span:
    """A stretch of work; seconds since the start of the container. `end` None: it goes on."""

    id: str
    start: float
    end: float | None
    state: str


@dataclass
class History:
    """One start."""

    boot: str
    title: str
    started: float
    needs: dict[str, list[str]]
    spans: list[Span] = field(default_factory=list)
    critical: list[str] = field(default_factory=list)
    """The chain that made the wait, in order."""
    last: float = 0.0
    predicted: dict[str, tuple[float, float]] = field(default_factory=dict)
    """When each was foreseen to begin and end, before anything had begun; seconds since the start of the container."""

    def foreseen(self, key: str) -> float | None:
        """Seconds that it was thought to take."""
        span = self.predicted.get(key)
        return None if span is None else span[1] - span[0]

    @property
    def rows(self) -> list[str]:
        """Ids in the order in which they began."""
        return list(dict.fromkeys(span.id for span in sorted(self.spans, key=lambda span: span.start)))

    def of(self, key: str) -> list[Span]:
        return [span for span in self.spans if span.id == key]

    def took(self, key: str) -> float:
        return sum((self.last if span.end is None else span.end) - span.start for span in self.of(key))

    def waited_for(self, key: str) -> str | None:
        """The need that ended last before `key` first began."""
        begun = self.of(key)[0].start
        ends = {need: self._end(need) for need in self.needs.get(key, []) if self.of(need)}
        before = {need: end for need, end in ends.items() if end is not None and end <= begun + 0.5}
        return max(before, key=lambda need: before[need]) if before else None

    def _end(self, key: str) -> float | None:
        return self.of(key)[0].end


def read(folder: Path, boot: str | None = None) -> History | None:
    """The start with this key, or the n-th before the last one (`-1`); without, the last. None when there is none."""
    starts: dict[str, list[dict[str, Any]]] = {}
    for event in events(folder):
        starts.setdefault(str(event.get("boot")), []).append(event)
    names = [name for name, found in starts.items() if any(event["event"] == "boot" for event in found)]
    if boot is not None and boot.lstrip("-").isdigit():
        back = int(boot.lstrip("-"))
        boot = names[-1 - back] if back < len(names) else None
    elif boot is None:
        boot = names[-1] if names else None
    if boot is None or boot not in names:
        return None
    past = of(starts[boot])
    if boot == names[-1] and any(span.end is None for span in past.spans):
        # What runs has no event yet; the state was written while it ran.
        with contextlib.suppress(OSError):
            past.last = max(past.last, (folder / STATE).stat().st_mtime - past.started)
    return past


def of(found: Iterable[dict[str, Any]]) -> History:
    """What the events of one start say. A runner that was killed and came back is part of the same start."""
    past: History | None = None
    running: dict[str, Span] = {}
    for event in found:
        if event["event"] == "boot":
            if past is None:
                past = History(str(event["boot"]), str(event.get("title", "")), float(event["started"]), {})
            past.needs.update(event.get("needs", {}))
            for span in running.values():
                span.end, span.state = past.last, "interrupted"
            running.clear()
        if past is not None and event["event"] == "predicted" and not past.predicted:
            past.predicted = {key: (float(span[0]), float(span[1])) for key, span in event["spans"].items()}
        if past is None or event["event"] not in ("stage", "service"):
            continue
        key = (SERVICE if event["event"] == "service" else "") + str(event["id"])
        now, state = float(event["at"]) - past.started, str(event["state"])
        past.last = max(past.last, now)
        if state in BEGINS:
            if key not in running:
                running[key] = Span(key, now, None, state)
                past.spans.append(running[key])
        elif key in running:
            running[key].end, running[key].state = now, state if state in ENDS else "interrupted"
            del running[key]
        elif state in ENDS and not (state in ("failed", "skipped") and not past.of(key)):
            past.spans.append(Span(key, now, now, state))
    assert past is not None
    past.critical = critical(past)
    return past


def critical(past: History) -> list[str]:
    """The chain behind what ended last: a service, where there are any."""
    ends = {span.id: span.end for span in reversed(past.spans) if span.end is not None}
    goals = [key for key in ends if key.startswith(SERVICE)] or list(ends)
    if not goals:
        return []
    return eta.critical(ends, past.needs, max(goals, key=lambda key: ends[key]))
