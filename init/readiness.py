"""Does a service answer."""

from __future__ import annotations

import http.client
import socket
from dataclasses import dataclass
from pathlib import Path

from init.plan import ReadySpec

TIMEOUT = 5.0


@dataclass(frozen=True)
class Answer:
    ready: bool
    detail: str = ""
    """Why not, in a few words."""
    refused: bool = False
    """Nothing listens at all, as opposed to a program too busy to answer."""


def probe(spec: ReadySpec | None, port: int | None, workspace: Path, timeout: float = TIMEOUT) -> Answer:
    """One look: HTTP below 400 or an accepted connection on the loopback port, or a file; no spec: ready."""
    if spec is None:
        return Answer(True)
    if spec.file is not None:
        path = workspace / spec.file.replace("{workspace}", str(workspace))
        return Answer(path.exists(), f"{path} does not exist yet", refused=True)
    if port is None:
        return Answer(True)
    if spec.http is not None:
        return _http(port, spec.http, timeout)
    try:
        socket.create_connection(("127.0.0.1", port), timeout).close()
        return Answer(True)
    except OSError as error:
        return Answer(False, _words(error, port), isinstance(error, ConnectionRefusedError))


def _http(port: int, path: str, timeout: float) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Connection": "close", "User-Agent": "firstlight"})
        status = connection.getresponse().status
        return Answer(status < 400, f"answers {path} with status {status}")
    except http.client.HTTPException:
        return Answer(False, f"does not speak HTTP on port {port}")
    except OSError as error:
        return Answer(False, _words(error, port), isinstance(error, ConnectionRefusedError))
    finally:
        connection.close()


def _words(error: OSError, port: int) -> str:
    if isinstance(error, ConnectionRefusedError):
        return f"does not listen on port {port} yet"
    if isinstance(error, TimeoutError):
        return f"does not answer on port {port}"
    return f"cannot be reached on port {port}: {error}"
