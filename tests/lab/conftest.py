"""Makes `firstlight_lab` importable from the checkout, and a Jupyter server with it for each test that asks for one."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pytest_jupyter.jupyter_server import *  # noqa: F403  (its fixtures and hooks, for this folder alone)
from tornado.httpclient import HTTPResponse
from traitlets.config import Config

from tests.lab.support import BASE, ROOT, Listening, Place

sys.path.insert(0, str(ROOT / "lab"))

Fetch = Callable[..., Awaitable[HTTPResponse]]
Listen = Callable[[str], AbstractAsyncContextManager[Listening]]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


@pytest.fixture
def token() -> str:
    return "a-token-for-tests"


@pytest.fixture
def command() -> str:
    """What draws the timeline."""
    return "firstlight"


@pytest.fixture
def cookie() -> str:
    """What opens the portal."""
    return ""


@pytest.fixture  # type: ignore[no-redef]
def jp_server_config(place: Place, token: str, command: str, cookie: str) -> Config:
    return Config(
        {
            "ServerApp": {
                "jpserver_extensions": {"firstlight_lab": True, "jupyter_server_terminals": False},
                "allow_unauthenticated_access": False,
            },
            "IdentityProvider": {"token": token},
            "FirstlightLab": {
                "run": str(place.run),
                "state": str(place.state),
                "logs": str(place.logs),
                "command": command,
                "cookie": cookie,
            },
        }
    )


@pytest.fixture
def fetch(jp_serverapp: Any, http_server_client: Any, token: str) -> Fetch:
    """A request below `firstlight/`, with the token unless `headers` say otherwise. The path is sent as it stands;
    answers of every status are returned."""

    async def ask(path: str, post: Any = None, headers: dict[str, str] | None = None, **options: Any) -> HTTPResponse:
        if post is not None:
            options |= {"method": "POST", "body": post if isinstance(post, str) else json.dumps(post)}
        if headers is None or "If-None-Match" in headers:
            headers = {"Authorization": f"token {token}", **(headers or {})}
        answer: HTTPResponse = await http_server_client.fetch(
            f"{BASE}firstlight/{path}", headers=headers, raise_error=False, request_timeout=60, **options
        )
        return answer

    return ask


@pytest.fixture
def listen(jp_serverapp: Any, http_server: Any, jp_http_port: int, token: str) -> Listen:
    """A client of a stream below `firstlight/`."""

    @asynccontextmanager
    async def listening(path: str) -> AsyncIterator[Listening]:
        client = await Listening.open(jp_http_port, path, token)
        try:
            yield client
        finally:
            await client.close()

    return listening
