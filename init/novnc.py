"""The way from a browser to the screen: noVNC's pages, and its WebSocket carried to the X server's own socket.

It listens on loopback, behind the portal, which has asked who it is. JupyterLab's web server does the work.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tornado.iostream import StreamClosedError
from tornado.web import Application, RequestHandler, StaticFileHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from init.paths import Paths

SYSTEM = Path("/usr/share/novnc")
SOCKET = "desktop.sock"
PING = 30.0
"""Seconds between two signs of life: proxies cut connections that say nothing."""
CHUNK = 65_536


def serve(paths: Paths, port: int, quality: int) -> int:
    """Until supervisor ends it. 127: noVNC is not there."""
    pages = next((folder for folder in (Path(paths.home, "novnc"), SYSTEM) if (folder / "vnc.html").is_file()), None)
    if pages is None:
        print(
            f"firstlight desktop web: no noVNC in {paths.home}/novnc\n  build the image again, or install novnc",
            file=sys.stderr,
        )
        return 127
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(pages, Path(paths.run, SOCKET), port, quality))
    return 0


async def _serve(pages: Path, sock: Path, port: int, quality: int) -> None:
    application(pages, sock, quality).listen(port, "127.0.0.1")
    await asyncio.Event().wait()


def application(pages: Path, sock: Path, quality: int) -> Application:
    handlers: list[Any] = [
        ("/", _Start, {"quality": quality}),
        ("/websockify", _Bridge, {"sock": sock}),
        ("/(.*)", _Pages, {"path": str(pages)}),
    ]
    return Application(handlers, websocket_ping_interval=PING, log_function=lambda _: None)


def start(quality: int) -> str:
    """noVNC's page with everything said that it would ask for; relative, as it may stand below any path."""
    options = {
        "autoconnect": "true",
        "reconnect": "true",
        "reconnect_delay": 1000,
        "resize": "remote",
        "quality": quality,
        "path": "websockify",
    }
    return f"vnc.html?{urlencode(options)}"


class _Start(RequestHandler):
    def initialize(self, quality: int) -> None:
        self._quality = quality

    def get(self) -> None:
        self.set_header("Cache-Control", "no-store")
        self.redirect(start(self._quality))


class _Pages(StaticFileHandler):
    def set_extra_headers(self, path: str) -> None:
        self.set_header("Cache-Control", "no-cache")


class _Bridge(WebSocketHandler):
    """One browser: what comes from it goes to the X server, and back. Neither is read faster than the other takes."""

    def initialize(self, sock: Path) -> None:
        self._sock = sock
        self._writer: asyncio.StreamWriter | None = None
        self._pump: asyncio.Task[None] | None = None

    def check_origin(self, origin: str) -> bool:
        """The portal has looked at it, and says so with a header that no browser's page can set; whoever comes past
        the portal, on this machine, must come from its own page."""
        return "X-Forwarded-For" in self.request.headers or super().check_origin(origin)

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return "binary" if "binary" in subprotocols else None

    async def open(self, *args: str, **kwargs: str) -> None:
        try:
            reader, self._writer = await asyncio.open_unix_connection(str(self._sock))
        except OSError:
            self.close(1013, "the screen is not there")
            return
        self._pump = asyncio.create_task(self._forward(reader))

    async def on_message(self, message: str | bytes) -> None:
        if self._writer is None:
            return
        self._writer.write(message.encode() if isinstance(message, str) else message)
        try:
            await self._writer.drain()
        except OSError:
            self.close(1011, "the screen has gone")

    def on_close(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
        if self._writer is not None:
            self._writer.close()

    async def _forward(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError, WebSocketClosedError, StreamClosedError):
            while data := await reader.read(CHUNK):
                await self.write_message(data, binary=True)
        self.close(1011, "the screen has gone")
