"""A client that sends exactly what it is told, without following redirects, and a WebSocket of one message."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import ssl
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

HTML = {"Accept": "text/html,application/xhtml+xml"}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def cookie(self) -> str:
        """`name=value` of the cookie that it sets."""
        return self.headers["set-cookie"].partition(";")[0]


def ask(
    port: int,
    path: str = "/",
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    body: bytes | None = None,
    within: float = 10.0,
    trust: Path | None = None,
) -> Reply:
    """One request. Header values go out as UTF-8. `trust`: over HTTPS, where this certificate must be shown. Raises
    OSError."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=within)
    if trust is not None:
        context = ssl.create_default_context(cafile=trust)
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=within, context=context)
    try:
        connection.putrequest(method, path, skip_host="Host" in (headers or {}), skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            connection.putheader(name, value.encode("utf-8", "surrogateescape"))
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, text)
    finally:
        connection.close()


def query(token: str) -> str:
    return "token=" + quote(token.encode("utf-8", "surrogateescape"), safe="")


def basic(user: str, password: str) -> dict[str, str]:
    pair = base64.b64encode(f"{user}:{password}".encode("utf-8", "surrogateescape")).decode()
    return {"Authorization": f"Basic {pair}"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def websocket(
    port: int, path: str, headers: Mapping[str, str], message: str = "hello", trust: Path | None = None
) -> tuple[int, str]:
    """Status of the handshake, and the first text frame that answers `message`. `trust` as `ask` has it."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [f"GET {path} HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
    lines += [f"{name}: {value}" for name, value in {"Host": f"127.0.0.1:{port}", **headers}.items()]
    with ExitStack() as stack:
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
        if trust is not None:
            context = ssl.create_default_context(cafile=trust)
            connection = stack.enter_context(context.wrap_socket(connection, server_hostname="127.0.0.1"))
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape"))
        stream = connection.makefile("rb")
        status = int(stream.readline().split()[1])
        while stream.readline().strip():
            pass
        if status != 101:
            return status, ""
        mask, data = os.urandom(4), message.encode()
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
        connection.sendall(b"\x81" + length + mask + masked)
        size = stream.read(2)[1] & 0x7F
        if size == 126:
            size = int.from_bytes(stream.read(2), "big")
        return status, stream.read(size).decode()
