"""`python -m init.fetch.reader`: reads files and fast origins, in a process of its own with a priority of its own.

One order a line in, as JSON; `{"bytes": N}` lines out, then one with the outcome. Ends with its parent.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from init.fetch import verify
from init.fetch.sources import Address
from init.fetch.stream import Slow, stream
from init.fetch.trouble import Trouble


def say(**words: Any) -> None:
    print(json.dumps(words), flush=True)


def obey(order: dict[str, Any]) -> None:
    """Do one order and say how it ended."""
    path, told = Path(order["path"]), 0.0

    def on_bytes(there: int) -> None:
        nonlocal told
        if time.monotonic() - told > 0.4:
            told = time.monotonic()
            say(bytes=there)

    try:
        if order["do"] == "digest":
            say(digest=verify.digest(path, on_bytes, blob=order["blob"]))
        else:
            found = stream(
                Address(order["url"]),
                path,
                order["size"],
                on_bytes,
                lambda: say(fast=True),
                reserve=order["reserve"],
                fast=order["fast"],
            )
            say(digest=found)
    except Slow:
        say(slow=True)
    except Trouble as trouble:
        say(trouble={k: getattr(trouble, k) for k in ("message", "hint", "retry", "after", "kind")})
    except OSError as error:
        say(errno=error.errno, strerror=error.strerror or str(error))


def follow_parent(parent: int) -> None:
    """End when the parent does, whatever this process is waiting for."""
    while os.getppid() == parent:
        time.sleep(0.3)
    os._exit(1)


def main() -> None:
    # Told to end, it notes what it has.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    threading.Thread(target=follow_parent, args=(int(sys.argv[1]),), daemon=True).start()
    for line in sys.stdin:
        obey(json.loads(line))


if __name__ == "__main__":
    main()
