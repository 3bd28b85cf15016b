"""Ports for servers that tests start."""

from __future__ import annotations

import os
import random
import socket

FIRST, EACH = 20_000, 1_500
"""Below those that the system gives to connections and Docker to containers; so many for each of eight workers."""
_given: set[int] = set()


def free_port() -> int:
    """A port of loopback that nothing listens on, and that no test was given before."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    mine = range(FIRST + EACH * worker, FIRST + EACH * (worker + 1))
    while True:
        port = random.choice(mine)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port
