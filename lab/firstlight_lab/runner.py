"""The runner's socket: is it there, and what does it say? Only a socket of this very user is spoken to."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAME = "init.sock"
TIMEOUT = 20.0
"""Seconds for an answer; the runner gives up its own work on it earlier."""
ACCEPTS_WITHIN = 1.0
LONGEST = 1_000_000
"""Bytes of an answer."""
START = "supervisor starts it again; `firstlight logs init` tells why it ended."


class Silent(Exception):
    """No runner of this user answers; the text says what to do."""


class Refused(Exception):
    """The runner will not do it; the text says why."""


def alive(run: Path) -> bool:
    """Whether the runner accepts."""
    try:
        _connect(run, ACCEPTS_WITHIN).close()
    except Silent:
        return False
    return True


def ask(run: Path, request: dict[str, Any]) -> str:
    """What the runner says to a request that it fulfils. Raises Silent, Refused."""
    return str(_answer(run, request).get("message", ""))


def state(run: Path) -> dict[str, Any]:
    """The state as the runner knows it now. Raises Silent, Refused."""
    try:
        found = json.loads(_answer(run, {"do": "state"})["state"])
    except (KeyError, TypeError, ValueError):
        raise Silent(f"What answers on {run / NAME} is not the runner of this image.") from None
    return found if isinstance(found, dict) else {}


def _answer(run: Path, request: dict[str, Any]) -> dict[str, Any]:
    with _connect(run, TIMEOUT) as client:
        try:
            client.sendall(json.dumps(request).encode() + b"\n")
            with client.makefile("rb") as file:
                answer = json.loads(file.readline(LONGEST))
        except TimeoutError:
            raise Silent(f"The runner has not answered within {TIMEOUT:.0f} s. {START}") from None
        except (OSError, ValueError):
            raise Silent(f"The runner went away before it had answered. {START}") from None
    if not isinstance(answer, dict):
        raise Silent(f"What answers on {run / NAME} is not the runner of this image.")
    if answer.get("ok") is not True:
        raise Refused(str(answer.get("error") or "no reason given"))
    return answer


def _connect(run: Path, timeout: float) -> socket.socket:
    """A connection to the runner. Raises Silent."""
    path = run / NAME
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.settimeout(timeout)
        with _short(run) as folder:
            found = os.lstat(f"{folder}/{NAME}")
            if not stat.S_ISSOCK(found.st_mode):
                raise Silent(f"The runner does not run: {path} is no socket. {START}")
            _own(path, found.st_uid)
            client.connect(f"{folder}/{NAME}")
        # Who listens may be another one than who made the file.
        _own(path, struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1])
    except OSError as error:
        client.close()
        raise Silent(f"The runner does not run: {path}: {error.strerror or error}. {START}") from None
    except Silent:
        client.close()
        raise
    return client


def _own(path: Path, user: int) -> None:
    if user != os.geteuid():
        raise Silent(
            f"{path} belongs to user {user}, and this server runs as {os.geteuid()}: nothing is asked of it. "
            "Run both as the same user."
        )


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """A name of the folder that fits into a socket's address (108 bytes), however deep the folder lies."""
    if len(os.fsencode(folder)) < 90:
        yield str(folder)
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)
