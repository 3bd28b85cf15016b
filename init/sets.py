"""The model sets of a start: which of them are wanted, what fetches them, and the files that they show."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from init import selection
from init.graph import Graph
from init.lines import size
from init.plan import Plan
from init.specs import ModelsSpec
from init.state import FileState, SetState, Snapshot
from init.store import Store


class Sets:
    """Thread-safe as far as `fetcher` goes; everything else belongs to the runner's own thread."""

    def __init__(self, plan: Plan, environ: Mapping[str, str], store: Store):
        self._plan, self._environ, self._store = plan, environ, store
        self._fetcher: Any = None
        self._found: dict[str, tuple[int, int]] = {}
        self._making = threading.Lock()
        self.changes = selection.read(plan.paths.state)
        """What the user added and dropped; `keep` makes it last."""

    def select(self) -> selection.Selection:
        return selection.select(self._plan, self._environ, self.changes)

    def keep(self) -> None:
        """Raises OSError."""
        selection.write(self._plan.paths.state, self.changes)

    def fetcher(self) -> Any:
        """Made when the first stage wants it: a start with nothing to fetch runs no aria2."""
        with self._making:
            if self._fetcher is None:
                from init.fetch import Fetcher

                paths = self._plan.paths
                fetcher = Fetcher(
                    models=self._plan.models,
                    state=paths.state,
                    run=Path(paths.run),
                    logs=Path(paths.logs),
                    environ=self._environ,
                    on_file=self._store.file,
                )
                fetcher.start()
                self._fetcher = fetcher
            return self._fetcher

    def stop(self) -> None:
        with self._making:
            if self._fetcher is not None:
                self._fetcher.stop()

    def queue(self, spec: ModelsSpec) -> None:
        """Show the set's files as still to come."""
        for file in spec.files:
            self._store.file(FileState(file.path, spec.set, bytes_total=file.size))

    def show_present(self, spec: ModelsSpec) -> None:
        """Show the set's files as done, with the sizes that they have."""
        for file in spec.files:
            with contextlib.suppress(OSError):
                there = (self._plan.models / file.path).stat().st_size
                self._store.file(FileState(file.path, spec.set, "done", there, there))

    def shown(self, snapshot: Snapshot, graph: Graph) -> list[SetState]:
        """All sets of the plan, with what of them is here."""
        here: dict[str, list[FileState]] = {}
        for file in snapshot.files:
            here.setdefault(file.set, []).append(file)
        free, needed = snapshot.disk.get("free"), snapshot.disk.get("needed", 0)
        found = []
        for stage in self._plan.stages:
            if not isinstance(spec := stage.spec, ModelsSpec):
                continue
            # What the lock does not know, the hub has told for those that are fetched.
            told = {file.path: file.bytes_total for file in here.get(spec.set, [])}
            sizes = [told.get(file.path) if file.size is None else file.size for file in spec.files]
            shown = SetState(
                name=spec.set,
                stage=stage.id,
                files=len(spec.files),
                bytes_total=None if None in sizes else sum(size or 0 for size in sizes),
                default=spec.default,
                required=spec.required,
                selected=graph.state[stage.id] != "skipped",
                paused=stage.id in graph.held,
                license=spec.license,
            )
            if spec.set in here:
                shown.bytes_have = sum(file.bytes_done for file in here[spec.set])
                shown.verified = sum(file.state == "done" for file in here[spec.set])
            else:
                shown.bytes_have, shown.verified = self._there(spec)
            lacking = (shown.bytes_total or 0) - shown.bytes_have
            if not shown.selected and free is not None and lacking > free - needed:
                room = f"{size(free)} are free"
                besides = f", and {size(needed)} of them are for what is selected" if needed else ""
                shown.problem = f"needs {size(lacking)} more; {room}{besides}"
            found.append(shown)
        return found

    def _there(self, spec: ModelsSpec) -> tuple[int, int]:
        """Bytes of the files of a set that nobody fetches, and how many of them the ledger vouches for; looked at
        once, as volumes may be slow."""
        if spec.set not in self._found:
            from init.fetch.ledger import Ledger

            ledger, sizes, verified = Ledger(self._plan.paths.state), [], 0
            for file in spec.files:
                with contextlib.suppress(OSError):
                    there = (self._plan.models / file.path).stat().st_size
                    if file.size in (None, there):
                        sizes.append(there)
                        verified += ledger.vouches(self._plan.models, file)
            self._found[spec.set] = sum(sizes), verified
        return self._found[spec.set]

    def drop(self, spec: ModelsSpec, others: Iterable[ModelsSpec], delete: bool) -> int:
        """No longer fetch the set, nor show it. With `delete` its files go too, unless one of `others` has them;
        returns the bytes."""
        if self._fetcher is not None:
            self._fetcher.drop(spec.set)
        self._store.forget_files(spec.set)
        self._found.clear()
        shared = {file.path for other in others for file in other.files}
        freed = 0
        for file in spec.files if delete else []:
            path = self._plan.models / file.path
            if file.path not in shared:
                with contextlib.suppress(FileNotFoundError):
                    freed += path.stat().st_size
                    path.unlink()
        return freed
