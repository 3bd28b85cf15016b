"""What the rest of the runner sees of downloads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from init.failure import StageFailed
from init.fetch import single
from init.fetch.board import Board
from init.fetch.dispatch import Dispatcher
from init.fetch.job import FetchResult, Progress, Want
from init.fetch.queue import result
from init.fetch.workers import Tuning
from init.specs import FileSpec
from init.state import FileState


class Fetcher:
    """Fetches sets of files. Thread-safe: several sets at once, required ones first."""

    def __init__(
        self,
        models: Path,
        state: Path,
        run: Path,
        logs: Path,
        environ: Mapping[str, str],
        on_file: Callable[[FileState], None],
        tuning: Tuning | None = None,
    ):
        """`models`: where files go; `state`: ledger and lease, on the same volume; `run`: aria2's configuration."""
        self._models, self._state, self._run, self._environ = models, state, run, environ
        self._on_file, self._tuning = on_file, tuning or Tuning()
        self._dispatcher: Dispatcher | None = None

    def start(self) -> None:
        """Make the folders and begin to take orders; nothing is asked or started before the first file is missing."""
        self._models.mkdir(parents=True, exist_ok=True)
        root = self._models.resolve()
        board = Board(root, self._state, self._run, self._environ, self._on_file, self._tuning)
        self._dispatcher = Dispatcher(board)
        self._dispatcher.thread.start()

    def fetch(
        self,
        set: str,
        files: list[FileSpec],
        required: bool,
        cancel: threading.Event,
        report: Callable[[Progress], None] | None = None,
        rank: int = 0,
    ) -> FetchResult:
        """Block until all files of a set are in place and verified; lower ranks come first. Raises StageFailed."""
        assert self._dispatcher is not None, "not started"
        want = Want(set, required, cancel, report, rank)
        self._dispatcher.board.post(lambda: self._submit(want, files))
        want.ended.wait()
        if want.trouble is not None:
            trouble = want.trouble
            raise StageFailed(trouble.message, hint=trouble.hint, retry=trouble.retry)
        return result(want, time.monotonic() - want.began)

    def _submit(self, want: Want, files: list[FileSpec]) -> None:
        assert self._dispatcher is not None
        self._dispatcher.submit(want, files)

    def drop(self, set: str) -> None:
        """Stop fetching a set; whoever waits for it gets StageFailed. Files and partial files stay."""
        dispatcher = self._dispatcher
        if dispatcher is not None:
            dispatcher.board.post(lambda: dispatcher.drop(set))

    def fetch_file(self, url: str, path: Path, sha256: str | None, cancel: threading.Event) -> None:
        """Fetch one small file (a wheel) to an absolute path, over one connection. Raises StageFailed."""
        assert self._dispatcher is not None, "not started"
        single.fetch(url, path, sha256, cancel, self._dispatcher.sources, self._tuning.backoff)

    def stop(self) -> None:
        """End everything that was started; partial files stay for the next time."""
        dispatcher = self._dispatcher
        if dispatcher is not None:
            dispatcher.board.post(dispatcher.stop)
            dispatcher.thread.join(30.0)
            self._dispatcher = None
