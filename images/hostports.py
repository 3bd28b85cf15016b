"""Ports of this machine for those of a container."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Collection, Iterator

from manifests.trouble import Trouble

HOST = "127.0.0.1"
TRIES = 20
"""How often another port is tried when somebody was faster."""


def choose(inside: list[int], refused: Collection[int] = (), offset: int | None = None) -> dict[int, int]:
    """For each port of a container one of this machine. Raises Trouble.

    The same number, or any free one where that is taken or among `refused`. With `offset` exactly the number that much
    higher: somebody counts on it.
    """
    chosen: dict[int, int] = {}
    for port in inside:
        wanted = port + (offset or 0)
        if offset is not None and not 1 <= wanted <= 65535:
            raise Trouble(f"--port-offset {offset} makes {wanted} of port {port}", "", "ports go from 1 to 65535")
        known = {*refused, *chosen.values()}
        found = next((free for free in _free(wanted) if free not in known), None)
        if found is None or (offset is not None and found != wanted):
            raise taken(wanted) if offset is not None else Trouble("no port is free on this machine")
        chosen[port] = found
    return chosen


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
