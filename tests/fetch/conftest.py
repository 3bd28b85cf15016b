"""A runner's downloads in a folder of their own, against a test origin."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from init.fetch import Fetcher, FetchResult, Tuning
from init.specs import FileSpec
from init.state import FileState
from tests.origin import Origin
from tests.origin.server import Published

QUICK = Tuning(poll=0.1, backoff=0.05, calm=False, processes=2, beat=0.2, dead=1.0)


def spec(file: Published, path: str | None = None, *, locked: bool = True) -> FileSpec:
    """What a plan says about a file, with or without what a lock knows."""
    path = path or file.name or file.key
    if not locked:
        return FileSpec(path, file.url)
    return FileSpec(path, file.url, file.commit or None, file.size, file.sha256)


class Kitchen:
    """Fetchers on one volume; all are stopped at the end."""

    def __init__(self, folder: Path, origin: Origin):
        self.folder, self.origin = folder, origin
        self.models, self.state = folder / "models", folder / ".firstlight"
        self.environ = {
            **{name: value for name, value in os.environ.items() if "TOKEN" not in name},
            "HF_ENDPOINT": origin.url,
            "CIVITAI_ENDPOINT": origin.url,
        }
        self.told: list[FileState] = []
        self._running: list[Fetcher] = []

    def fetcher(self, **tuning: Any) -> Fetcher:
        run, logs = self.folder / f"run{len(self._running)}", self.folder / "logs"
        settings = replace(QUICK, **tuning)
        fetcher = Fetcher(self.models, self.state, run, logs, self.environ, self._hear, settings)
        fetcher.start()
        self._running.append(fetcher)
        return fetcher

    def _hear(self, state: FileState) -> None:
        self.told.append(state)

    def fetch(self, *specs: FileSpec, **tuning: Any) -> FetchResult:
        """One set, from start to end."""
        fetcher = self.fetcher(**tuning)
        try:
            return fetcher.fetch("set", list(specs), True, threading.Event())
        finally:
            fetcher.stop()

    def messages(self) -> str:
        return "\n".join(state.message for state in self.told)

    def check(self, *files: Published) -> None:
        """The files are in place as published, and nothing else stands beside them."""
        from init.fetch.verify import digest

        for file in files:
            assert digest(self.models / (file.name or file.key)) == file.sha256
        assert self.leftovers() == []

    def leftovers(self) -> list[str]:
        """Partial files and the like, by name."""
        return sorted(
            path.name
            for path in self.models.rglob("*")
            if path.name.endswith((".part", ".aria2", ".bad", ".new", "__temp")) or ".firstlight" in path.name
        )

    def stop(self) -> None:
        for fetcher in self._running:
            fetcher.stop()


@pytest.fixture
def kitchen(tmp_path: Path, origin: Origin) -> Iterator[Kitchen]:
    kitchen = Kitchen(tmp_path, origin)
    yield kitchen
    origin.clear()
    kitchen.stop()


class Background:
    """A call in a thread of its own."""

    def __init__(self, call: Callable[[], Any]):
        self.value: Any = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(call,), daemon=True)
        self._thread.start()

    def _run(self, call: Callable[[], Any]) -> None:
        try:
            self.value = call()
        except BaseException as error:
            self.error = error

    @property
    def over(self) -> bool:
        return not self._thread.is_alive()

    def join(self, within: float = 60.0) -> Any:
        """The value. Raises what the call raised."""
        self._thread.join(within)
        assert self.over, "still running"
        if self.error is not None:
            raise self.error
        return self.value
