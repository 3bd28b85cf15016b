"""`python -m tests.origin [--port N] [--cdn-port N] [--catalog FILE]`: an origin on its own, until it is ended.

Prints one line of JSON: `{"url": …, "cdn": …, "files": {URL: {size, sha256, revision}}}`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
from pathlib import Path

from tests.origin.catalog import publish
from tests.origin.server import Origin


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.origin", description="A test origin.")
    parser.add_argument("--port", type=int, default=0, help="port of the hub; default: a free one")
    parser.add_argument("--cdn-port", type=int, default=0, help="port of the CDN; default: a free one")
    parser.add_argument("--catalog", type=Path, help="JSON file with what to serve")
    parser.add_argument("--limit", type=float, help="bytes per second over all connections")
    parser.add_argument("--rate", type=float, help="bytes per second of each connection")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Origin(arguments.port, arguments.cdn_port) as origin:
        files = publish(origin, json.loads(arguments.catalog.read_text())) if arguments.catalog else {}
        origin.limit(arguments.limit)
        if arguments.rate:
            origin.fault("slow", rate=arguments.rate)
        print(json.dumps({"url": origin.url, "cdn": origin.cdn, "files": files}), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
