"""Addresses of services, and the way through the portal."""

from __future__ import annotations

import json
from http.cookies import Morsel, SimpleCookie

import pytest
from firstlight_lab.links import links
from tornado.httpclient import HTTPResponse

from init.state import ServiceState
from tests.lab.conftest import Fetch
from tests.lab.support import Place

COOKIE = "firstlight_0123abcd=" + "5" * 64


def given(answer: HTTPResponse) -> dict[str, Morsel[str]]:
    """The portal's cookies among those that an answer sets."""
    found = (SimpleCookie(line) for line in answer.headers.get_list("Set-Cookie"))
    return {name: cookie for each in found for name, cookie in each.items() if name.startswith("firstlight_")}


@pytest.mark.parametrize(
    ("service", "environ", "found"),
    [
        ({"id": "a", "port": 8188, "url": ":8188/ui"}, {"VAST_TCP_PORT_8188": "41234"}, {"a": ":41234/ui"}),
        ({"id": "a", "port": 8188, "url": ":8188/"}, {"VAST_TCP_PORT_8188": "41234", "RUNPOD_POD_ID": "x"}, {}),
        ({"id": "a", "port": 8188, "url": ":8188/"}, {}, {}),
        ({"id": "a", "port": 8188, "url": ":8188/"}, {"VAST_TCP_PORT_8188": "x@evil"}, {}),
        ({"id": "a", "port": None, "url": ":6080/"}, {"VAST_TCP_PORT_6080": "41235"}, {"a": ":41235/"}),
        ({"id": "a", "port": None, "url": None}, {"VAST_TCP_PORT_None": "1"}, {}),
        ({"id": "a", "port": 8188, "url": "https://x"}, {"VAST_TCP_PORT_8188": "1"}, {}),
    ],
)
def test_ports_that_have_other_numbers_outside(
    service: dict[str, object], environ: dict[str, str], found: dict[str, str]
) -> None:
    assert links({"services": [service]}, environ) == found


@pytest.mark.parametrize("state", [None, {}, {"services": 3}, {"services": ["x"]}])
def test_a_state_without_services_has_no_links(state: dict[str, object] | None) -> None:
    assert links(state, {"VAST_TCP_PORT_1": "2"}) == {}


async def test_the_state_comes_with_links(place: Place, fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAST_TCP_PORT_8188", "41234")
    place.write(services=[ServiceState("app", "App", [], url=":8188/", port=8188)])
    answer = await fetch("state")
    assert json.loads(answer.body)["links"] == {"app": ":41234/"}
    assert given(answer) == {}, "no cookie is configured"


@pytest.mark.parametrize("cookie", [COOKIE])
async def test_who_is_let_in_here_passes_the_portal(place: Place, fetch: Fetch, token: str) -> None:
    place.write()
    name, _, value = COOKIE.partition("=")
    cookie = given(await fetch("state"))[name]
    assert cookie.value == value
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == ("/", True, "Lax")
    again = await fetch("state", headers={"Cookie": COOKIE, "Authorization": f"token {token}"})
    assert again.code == 200 and given(again) == {}
    stranger = await fetch("state", headers={})
    assert stranger.code == 403 and given(stranger) == {}
