"""Answers, and streams of server-sent events, for those who may have them."""

from __future__ import annotations

import asyncio
import json

from jupyter_server.base.handlers import APIHandler
from tornado.iostream import StreamClosedError

PING = 5.0
"""Seconds after which a silent stream says that it is there: proxies cut what says nothing."""


class Handler(APIHandler):
    """Of this extension. Every method of those below is `authenticated` and `authorized`."""

    auth_resource = "firstlight"
    # Who only looks does not keep a server from being stopped as idle.
    _track_activity = False

    def admit(self, cookie: str) -> None:
        """Let a browser that is let in here through the portal too: cookies know hosts, not ports. `cookie` is
        `NAME=VALUE`, or nothing."""
        name, _, value = cookie.partition("=")
        if value and self.get_cookie(name) != value:
            secure = self.request.protocol == "https"
            self.set_cookie(name, value, path="/", httponly=True, samesite="Lax", secure=secure, max_age=2592000)

    def answer(self, status: int, message: str) -> None:
        self.set_status(status)
        self.finish(json.dumps({"message": message}))


class Stream(Handler):
    """Server-sent events, until the client goes or the server stops."""

    _streams: set[Stream]
    """All that stream now."""
    _over: asyncio.Event

    def enlist(self, streams: set[Stream]) -> None:
        """What `initialize` of every stream does first."""
        self._streams, self._over = streams, asyncio.Event()

    def begin(self) -> None:
        self._streams.add(self)
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-cache, no-transform")
        self.set_header("X-Accel-Buffering", "no")

    @property
    def over(self) -> bool:
        return self._over.is_set()

    async def send(self, event: str, data: bytes, id: int | None = None) -> None:
        """One event; `data` is JSON, thus one line."""
        mark = f"id: {id}\n" if id is not None else ""
        await self._put(f"event: {event}\n{mark}data: ".encode() + data + b"\n\n")

    async def ping(self) -> None:
        await self._put(b": ping\n\n")

    async def _put(self, piece: bytes) -> None:
        try:
            self.write(piece)
            await self.flush()
        except StreamClosedError:
            self.end()

    async def rest(self, seconds: float) -> None:
        """Wait; not longer than the stream lasts."""
        try:
            await asyncio.wait_for(self._over.wait(), seconds)
        except TimeoutError:
            return

    def end(self) -> None:
        self._over.set()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self.end()

    def on_finish(self) -> None:
        super().on_finish()
        self._streams.discard(self)
