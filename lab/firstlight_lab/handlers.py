"""What answers below `<base_url>firstlight/`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from jupyter_server.auth.decorator import authorized
from tornado import web

from . import logs, runner, timeline
from .feed import Feed, Listener
from .stream import PING, Handler, Stream

FOLLOW = 0.5
"""Seconds between two looks at a log that is followed."""
MOST = 5000
"""Lines of a tail."""
CHOICES = frozenset({"add", "drop", "pause", "resume"})


class StateHandler(Handler):
    def initialize(self, feed: Feed, cookie: str = "") -> None:
        self._feed, self._cookie = feed, cookie

    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.set_header("Cache-Control", "no-cache")
        self.admit(self._cookie)
        self.finish(await self._feed.state())


class FilesHandler(StateHandler):
    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        self.set_header("Cache-Control", "no-cache")
        self.finish(await self._feed.files(name))


class EventsHandler(Stream):
    _listener: Listener | None = None

    def initialize(self, streams: set[Stream], feed: Feed, cookie: str) -> None:
        self.enlist(streams)
        self._feed, self._cookie = feed, cookie

    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.begin()
        self.admit(self._cookie)
        with self._feed.listen() as self._listener:
            while not self.over:
                body = await self._listener.next(PING)
                if body is None:
                    await self.ping()
                elif not self.over:
                    await self.send("state", body)

    def end(self) -> None:
        super().end()
        if self._listener is not None:
            self._listener.wake()


class ActionHandler(Handler):
    """Asks the runner."""

    _track_activity = True

    def initialize(self, run: Path) -> None:
        self._run = run

    def body(self) -> dict[str, Any]:
        found = self.get_json_body()
        return found if isinstance(found, dict) else {}

    def named(self, value: Any) -> str | None:
        """A name, if it is one."""
        return value if isinstance(value, str) and 0 < len(value) <= 200 else None

    async def ask(self, request: dict[str, Any]) -> None:
        try:
            self.answer(200, await asyncio.to_thread(runner.ask, self._run, request))
        except runner.Refused as error:
            self.answer(409, str(error))
        except runner.Silent as error:
            self.answer(503, str(error))


class RetryHandler(ActionHandler):
    @web.authenticated
    @authorized
    async def post(self) -> None:
        stage = self.named(self.body().get("stage"))
        if stage is None:
            self.answer(400, 'The request names no stage; send {"stage": ID}.')
            return
        await self.ask({"do": "retry", "stage": stage})


class ModelsHandler(ActionHandler):
    @web.authenticated
    @authorized
    async def post(self) -> None:
        body = self.body()
        do, name, delete = self.named(body.get("do")), self.named(body.get("set")), body.get("delete", False)
        if do not in CHOICES or name is None or not isinstance(delete, bool):
            self.answer(400, 'The request is not {"do": "add", "drop", "pause" or "resume", "set": NAME}.')
            return
        await self.ask({"do": f"models.{do}", "set": name} | ({"delete": True} if delete else {}))


class RestartHandler(ActionHandler):
    @web.authenticated
    @authorized
    async def post(self, service: str) -> None:
        await self.ask({"do": "retry", "stage": f"service:{service}"})


class LogsHandler(Handler):
    def initialize(self, folder: Path) -> None:
        self._folder = folder

    @web.authenticated
    @authorized
    async def get(self) -> None:
        found = await asyncio.to_thread(logs.names, self._folder)
        self.finish(json.dumps({"logs": sorted(found)}))


class LogHandler(Stream):
    def initialize(self, streams: set[Stream], folder: Path) -> None:
        self.enlist(streams)
        self._folder = folder

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        file = (await asyncio.to_thread(logs.names, self._folder)).get(name)
        if file is None:
            self.answer(404, "There is no log of this name (yet); what runs later writes its log later.")
            return
        lines, offset = self._number("lines", 200), self._number("offset", None)
        if lines is None or self._number("offset", 0) is None:
            self.answer(400, "`lines` and `offset` are whole numbers, not below 0.")
            return
        try:
            if self.get_query_argument("follow", "") in ("1", "true"):
                await self._follow(file, offset)
            elif offset is not None:
                text, size, end = await asyncio.to_thread(logs.since, file, offset)
                self.finish(json.dumps({"text": text, "size": size, "offset": end}))
            else:
                text, size, end = await asyncio.to_thread(logs.tail, file, min(lines, MOST))
                self.finish(json.dumps({"text": text, "size": size, "offset": end}))
        except OSError as error:
            if not self.over and not self._headers_written:
                self.answer(503, f"The log cannot be read: {error.strerror or error}.")

    async def _follow(self, file: Path, offset: int | None) -> None:
        """Events with what comes; the id of each is where the next one begins."""
        self.begin()
        follower, quiet = logs.Follower(file, offset), PING
        try:
            while not self.over:
                text = await asyncio.to_thread(follower.more)
                if text:
                    await self.send("text", json.dumps(text).encode(), follower.offset)
                    quiet = 0.0
                    continue
                if quiet >= PING:
                    await self.ping()
                    quiet = 0.0
                await self.rest(FOLLOW)
                quiet += FOLLOW
        finally:
            follower.close()

    def _number(self, name: str, instead: int | None) -> int | None:
        """An argument; `instead` where there is none; None for what is no number."""
        text = self.get_query_argument(name, None)
        if text is None:
            return instead
        return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


class TimelineHandler(Handler):
    def initialize(self, command: str, drawing: asyncio.Lock) -> None:
        self._command, self._drawing = command, drawing

    @property
    def content_security_policy(self) -> str:
        """A picture: no script, nothing from elsewhere; only its own colours."""
        return f"{super().content_security_policy}; style-src 'unsafe-inline'; sandbox"

    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.set_header("Cache-Control", "no-cache")
        try:
            async with self._drawing:
                picture = await asyncio.to_thread(timeline.draw, self._command)
        except timeline.Undrawn as error:
            self.answer(503, str(error))
        else:
            self.finish(picture, set_content_type="image/svg+xml")


def routes(
    feed: Feed, run: Path, folder: Path, command: str, streams: set[Stream], cookie: str
) -> list[tuple[Any, ...]]:
    return [
        (r"/firstlight/state", StateHandler, {"feed": feed, "cookie": cookie}),
        (r"/firstlight/files/([^/]+)", FilesHandler, {"feed": feed}),
        (r"/firstlight/events", EventsHandler, {"streams": streams, "feed": feed, "cookie": cookie}),
        (r"/firstlight/retry", RetryHandler, {"run": run}),
        (r"/firstlight/models", ModelsHandler, {"run": run}),
        (r"/firstlight/services/([^/]+)/restart", RestartHandler, {"run": run}),
        (r"/firstlight/logs", LogsHandler, {"folder": folder}),
        (r"/firstlight/logs/([^/]+)", LogHandler, {"streams": streams, "folder": folder}),
        (r"/firstlight/timeline\.svg", TimelineHandler, {"command": command, "drawing": asyncio.Lock()}),
    ]
