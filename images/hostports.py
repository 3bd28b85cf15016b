"""Ports of this machine for those of a container."""

from __future__ import annotations

import contextlib
import errno
import re
import socket
from collections.abc import Collection, Iterator

from manifests.trouble import Trouble

HOST = "127.0.0.1"
TRIES = 20
"""How often another port is tried when somebody was faster."""


def promise(port: int) -> socket.socket | None:
    """A claim to a port that nothing listens at yet: a name in this network namespace, that ends with the process or
    when it is closed. None when somebody else has it."""
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0firstlight/port/{port}")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            name.close()
            return None
        # No such names on this system, nor anybody who has one.
    return name


@contextlib.contextmanager
def choose(inside: list[int], refused: Collection[int] = (), offset: int | None = None) -> Iterator[dict[int, int]]:
    """For each port of a container one of this machine, promised to nobody else while the context lasts. Raises
    Trouble.

    The same number, or any free one where that is taken or among `refused`. With `offset` exactly the number that much
    higher: somebody counts on it.
    """
    with contextlib.ExitStack() as held:
        chosen: dict[int, int] = {}
        for port in inside:
            wanted = port + (offset or 0)
            if offset is not None and not 1 <= wanted <= 65535:
                raise Trouble(f"--port-offset {offset} makes {wanted} of port {port}", "", "ports go from 1 to 65535")
            for free in _free(wanted):
                if free not in refused and (offset is None or free == wanted) and (name := promise(free)):
                    chosen[port] = free
                    held.enter_context(name)
                    break
            else:
                raise taken(wanted) if offset is not None else Trouble("no port is free on this machine")
        yield chosen


def _free(wanted: int) -> Iterator[int]:
    """Ports that nobody listens at right now: `wanted` before any other."""
    for candidate in (wanted, *[0] * TRIES):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, candidate))
            yield int(probe.getsockname()[1])


def taken(port: int) -> Trouble:
    """What to say when somebody else has a port that was asked for."""
    return Trouble(
        f"port {port} is taken on this machine",
        "",
        "give another --port-offset, or none: then a port that is taken gets another one",
    )


def lost(reason: str, chosen: Collection[int]) -> set[int]:
    """Those of the chosen ports that Docker found taken; all when it does not say which."""
    if not re.search(r"port is already allocated|address already in use", reason):
        return set()
    return {int(port) for port in re.findall(r":(\d+)\b", reason)} & set(chosen) or set(chosen)
