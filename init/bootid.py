"""Which start of the container this is."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Mapping

from init.children import started
from init.state import Boot


def boot(environ: Mapping[str, str]) -> Boot:
    """Supervisor is the container's first program: its process stands for the start. Without it, this process does."""
    pid = os.getppid() if environ.get("SUPERVISOR_ENABLED") else os.getpid()
    ticks, now = started(pid) or 0, time.time()
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    since = round(now - age if ticks and 0 <= age < now else now, 2)
    name = f"{socket.gethostname()} {pid} {ticks}"
    short = hashlib.sha256(name.encode()).hexdigest()[:6]
    return Boot(time.strftime("%Y%m%d-%H%M%S-", time.gmtime(since)) + short, since, round(now, 2))
