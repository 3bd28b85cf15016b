"""KasmVNC itself, of the release in the lock, in an image of its own and in a browser: what `make prove` runs.

FIRSTLIGHT_KASMVNC names its package for Debian 13, for machines that do not reach GitHub.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import docker as docker_sdk
import pytest

from images import bases, containers, engine
from init.fetch import single
from init.fetch.sources import Sources
from manifests import desktop, load, lock
from tests.images import test_window as window
from tests.images.machine import Machine, started
from tests.images.test_window import (
    browser,
    test_mouse_and_keyboard_reach_it,
    test_the_menu_on_its_title_opens_a_terminal,
    test_the_screen_has_the_size_of_the_browser_s_window,
    test_two_browsers_share_it_and_either_may_go,
)
from tests.origin.content import Bytes
from tests.origin.server import Origin
from tests.panel.conftest import photograph
from tests.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = [
    "browser",
    "test_mouse_and_keyboard_reach_it",
    "test_the_menu_on_its_title_opens_a_terminal",
    "test_the_screen_has_the_size_of_the_browser_s_window",
    "test_two_browsers_share_it_and_either_may_go",
]
"""What is the same with TigerVNC is tried by the same tests."""
pytestmark = pytest.mark.timeout(1800)
"""The first one waits for the image."""
NAME = "firstlight-try-kasmvnc"
SERVER = "Xkasmvnc"


def package(folder: Path, url: str) -> Bytes:
    """The release's package."""
    file = Path(os.environ.get("FIRSTLIGHT_KASMVNC", folder / "kasmvnc.deb"))
    if "FIRSTLIGHT_KASMVNC" not in os.environ:
        single.fetch(url, file, None, threading.Event(), Sources(os.environ))
    return Bytes(file.read_bytes())


@pytest.fixture(scope="module")
def machine(
    docker: docker_sdk.DockerClient, gateway: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("kasmvnc")
    shutil.copytree(window.APP, folder / "window", ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / f"{NAME}.yaml"
    own = {"name": NAME, "desktop": {"provider": "kasmvnc", "quality": 5, "frame_rate": 24}}
    path.write_text(json.dumps(json.loads(window.manifest()) | own))
    loaded = load.load(str(path))
    url = desktop.package_url(loaded.manifest)
    assert url is not None
    content = package(folder, url)
    with Origin(hosts=(gateway, gateway)) as origin, pytest.MonkeyPatch.context() as patch:
        served = origin.plain(url.removeprefix("https://"), content)
        patch.setattr(desktop, "RELEASES", desktop.RELEASES.replace("https:/", origin.url))
        assert desktop.package_url(loaded.manifest) == served.url
        known = lock.Lock(programs={served.url: lock.LockedFile(size=content.size, sha256=content.sha256)})
        image = engine.build(loaded, known, base=bases.make("trixie"), sbom=False, compression="uncompressed").tag
    try:
        with started(docker, loaded, image) as running:
            assert running.settled()["phase"] == "ready", running.said()
            yield running
    finally:
        for tag in docker.images.get(image).tags:
            docker.images.remove(tag, force=True)


@pytest.fixture
def page(browser: Browser, machine: Machine) -> Iterator[Page]:
    with browser.new_context(viewport=window.SIZE, permissions=["clipboard-read", "clipboard-write"]) as context:  # type: ignore[arg-type]
        yield window.opened(context.new_page(), machine)


def test_the_window_is_seen(machine: Machine, page: Page) -> None:
    found = window.sees(machine, shown=True, platform="xcb")
    assert found["screen"] == [window.SIZE["width"], window.SIZE["height"]]
    assert "token" not in page.url and page.url.startswith(machine.url(window.PORT, "/vnc.html?reconnect=true&"))
    photograph(page, "kasmvnc")


def test_nothing_but_the_portal_is_heard_from_outside(machine: Machine) -> None:
    """KasmVNC opens a UDP port for WebRTC whatever it is told; no target of Firstlight's publishes one."""
    heard = [line.split() for line in machine.run("ss", "-Hlntup").splitlines() if SERVER in line]
    assert {(words[0], words[4].rpartition(":")[0]) for words in heard} == {("tcp", "127.0.0.1"), ("udp", "0.0.0.0")}
    assert machine.run("find", "/root", "-iname", "*vnc*", "-o", "-iname", "*kasm*") == ""
    assert machine.run("find", "/etc/ssl", "-name", "*snakeoil*", "-o", "-lname", "*snakeoil*") == ""


def test_nobody_comes_in_without_the_token(machine: Machine) -> None:
    portal = machine.loaded.manifest.portal.port
    for port, path in [(window.PORT, "/"), (window.PORT, "/vnc.html"), (portal, "/vnc/"), (portal, "/websockify")]:
        assert machine.get(port, path, headers={"Accept": "text/html"}).status == 401, (port, path)


def test_it_is_seen_on_the_portal_s_own_port_too(machine: Machine, page: Page) -> None:
    portal = machine.loaded.manifest.portal.port
    window.opened(page, machine, portal, "/vnc/")
    assert page.url.startswith(machine.url(portal, "/vnc/vnc.html?reconnect=true&"))


def test_the_page_tells_the_server_what_the_manifest_says(machine: Machine, page: Page) -> None:
    """Its own page tells something else: that is why it is opened with words of ours."""
    assert page.locator("#noVNC_setting_resize").input_value() == "remote"
    has(machine, DynamicQualityMin="3", DynamicQualityMax="5", FrameRate="24", JpegVideoQuality="5")
    page.goto(machine.url(window.PORT, "/vnc.html"))
    has(machine, DynamicQualityMin="4", DynamicQualityMax="9", JpegVideoQuality="7", MaxVideoResolution="960x540")
    window.opened(page, machine)
    has(machine, DynamicQualityMin="3", DynamicQualityMax="5", JpegVideoQuality="5", MaxVideoResolution="1920x1080")


def has(machine: Machine, **wanted: str) -> None:
    """Wait until the server's parameters are these."""

    def found() -> dict[str, str]:
        ask = ("kasmvncconfig", "-display", desktop.DISPLAY, "-get")
        return {name: machine.run(*ask, name).strip() for name in wanted}

    until(lambda: found() == wanted, what=f"{wanted}: {found()}")


def test_the_browser_s_own_clipboard_goes_both_ways(machine: Machine, page: Page) -> None:
    page.mouse.click(*window.point(machine, "copy"))
    clipboard = "() => navigator.clipboard.readText()"
    until(lambda: page.evaluate(clipboard) == "copied inside: grün", what="the browser has what the window copied")
    page.evaluate("() => navigator.clipboard.writeText('from outside: größer')")
    page.evaluate("() => window.dispatchEvent(new Event('focus'))")
    page.mouse.click(*window.point(machine, "title"))
    window.sees(machine, clipboard="from outside: größer")


def test_a_killed_x_server_comes_back_with_all_that_was_on_it(machine: Machine, page: Page) -> None:
    before = {name: machine.run("pgrep", "-x", name).split() for name in (SERVER, "openbox")}
    app = window.notes(machine)["pid"]
    machine.run("pkill", "-9", "-x", SERVER)
    until(lambda: window.notes(machine).get("pid") not in (app, None), within=60, what="the app has started again")
    after = {name: machine.run("pgrep", "-x", name).split() for name in before}
    assert all(len(after[name]) == 1 and after[name] != before[name] for name in before), (before, after)
    window.shows(page, machine, within=60)  # in the same browser, which nobody loads again
    state = machine.settled()
    assert state["phase"] == "ready" and {s["state"] for s in state["services"]} == {"ready"}, state
    log = containers.inside(machine.container, "cat", "/var/log/supervisor/desktop.log")[1]
    assert "Querying public IP" not in log and "Using public IP 127.0.0.1" in log, log
