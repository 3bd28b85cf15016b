"""`firstlight run`: the runner of this machine, once. What supervisord starts."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from init import address, control
from init.paths import Paths, rescue
from init.plan import PlanError, load

NICE = 5
"""What JupyterLab has ahead of the runner and of all that the runner starts."""


def main(argv: Sequence[str]) -> int:
    """Until a signal. 0 asked to end, 2 usage, 130 interrupted. Raises NoPlan, and Refused while another one is at
    work."""
    if argv:
        print("usage: firstlight run", file=sys.stderr)
        return 2
    text = address.text()
    try:
        plan = load(text)
        paths = plan.paths
    except PlanError as error:
        from init.stranded import strand

        with _alone(rescue(text)[1]):
            print(f"ERROR {error}", file=sys.stderr, flush=True)
            return strand(str(error), text, os.environ)
    with _alone(paths):
        from init.runner import Runner

        runner = Runner(plan, dict(os.environ))
        # Not before: JupyterLab, the portal and this begin at the same moment, and stages wait for this one's imports.
        os.nice(NICE)
        return runner.run()


class _alone:
    """Holds `run/init.lock` as long as this runner lives: two would do everything twice."""

    def __init__(self, paths: Paths):
        self._path = Path(paths.run, "init.lock")

    def __enter__(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._handle, 32).decode(errors="replace").strip() or "?"
            raise control.Refused(
                f"another runner (process {owner}) is at work here; see `firstlight status`"
            ) from None
        os.ftruncate(self._handle, 0)
        os.write(self._handle, f"{os.getpid()}\n".encode())

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            os.close(self._handle)
