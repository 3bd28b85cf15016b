"""What is still to come: how long it will take, and whether the workspace has room for it."""

from __future__ import annotations

import contextlib
import shutil
import time
from math import isinf

from init import eta, guess, guided
from init.graph import Graph
from init.headline import headline
from init.plan import Plan
from init.state import Snapshot
from init.store import Store


class Outlook:
    """Belongs to the runner's own thread. `durations`: seconds of earlier starts, by node."""

    def __init__(self, plan: Plan, durations: dict[str, float], graph: Graph, snapshot: Snapshot, store: Store):
        self._paths, self._durations, self._graph = plan.paths, durations, graph
        self._snapshot, self._store = snapshot, store
        self._guesses = guess.of(plan)
        self._changed = False

    def remember(self, key: str, took: float) -> None:
        """How long a node took; `keep` writes it down."""
        self._durations[key] = took
        self._changed = True

    def _progress(self, span: list[float] | None, now: float) -> float:
        """Time passed over time passed and left. It goes back only when there is more to do than before."""
        if self._snapshot.phase != "starting":
            return 1.0
        if span is None:
            return self._snapshot.progress
        passed, left = now - self._snapshot.boot.started, eta.Bounds(*span).middle
        share = min(0.99, passed / max(0.1, passed + left))
        before = self._snapshot.progress if self._snapshot.progress < 1.0 else 0.0
        return round(max(share, before), 3)

    def keep(self) -> None:
        if self._changed:
            self._changed = False
            with contextlib.suppress(OSError):
                eta.write(self._paths.state, self._durations)

    def predict(self) -> None:
        """Put into the state what is foreseen now, before anything has begun: the middle between least and most."""
        now = time.time()
        left = eta.bounds(self._graph, self._snapshot, self._durations, now, self._guesses)
        spans = eta.simulate(self._graph, {key: found.middle for key, found in left.items()})
        passed = now - self._snapshot.boot.started
        foreseen = {
            key: [round(span.start + passed, 1), round(span.end + passed, 1)]
            for key, span in spans.items()
            if not isinf(span.end)
        }
        self._store.predict(foreseen)

    def tell(self) -> None:
        """Put into the state what is left."""
        now, graph, snapshot = time.time(), self._graph, self._snapshot
        left = eta.remaining(graph, snapshot, self._durations, now)
        bounds = eta.bounds(graph, snapshot, self._durations, now, self._guesses)
        span = eta.range_until_ready(graph, bounds) if snapshot.phase == "starting" else None
        self._store.estimate(
            eta_s=eta.until_ready(graph, left),
            eta_range=span,
            progress=self._progress(span, now),
            critical=eta.chain(graph, {key: found.middle for key, found in bounds.items()}) if span else [],
        )
        for key, state in graph.state.items():
            self._store.waits(key, graph.unmet(key) if state == "waiting" else [])
        untimed = eta.untimed(graph, snapshot, self._durations, bounds)
        self._store.headline(guided.headline(snapshot) or headline(snapshot, untimed))

    def measure(self) -> None:
        """Put into the state how much room there is, and how much is needed."""
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(self._paths.workspace).free
            files = [file for file in self._snapshot.files if file.state not in ("done", "skipped")]
            needed = sum(max(0, (file.bytes_total or 0) - file.bytes_done) for file in files)
            if needed or self._snapshot.disk.get("needed", 1):
                self._store.disk(free, needed)
