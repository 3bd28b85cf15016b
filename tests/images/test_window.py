"""A window on the desktop: a real Qt app, seen and used in a browser through the portal, by one or by two, and back
after the X server was killed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker as docker_sdk
import pytest
from playwright.sync_api import Error

from images import containers
from manifests import load
from tests.images.machine import Machine, started
from tests.panel.browsers import chromium
from tests.panel.conftest import photograph
from tests.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

APP = Path(__file__).with_name("window")
PORT = 6080
NOTES = "/tmp/notes.json"
SIZE = {"width": 1120, "height": 700}
PIXEL = """([x, y]) => {
    const canvas = document.querySelector("#noVNC_container canvas");
    return canvas ? Array.from(canvas.getContext("2d").getImageData(x, y, 1, 1).data.slice(0, 3)) : [];
}"""


def manifest() -> str:
    """VisoMaster's own system packages, desktop and Qt settings; of Python packages Qt alone."""
    real = load.load("visomaster").manifest
    app, desktop = real.services["visomaster"], real.desktop
    assert desktop is not None
    return json.dumps(
        {
            "manifest": "1",
            "name": "firstlight-try-window",
            "image": {"base": "debian:trixie", "apt": real.image.apt},
            "python": {"envs": {"app": {"packages": ["PySide6-Essentials==6.12.0"], "at": "build"}}},
            "sources": {"window": {"path": "window"}},
            "desktop": desktop.model_dump(mode="json", exclude_unset=True),
            "services": {
                "window": {
                    "title": "The window",
                    "env": "app",
                    "command": f"python window.py {NOTES}",
                    "environment": dict(app.environment),
                    "needs": ["service:desktop"],
                    "ready": {"file": NOTES},
                }
            },
        }
    )


@pytest.fixture(scope="module")
def machine(
    built: Callable[[str], str], docker: docker_sdk.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("window")
    shutil.copytree(APP, folder / "window", ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "firstlight-try-window.yaml"
    path.write_text(manifest())
    image = built(str(path))
    try:
        with started(docker, load.load(str(path)), image) as running:
            assert running.settled()["phase"] == "ready", running.said()
            yield running
    finally:
        for tag in docker.images.get(image).tags:
            docker.images.remove(tag, force=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Browser, machine: Machine) -> Iterator[Page]:
    with browser.new_context(viewport=SIZE) as context:  # type: ignore[arg-type]
        yield opened(context.new_page(), machine)


def opened(page: Page, machine: Machine, port: int = PORT, path: str = "/") -> Page:
    """The desktop, as somebody with the token sees it. Chromium drops what it is loading whenever the machine's network
    changes, as when a container starts beside it: then it is opened again."""

    def loaded() -> bool:
        try:
            page.goto(machine.url(port, f"{path}?token={machine.token}"))
            page.wait_for_selector("html:not(.noVNC_loading) #noVNC_container canvas", timeout=20_000)
        except Error:
            return False
        return True

    until(loaded, within=90, what="noVNC's page")
    # Until it has the browser's size, what is seen now will soon be elsewhere.
    sees(machine, screen=[SIZE["width"], SIZE["height"]])
    shows(page, machine)
    page.wait_for_function("() => !document.querySelector('#noVNC_status.noVNC_open')")  # it takes clicks for itself
    return page


def notes(machine: Machine) -> Mapping[str, Any]:
    """What the app sees; nothing before it is there."""
    text = containers.inside(machine.container, "cat", NOTES)[1]
    found: dict[str, Any] = json.loads(text) if text.startswith("{") else {}
    return found


def sees(machine: Machine, **wanted: object) -> Mapping[str, Any]:
    """Wait until the app sees this."""

    def seen() -> Mapping[str, Any] | None:
        found = notes(machine)
        return found if all(found.get(name) == value for name, value in wanted.items()) else None

    return until(seen, within=20, what=f"the app sees {wanted}: {notes(machine)}") or {}


def shows(page: Page, machine: Machine, within: float = 30) -> None:
    """Wait until the browser shows the window's colours where the window says they are; pictures are compressed."""

    def right() -> bool:
        found = notes(machine)
        if not found.get("shown"):
            return False
        seen = {side: page.evaluate(PIXEL, found["places"][side]) for side in found["colors"]}
        pairs = [pair for side, color in found["colors"].items() for pair in zip(color, seen[side], strict=False)]
        return len(pairs) == 3 * len(seen) and all(abs(wanted - shown) <= 4 for wanted, shown in pairs)

    until(right, within=within, every=0.2, what="the browser shows the window")


def point(machine: Machine, name: str) -> tuple[int, int]:
    x, y = notes(machine)["places"][name]
    return x, y


def writes(page: Page, machine: Machine, text: str) -> None:
    """Write this over what stands in the window's line."""
    page.mouse.click(*point(machine, "line"))
    sees(machine, focus=True)
    page.keyboard.press("Control+a")
    page.keyboard.type(text)
    sees(machine, text=text)


def test_the_window_is_seen(machine: Machine, page: Page) -> None:
    found = sees(machine, shown=True)
    assert (found["platform"], found["opengl"]) == ("xcb", False)
    assert found["colors"] == {"left": [0x4F, 0xAC, 0xC9], "right": [0xC9, 0x4F, 0x6D]}
    assert "token" not in page.url and page.url.startswith(machine.url(PORT, "/vnc.html?autoconnect=true"))
    photograph(page, "desktop-light")


def test_it_is_seen_on_the_portal_s_own_port_too(machine: Machine, page: Page) -> None:
    portal = machine.loaded.manifest.portal.port
    opened(page, machine, portal, "/vnc/")
    assert page.url.startswith(machine.url(portal, "/vnc/vnc.html?"))


def test_mouse_and_keyboard_reach_it(machine: Machine, page: Page) -> None:
    writes(page, machine, "Hello, 42!")


def test_the_menu_on_its_title_opens_a_terminal(machine: Machine, page: Page) -> None:
    x, _ = point(machine, "title")

    def asked() -> bool:
        page.keyboard.press("Escape")
        page.mouse.click(x, 10, button="right")  # the title of a window that fills the screen
        page.mouse.click(x + 20, 20)
        # Another one would stay when the first is ended.
        with suppress(AssertionError):
            return until(lambda: containers.inside(machine.container, "pgrep", "-x", "xterm")[0] == 0, within=15)
        return False

    until(asked, within=60, what="a terminal")
    machine.run("pkill", "-x", "xterm")
    shows(page, machine)


def test_the_clipboard_goes_both_ways(machine: Machine, page: Page) -> None:
    page.mouse.click(*point(machine, "copy"))
    text = page.locator("#noVNC_clipboard_text")
    until(lambda: text.input_value() == "copied inside: grün", what="the browser has what was copied in the window")
    text.evaluate("(area) => {area.value = 'from outside: größer'; area.dispatchEvent(new Event('change'))}")
    sees(machine, clipboard="from outside: größer")


def test_the_screen_has_the_size_of_the_browser_s_window(machine: Machine, page: Page) -> None:
    sees(machine, screen=[SIZE["width"], SIZE["height"]])
    page.set_viewport_size({"width": 1000, "height": 640})
    sees(machine, screen=[1000, 640])
    assert "current 1000 x 640" in machine.run("xrandr")
    shows(page, machine)


def test_two_browsers_share_it_and_either_may_go(machine: Machine, page: Page, browser: Browser) -> None:
    with browser.new_context(viewport=SIZE) as context:  # type: ignore[arg-type]
        other = opened(context.new_page(), machine)
        writes(other, machine, "from the second")
        shows(page, machine)
    writes(page, machine, "from the first")


def test_a_killed_x_server_comes_back_with_all_that_was_on_it(machine: Machine, page: Page) -> None:
    before = {name: machine.run("pgrep", "-x", name).split() for name in ("Xtigervnc", "openbox")}
    app = notes(machine)["pid"]

    def again(name: str) -> bool:
        pids = containers.inside(machine.container, "pgrep", "-x", name)[1].split()
        return len(pids) == 1 and pids != before[name]

    machine.run("pkill", "-9", "-x", "Xtigervnc")
    until(lambda: notes(machine).get("pid") not in (app, None), within=60, what="the app has started again")
    shows(page, machine, within=60)
    for name in before:
        until(lambda name=name: again(name), what=f"{name} runs again, and once")  # type: ignore[misc]
    restarts = {"desktop": 1, "desktop-session": 1, "desktop-web": 0, "window": 1}
    until(lambda: {s["id"]: s["restarts"] for s in machine.state()["services"]} == restarts, what=f"{restarts}")
    state = machine.settled()
    assert state["phase"] == "ready" and {s["state"] for s in state["services"]} == {"ready"}, state
    assert {s["id"]: s["restarts"] for s in state["services"]} == restarts
