"""Folders as a start has them, a runner that answers, and a client that reads a stream."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from init import state
from init.control import Server

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
BASE = "/a%40b/"
"""As pytest-jupyter has it: a base URL with something to escape in it."""


async def eventually(look: Callable[[], Awaitable[T]], within: float = 15.0, what: str = "") -> T:
    """The first truthy value, as `tests.waiting.until`, with the event loop going on meanwhile."""
    deadline = time.monotonic() + within
    while True:
        value = await look()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what or look} (last: {value!r})")
        await asyncio.sleep(0.05)


@dataclass
class Place:
    """The folders of a start."""

    root: Path
    requests: list[dict[str, Any]] = field(default_factory=list)
    """What the runner was asked."""

    def __post_init__(self) -> None:
        for folder in (self.run, self.state, self.logs / "stages"):
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def state(self) -> Path:
        return self.root / "workspace" / ".firstlight"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def write(self, folder: Path | None = None, **changes: Any) -> None:
        """The state as the runner writes it: a draft that takes the place of the former one."""
        snapshot = snapshot_with(**changes)
        folder = folder or self.run
        draft = folder / ".state.json.draft"
        draft.write_text(state.dump(snapshot), encoding="utf-8")
        draft.replace(folder / "state.json")

    @contextmanager
    def runner(self, does: Callable[[dict[str, Any]], dict[str, Any]] | None = None) -> Iterator[None]:
        """The runner's own socket server; `does` may raise `init.control.Refused`."""

        def do(request: dict[str, Any]) -> dict[str, Any]:
            self.requests.append(request)
            return does(request) if does else {"message": f"{request['do']} done"}

        server = Server(self.run, do)
        try:
            yield
        finally:
            server.close()


def snapshot_with(files: int | list[state.FileState] = 0, **changes: Any) -> state.Snapshot:
    """`files`: themselves, or how many."""
    if isinstance(files, int):
        files = [state.FileState(f"unet/{n}.safetensors", "big", "fetching", n, 10**9) for n in range(files)]
    stages = [
        state.StageState("nodes", "nodes", "Custom nodes", [], "done", started=1000.0, ended=1004.5),
        state.StageState("models:big", "models", "Big models", ["nodes"], "running", started=1004.5, message="aria2"),
    ]
    return state.Snapshot(
        **{
            "image": "test",
            "title": "Test",
            "boot": state.Boot("b1", 1000.0),
            "stages": stages,
            "services": [state.ServiceState("app", "App", ["nodes"])],
            "files": files,
            "updated": time.time(),
            **changes,
        },
    )


class Event(NamedTuple):
    name: str
    """`ping` for a comment."""
    data: Any = None
    id: str | None = None


class Listening:
    """A client of a stream: HTTP/1.0, so that what comes is the stream itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: dict[str, str]):
        self._reader, self._writer, self.headers = reader, writer, headers

    @classmethod
    async def open(cls, port: int, path: str, token: str, base: str = BASE) -> Listening:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
        words = f"GET {base}firstlight/{path} HTTP/1.0\r\nHost: localhost\r\nAuthorization: token {token}\r\n\r\n"
        writer.write(words.encode())
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).decode().splitlines()
        assert " 200 " in f"{head[0]} ", head[0]
        return cls(reader, writer, dict(line.split(": ", 1) for line in head[1:] if line))

    async def next(self, within: float = 15.0) -> Event:
        """The next event or ping. Raises EOFError when the server has ended the stream."""
        try:
            block = await asyncio.wait_for(self._reader.readuntil(b"\n\n"), within)
        except asyncio.IncompleteReadError:
            raise EOFError from None
        fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if line and line[0] != ":")
        if not fields:
            return Event("ping")
        return Event(fields["event"], json.loads(fields["data"]), fields.get("id"))

    async def until(self, wanted: Callable[[Event], Any], within: float = 15.0) -> Event:
        async with asyncio.timeout(within):
            while True:
                event = await self.next(within)
                if event.name != "ping" and wanted(event):
                    return event

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()
