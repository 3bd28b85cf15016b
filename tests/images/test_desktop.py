"""A desktop behind the portal: for whoever has the token, at once, and on no port of its own."""

from __future__ import annotations

import pytest
import websocket

from manifests import desktop, expand
from tests.images.machine import Machine
from tests.waiting import until

PAGE = {"Accept": "text/html"}


@pytest.fixture
def port(container: Machine) -> int:
    """The desktop's public port, once it answers."""
    found = container.loaded.manifest.desktop
    assert found is not None
    until(lambda: container.get(found.port, headers=container.bearer()).status in (200, 302), within=60)
    return found.port


def test_its_port_leads_to_its_page(container: Machine, port: int) -> None:
    answer = container.get(port, headers=container.bearer())
    page = answer.headers.get("Location", "")
    assert container.get(port, f"/{page}", headers=container.bearer()).status == 200


@pytest.mark.parametrize("path", ["/", "/vnc.html", "/websockify"])
def test_nobody_comes_in_without_the_token(container: Machine, port: int, path: str) -> None:
    assert container.get(port, path, headers=PAGE).status == 401
    with pytest.raises(websocket.WebSocketBadStatusException, match="401"):
        websocket.create_connection(container.url(port, path).replace("http", "ws", 1), timeout=10)


def test_a_page_of_somebody_else_does_not_come_in_with_the_user_s_cookie(container: Machine, port: int) -> None:
    cookie = container.get(port, f"/?token={container.token}").headers["Set-Cookie"].partition(";")[0]
    address = container.url(port, "/websockify").replace("http", "ws", 1)
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        websocket.create_connection(address, timeout=10, cookie=cookie, origin="https://evil.example")
    connection = websocket.create_connection(address, timeout=10, cookie=cookie)
    assert connection.recv() == b"RFB 003.008\n"
    connection.close()


def test_the_screen_has_no_port_of_its_own(container: Machine, port: int) -> None:
    public = {*expand.ports(container.loaded.manifest), 22}
    lines = container.run("ss", "-Hltn").splitlines()
    heard = {(where, int(number)) for where, _, number in (line.split()[3].rpartition(":") for line in lines)}
    assert {number for where, number in heard if not where.startswith("127.")} <= public, heard
    assert not {number for _, number in heard if 5800 <= number < 6000}, heard
    if "desktop-web" in expand.services(container.loaded.manifest):
        assert container.run("stat", "-c", "%a", "/run/firstlight/desktop.sock").strip() == "600"


def test_windows_open_from_everywhere_inside(container: Machine, port: int) -> None:
    assert container.run("printenv", "DISPLAY").strip() == desktop.DISPLAY
    assert "current " in container.run("xrandr")
