"""When there is no usable plan: say so, and stay, so that JupyterLab is left in peace and nothing starts in a loop."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from init import bootid, control
from init.control import Refused
from init.paths import rescue
from init.redact import Redactor, secrets
from init.state import Snapshot
from init.store import Store


def strand(message: str, text: str, environ: Mapping[str, str]) -> int:
    """Show phase `failed` with `message` until a signal comes. `text` is the plan, as far as it could be read."""
    image, where = rescue(text)
    leave: SimpleQueue[int] = SimpleQueue()
    signal.signal(signal.SIGTERM, lambda *_: leave.put(0))
    signal.signal(signal.SIGINT, lambda *_: leave.put(130))
    snapshot = Snapshot(image=image, title=image, boot=bootid.boot(environ))
    store = Store(snapshot, where.state, Path(where.run), Redactor(secrets(environ)))

    def do(request: dict[str, Any]) -> dict[str, Any]:
        if request.get("do") == "state":
            return {"state": store.text()}
        raise Refused(message)

    Path(where.run).mkdir(parents=True, exist_ok=True)
    # Before the state is written: whoever reads that asks whether its runner is there.
    server = control.Server(Path(where.run), do)
    with store.together():
        store.start()
        store.top("failed", f"{message}. JupyterLab works; nothing else is set up.")
    code = leave.get()
    server.close()
    store.close()
    return code
