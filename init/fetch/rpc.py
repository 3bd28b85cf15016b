"""aria2p's client over one kept connection: its own opens a new one, through any proxy, for each call."""

from __future__ import annotations

import http.client
import json
from typing import Any

import aria2p


class Rpc(aria2p.Client):  # type: ignore[misc]
    """JSON-RPC with an aria2 on loopback. Not thread-safe. Raises OSError when it does not answer."""

    def __init__(self, port: int, secret: str, timeout: float = 10.0):
        super().__init__("http://127.0.0.1", port, secret, timeout)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def post(self, payload: str) -> Any:
        for last in (False, True):
            try:
                self._connection.request("POST", "/jsonrpc", payload, {"Content-Type": "application/json"})
                return json.loads(self._connection.getresponse().read())
            except (http.client.HTTPException, OSError, ValueError) as error:
                self._connection.close()
                if last:
                    raise OSError(f"aria2 does not answer: {error}") from None
        raise AssertionError

    def close(self) -> None:
        self._connection.close()
