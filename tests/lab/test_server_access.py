"""Who may ask: nobody without the token, nobody from another site, nobody whom the authorizer refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.auth import Authorizer, User
from jupyter_server.base.handlers import JupyterHandler
from traitlets.config import Config

from tests.lab.conftest import Fetch
from tests.lab.support import Place

GETS = ["state", "files/big", "events", "logs", "logs/init", "logs/init?follow=1", "timeline.svg"]
POSTS = ["retry", "models", "services/app/restart"]


def test_every_endpoint_is_among_those_asked_here() -> None:
    from firstlight_lab.feed import Feed
    from firstlight_lab.handlers import routes

    here = Path("/nowhere")
    for pattern, *_ in routes(Feed(here, here), here, here, "firstlight", set(), ""):
        assert any(re.fullmatch(pattern, f"/firstlight/{path.split('?')[0]}") for path in GETS + POSTS), pattern


@pytest.mark.parametrize("headers", [{}, {"Authorization": "token wrong"}])
@pytest.mark.parametrize("path", GETS)
async def test_nothing_is_told_without_the_token(
    place: Place, fetch: Fetch, path: str, headers: dict[str, str]
) -> None:
    place.write()
    (place.logs / "init.log").write_text("hello\n")
    answer = await fetch(path, headers=headers)
    assert (answer.code, json.loads(answer.body)["message"]) == (403, "Forbidden")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "token wrong"}, {"X-XSRFToken": "x", "Cookie": "_xsrf=x"}])
@pytest.mark.parametrize("path", POSTS)
async def test_nothing_is_done_without_the_token(
    place: Place, fetch: Fetch, path: str, headers: dict[str, str]
) -> None:
    with place.runner():
        assert (await fetch(path, post={"stage": "nodes"}, headers=headers)).code == 403
    assert place.requests == []


class TestOpenServer:
    """A platform has checked who asks (an empty token): what is left against other sites is XSRF."""

    @pytest.fixture
    def jp_server_config(self, jp_server_config: Config) -> Config:
        jp_server_config.IdentityProvider.token = ""
        return jp_server_config

    @pytest.fixture
    def jp_configurable_serverapp(self, jp_configurable_serverapp: Any) -> Any:
        def empty(config: Config, **options: Any) -> Any:
            config.ServerApp.token = ""  # else pytest-jupyter makes one
            return jp_configurable_serverapp(config=config, **options)

        return empty

    @pytest.mark.parametrize("path", POSTS)
    async def test_nothing_is_done_without_the_xsrf_token(self, place: Place, fetch: Fetch, path: str) -> None:
        with place.runner():
            answer = await fetch(path, post={"stage": "nodes"}, headers={})
            assert (answer.code, "_xsrf" in json.loads(answer.body)["message"]) == (403, True)
            assert place.requests == []

    async def test_with_the_xsrf_token_it_is_done(self, place: Place, fetch: Fetch) -> None:
        with place.runner():
            headers = {"X-XSRFToken": "a-token", "Cookie": "_xsrf=a-token"}
            assert (await fetch("retry", post={"stage": "nodes"}, headers=headers)).code == 200
        assert [request["stage"] for request in place.requests] == ["nodes"]

    async def test_another_site_is_refused(self, place: Place, fetch: Fetch) -> None:
        headers = {"Origin": "https://elsewhere.example", "Host": "localhost"}
        assert (await fetch("state", headers=headers)).code == 404


class Nobody(Authorizer):
    def is_authorized(self, handler: JupyterHandler, user: User, action: str, resource: str) -> bool:
        return resource != "firstlight"


class TestAuthorizer:
    @pytest.fixture
    def jp_server_config(self, jp_server_config: Config) -> Config:
        jp_server_config.ServerApp.authorizer_class = Nobody
        return jp_server_config

    @pytest.mark.parametrize("path", GETS + POSTS)
    async def test_it_has_the_last_word(self, place: Place, fetch: Fetch, path: str) -> None:
        post = {"stage": "nodes"} if path in POSTS else None
        assert (await fetch(path, post=post)).code == 403
        assert place.requests == []


async def test_looking_on_does_not_keep_an_idle_server(place: Place, fetch: Fetch, jp_serverapp: Any) -> None:
    def last() -> Any:
        return jp_serverapp.web_app.settings.get("api_last_activity")

    before = last()
    for path in ("state", "files/big", "logs"):
        assert (await fetch(path)).code == 200
    assert last() == before
    await fetch("retry", post={"stage": "nodes"})
    assert last() != before
