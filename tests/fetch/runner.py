"""`python -m tests.fetch.runner ORDER`: one set in a process of its own, to be killed. ORDER is JSON in a file."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import replace
from pathlib import Path

from init.failure import StageFailed
from init.fetch import Fetcher
from init.specs import FileSpec
from init.state import FileState
from tests.fetch.conftest import QUICK


def main(path: Path) -> int:
    order = json.loads(path.read_text(encoding="utf-8"))
    folder = path.parent
    tuning = replace(QUICK, **order["tuning"])

    def tell(state: FileState) -> None:
        print(json.dumps({"path": state.path, "state": state.state, "message": state.message}), flush=True)

    models, state = Path(order["models"]), Path(order["state"])
    fetcher = Fetcher(models, state, folder / "run", folder / "logs", order["environ"], tell, tuning)
    fetcher.start()
    try:
        found = fetcher.fetch("set", [FileSpec(**s) for s in order["specs"]], True, threading.Event())
    except StageFailed as failed:
        print(json.dumps({"failed": failed.message, "hint": failed.hint}), flush=True)
        return 1
    print(json.dumps({"fetched": found.bytes_fetched}), flush=True)
    fetcher.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
