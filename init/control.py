"""The runner's socket: one JSON line asks, one JSON line answers."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from init.complaint import Complaint

NAME = "init.sock"
TIMEOUT = 15.0
LONGEST = 65536
"""Bytes of a request."""


class NotRunning(Exception):
    """No runner answers on the socket."""


class Refused(Complaint):
    """The runner will not do it; the text says why."""


def ask(run: Path, request: dict[str, Any], timeout: float = TIMEOUT) -> dict[str, Any]:
    """The runner's answer. Raises NotRunning, Refused."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(timeout)
    try:
        with _short(run) as folder:
            client.connect(f"{folder}/{NAME}")
        client.sendall(json.dumps(request).encode() + b"\n")
        with client.makefile("rb") as file:
            answer = json.loads(file.readline())
    except (OSError, ValueError) as error:
        raise NotRunning(f"no runner answers on {run / NAME} ({error})") from None
    finally:
        client.close()
    if not answer.get("ok"):
        raise Refused(str(answer.get("error", "no reason given")))
    return dict(answer)


class Server:
    """Answers on `run/init.sock`, readable for this user only, until closed. `do` may raise Refused."""

    def __init__(self, run: Path, do: Callable[[dict[str, Any]], dict[str, Any]]):
        self._do = do
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path = run / NAME
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            with _short(run) as folder:
                self._socket.bind(f"{folder}/{NAME}")
        finally:
            os.umask(before)
        self._path = path
        self._socket.listen(16)
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(client,), name="control client", daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        client.settimeout(TIMEOUT)
        with contextlib.suppress(OSError), client, client.makefile("rb") as file:
            client.sendall(json.dumps(self._reply(file.readline(LONGEST)), ensure_ascii=False).encode() + b"\n")

    def _reply(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except ValueError:
            return {"ok": False, "error": "the request is not one line of JSON"}
        if not isinstance(request, dict):
            return {"ok": False, "error": "the request is not a JSON object"}
        try:
            return {"ok": True, **self._do(request)}
        except Refused as error:
            return {"ok": False, "error": str(error)}
        except Exception as error:
            return {"ok": False, "error": f"unexpected {type(error).__name__}: {error}"}


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """A name of the folder that fits into a socket's address (108 bytes), however deep the folder lies."""
    if len(str(folder)) < 90:
        yield str(folder)
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)
