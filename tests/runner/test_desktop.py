"""The desktop as the runner starts it: locks of the dead, the wait for a screen, the menu, the way in."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.websocket import websocket_connect

from init import desktop, novnc, windows
from init.complaint import Complaint
from init.paths import Paths
from init.plan import Need, Plan, ServiceSpec
from tests.portal.browser import ask
from tests.waiting import until


@pytest.fixture
def tmp() -> Iterator[Path]:
    """A folder as `/tmp` is: short enough for sockets."""
    folder = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    yield folder
    shutil.rmtree(folder)


def lock(tmp: Path, pid: int) -> Path:
    file = tmp / ".X7-lock"
    file.write_text(f"{pid:>10}\n")
    return file


@contextmanager
def screen(tmp: Path) -> Iterator[None]:
    """Something that answers where display :7 does."""
    (tmp / ".X11-unix").mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp / ".X11-unix" / "X7"))
        server.listen()
        yield


def test_what_a_killed_x_server_left_is_taken_away(tmp: Path) -> None:
    with screen(tmp):
        pass
    gone = subprocess.Popen(["true"])
    gone.wait()
    file = lock(tmp, gone.pid)
    desktop.make_way(7, tmp)
    assert not file.exists() and not (tmp / ".X11-unix" / "X7").exists()
    assert (tmp / ".X11-unix").stat().st_mode & 0o7777 == 0o1777


def test_a_lock_whose_number_another_program_has_now_is_taken_away(tmp: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        file = lock(tmp, other.pid)
        desktop.make_way(7, tmp)
        other.kill()
    assert not file.exists()


def test_a_damaged_lock_is_taken_away(tmp: Path) -> None:
    file = tmp / ".X7-lock"
    file.write_text("")
    desktop.make_way(7, tmp)
    assert not file.exists()


def test_a_living_x_server_keeps_its_display(tmp: Path) -> None:
    with screen(tmp), pytest.raises(desktop.Occupied, match=f"display :7 is process {os.getpid()}'s already"):
        lock(tmp, os.getpid())
        desktop.make_way(7, tmp)
    assert (tmp / ".X7-lock").exists()


def test_an_x_server_that_has_no_socket_yet_keeps_its_display(tmp: Path) -> None:
    words = ["/usr/bin/Xfake", "-c", "import time; time.sleep(60)", ":7"]
    with subprocess.Popen(words, executable=sys.executable) as server:
        file = lock(tmp, server.pid)
        until(lambda: b":7" in Path(f"/proc/{server.pid}/cmdline").read_bytes())
        with pytest.raises(desktop.Occupied, match="end it first"):
            desktop.make_way(7, tmp)
        server.kill()
    assert file.exists()


def test_a_lock_that_cannot_be_removed_is_named(tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = lock(tmp, 0)

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(1, "Operation not permitted", str(self))

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(desktop.Occupied, match=rf"{file}: Operation not permitted(.|\n)*remove it"):
        desktop.make_way(7, tmp)


def test_an_x_server_that_wants_a_file_of_users_finds_an_empty_one(tmp: Path) -> None:
    file = tmp / "desktop.users"
    file.write_text("somebody:secret:ow")
    desktop.nobody(["-noreset", desktop.USERS, str(file), "-AlwaysShared"])
    assert file.read_bytes() == b""
    desktop.nobody(["-noreset", desktop.USERS])  # the X server itself says what is wrong with these
    with pytest.raises(Complaint, match=rf"{tmp}/none/users: No such file(.|\n)*make its folder writable"):
        desktop.nobody([desktop.USERS, str(tmp / "none" / "users")])


def test_what_draws_waits_for_the_screen(tmp: Path) -> None:
    assert not desktop.there({"DISPLAY": ":7"}, within=0.1, folder=tmp)
    with screen(tmp):
        pass
    assert not desktop.there({"DISPLAY": ":7"}, within=0.1, folder=tmp), "a socket that nobody listens at is none"
    (tmp / ".X11-unix" / "X7").unlink()
    found: list[bool] = []
    waiting = threading.Thread(target=lambda: found.append(desktop.there({"DISPLAY": ":7.0"}, folder=tmp)))
    waiting.start()
    with screen(tmp):
        waiting.join(10)
    assert found == [True]


@pytest.mark.parametrize("words", [[], ["screen"], ["screen", "X", "20"], ["web", "x", "1"], ["moon"]])
def test_what_is_no_part_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert desktop.main(words) == 2
    assert "usage: firstlight desktop screen" in capsys.readouterr().err


def test_a_missing_x_server_is_named(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desktop, "make_way", lambda number: None)
    assert desktop.main(["screen", "Xnone", ":7"]) == 127
    said = capfd.readouterr().err
    assert "Xnone: No such file or directory" in said and "the X server that the manifest's `desktop` names" in said


def plan(title: str) -> Plan:
    needs = [Need("service:desktop")]
    services = [
        ServiceSpec("desktop", "Screen", ["x"], []),
        ServiceSpec("desktop-session", "Window manager", ["x"], needs),
        ServiceSpec("app", title, ["x"], needs),
        ServiceSpec("other", "Not on the desktop", ["x"], []),
    ]
    return Plan("case", title, "0", Paths(), [], services)


@pytest.mark.parametrize("title", ["VisoMaster", '<b>&amp; "it\'s" _100%_\x1b[1m</menu>'])
def test_the_menu_offers_a_terminal_and_the_apps_of_the_desktop(title: str) -> None:
    root = ElementTree.fromstring(windows.menu(plan(title)))
    space = {"o": "http://openbox.org/3.4/menu"}
    items = {item.get("label"): item.findtext(".//o:command", "", space) for item in root.iterfind(".//o:item", space)}
    plain = "".join(letter for letter in title if letter.isprintable()).replace("_", "__")
    assert list(items) == ["Terminal", "How far the set-up is", f"Start {plain} again"]
    assert items[f"Start {plain} again"] == "firstlight retry service:app"


SETTINGS = """\
<openbox_config xmlns="http://openbox.org/3.4/rc">
<keyboard><keybind key="A-Tab"/></keyboard>
<mouse>
<context name="Titlebar Top">
<mousebind button="Right" action="Press"><action><menu>client-menu</menu></action></mousebind>
</context>
<context name="Icon">
<mousebind button="Right" action="Press"><action><menu>client-menu</menu></action></mousebind>
</context>
</mouse>
<desktops><!-- n --><number>4</number></desktops>
<menu><file>/var/lib/openbox/debian-menu.xml</file><file>menu.xml</file><hideDelay>200</hideDelay></menu>
<applications><application class="Old"/></applications>
</openbox_config>
"""


def test_openbox_s_own_settings_are_kept_but_for_what_is_ours() -> None:
    root = ElementTree.fromstring(windows.settings(SETTINGS, Path("/run/a&b/menu.xml")))
    space = {"": "http://openbox.org/3.4/rc"}
    assert root.tag == "{http://openbox.org/3.4/rc}openbox_config"
    assert root.findtext("desktops/number", "", space) == "1"
    assert [file.text for file in root.findall("menu/file", space)] == ["/run/a&b/menu.xml"]
    assert [menu.text for menu in root.iterfind(".//action/menu", space)] == ["root-menu", "client-menu"]
    rules = root.findall("applications/application", space)
    assert [(rule.get("class"), rule.findtext("maximized", None, space)) for rule in rules] == [
        ("Old", None),
        ("*", "yes"),
        ("XTerm", "no"),
    ]
    assert root.find("keyboard/keybind", space) is not None and root.findtext("menu/hideDelay", "", space) == "200"


@pytest.fixture
def web(tmp: Path) -> Iterator[int]:
    """Port of the way to the screen; its pages lie in `tmp/pages`, and its screen's socket is `tmp/sock`."""
    (tmp / "pages").mkdir()
    (tmp / "pages" / "vnc.html").write_text("the page")
    (sock,) = bind_sockets(0, "127.0.0.1")
    loops: list[IOLoop] = []

    def run() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        loop = IOLoop.current()
        HTTPServer(novnc.application(tmp / "pages", tmp / "sock", 7)).add_sockets([sock])
        loops.append(loop)
        loop.start()

    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: loops)
    yield sock.getsockname()[1]
    loops[0].add_callback(loops[0].stop)
    thread.join(10)


def test_the_pages_are_served_and_the_first_leads_in(web: int) -> None:
    reply = ask(web, "/")
    assert (reply.status, reply.headers["location"]) == (302, novnc.start(7))
    assert "autoconnect=true" in novnc.start(7) and "resize=remote" in novnc.start(7) and "quality=7" in novnc.start(7)
    assert ask(web, "/vnc.html").text == "the page"
    assert ask(web, "/../sock").status in (403, 404)
    assert ask(web, "/none").status == 404


@contextmanager
def echo(tmp: Path) -> Iterator[None]:
    """A screen that greets, and sends back what it gets."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp / "sock"))
        server.listen()

        def serve() -> None:
            client = server.accept()[0]
            with client:
                client.sendall(b"RFB 003.008\n")
                while data := client.recv(65_536):
                    client.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join(10)


def test_bytes_pass_both_ways(tmp: Path, web: int) -> None:
    large = os.urandom(3_000_000)

    async def talk() -> bytes:
        connection = await websocket_connect(f"ws://127.0.0.1:{web}/websockify", subprotocols=["binary"])
        assert connection.selected_subprotocol == "binary"
        assert await connection.read_message() == b"RFB 003.008\n"
        for at in range(0, len(large), 100_000):
            await connection.write_message(large[at : at + 100_000], binary=True)
        got = b""
        while len(got) < len(large):
            message = await connection.read_message()
            assert isinstance(message, bytes)
            got += message
        connection.close()
        return got

    with echo(tmp):
        assert asyncio.run(talk()) == large


def test_without_a_screen_the_browser_is_sent_away_to_try_again(web: int) -> None:
    async def talk() -> int | None:
        connection = await websocket_connect(f"ws://127.0.0.1:{web}/websockify")
        assert await connection.read_message() is None
        return connection.close_code

    assert asyncio.run(talk()) == 1013


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "https://pod-6080.proxy.example", "X-Forwarded-For": "10.0.0.1"}, 101),
        ({}, 101),
    ],
)
def test_pages_of_others_do_not_come_past_the_portal(web: int, headers: dict[str, str], status: int) -> None:
    from tornado.httpclient import HTTPClientError, HTTPRequest

    async def talk() -> int:
        request = HTTPRequest(f"ws://127.0.0.1:{web}/websockify", headers=HTTPHeaders(headers))
        try:
            (await websocket_connect(request)).close()
        except HTTPClientError as error:
            return error.code
        return 101

    assert asyncio.run(talk()) == status
