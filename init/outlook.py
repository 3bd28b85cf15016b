"""What is still to come: how long it will take, and whether the workspace has room for it."""

from __future__ import annotations

import contextlib
import shutil
import time

from init import eta
from init.graph import Graph
from init.plan import Paths
from init.state import Snapshot
from init.store import Store


class Outlook:
    """Belongs to the runner's own thread. `durations`: seconds of earlier starts, by node."""

    def __init__(self, paths: Paths, durations: dict[str, float], graph: Graph, snapshot: Snapshot, store: Store):
        self._paths, self._durations, self._graph = paths, durations, graph
        self._snapshot, self._store = snapshot, store
        self._changed = False

    def remember(self, key: str, took: float) -> None:
        """How long a node took; `keep` writes it down."""
        self._durations[key] = took
        self._changed = True

    def keep(self) -> None:
        if self._changed:
            self._changed = False
            with contextlib.suppress(OSError):
                eta.write(self._paths.state, self._durations)

    def tell(self) -> None:
        """Put into the state what is left."""
        left = eta.remaining(self._graph, self._snapshot, self._durations, time.time())
        self._store.estimate(eta.until_ready(self._graph, left))
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(self._paths.workspace).free
            files = [file for file in self._snapshot.files if file.state not in ("done", "skipped")]
            needed = sum(max(0, (file.bytes_total or 0) - file.bytes_done) for file in files)
            if needed or self._snapshot.disk.get("needed", 1):
                self._store.disk(free, needed)
