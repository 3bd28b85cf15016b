"""Somebody who asks JupyterLab again and again."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from tests.waiting import until


class Watch:
    """What JupyterLab answered, ask by ask."""

    def __init__(self, url: str):
        """`url`: of JupyterLab's `/api`."""
        self.url = url
        self.answers: list[bool] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def _ask(self) -> None:
        while not self._over.wait(0.02):
            try:
                with urllib.request.urlopen(self.url, timeout=10) as answer:
                    self.answers.append(answer.status == 200)
            except OSError:
                self.answers.append(False)

    @contextmanager
    def asking(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join(15)

    def up(self) -> None:
        """Until JupyterLab answers a question that was put after this call."""
        now = len(self.answers)
        until(lambda: any(self.answers[now + 1 :]), within=60, what="JupyterLab")
