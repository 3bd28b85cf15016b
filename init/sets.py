"""The model sets of a start: which of them are wanted, what fetches them, and the files that they show."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from init import selection
from init.plan import ModelsSpec, Plan
from init.state import FileState
from init.store import Store


class Sets:
    """Thread-safe as far as `fetcher` goes; everything else belongs to the runner's own thread."""

    def __init__(self, plan: Plan, environ: Mapping[str, str], store: Store):
        self._plan, self._environ, self._store = plan, environ, store
        self._fetcher: Any = None
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
                size = (self._plan.models / file.path).stat().st_size
                self._store.file(FileState(file.path, spec.set, "done", size, size))

    def drop(self, spec: ModelsSpec, others: Iterable[ModelsSpec], delete: bool) -> int:
        """No longer fetch the set, nor show it. With `delete` its files go too, unless one of `others` has them;
        returns the bytes."""
        if self._fetcher is not None:
            self._fetcher.drop(spec.set)
        self._store.forget_files(spec.set)
        shared = {file.path for other in others for file in other.files}
        freed = 0
        for file in spec.files if delete else []:
            path = self._plan.models / file.path
            if file.path not in shared:
                with contextlib.suppress(FileNotFoundError):
                    freed += path.stat().st_size
                    path.unlink()
        return freed
