"""Through Vast's Open button into the portal, JupyterLab and the desktop's page: the real stack, in Chromium."""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from init import state
from init.plan import Need, ServiceSpec
from tests.panel.browsers import chromium
from tests.panel.conftest import photograph
from tests.portal import house
from tests.portal.browser import HTML, ask, bearer, query, websocket
from tests.portal.conftest import CLI, Stack, start_stack, stop
from tests.portal.house import REPO
from tests.ports import free_port
from tests.waiting import until

BUTTON, LAB = "the-button's token", "jupyterlab's own token"
WITHIN = 60_000
PORTAL, OTHER, TAKEN, DESKTOP = free_port(), free_port(), free_port(), free_port()
CONFIG = "|".join(
    [
        f"localhost:{PORTAL}:11111:/:Instance Portal",
        "localhost:8080:18080:/:Jupyter",
        f"localhost:{OTHER}:{TAKEN}:/ui?a=1:Tensorboard",
        "localhost:8384:18384:/:Syncthing",
        "localhost:7002:17002:/:<img src=x onerror=document.title='caught'>",
        f"localhost:{DESKTOP}:{DESKTOP}:/:Desktop",
        f"localhost:{DESKTOP}:{DESKTOP}:/:Screen",
        f"localhost:{DESKTOP}:{DESKTOP}:/vnc/:VisoMaster",
    ]
)


def services() -> list[ServiceSpec]:
    screen = ServiceSpec("desktop", "Screen", ["true"], [])
    web = ServiceSpec("desktop-web", "Desktop", ["true"], [Need("service:desktop")], port=DESKTOP, listen=free_port())
    return [screen, web, ServiceSpec("visomaster", "VisoMaster", ["true"], [Need("service:desktop"), Need("models")])]


def tell(made: house.House) -> None:
    """A start halfway."""
    now = time.time()
    stages = [
        state.StageState("app", "python", "Environment app", [], "done", started=now - 190, ended=now - 70),
        state.StageState("source", "git", "VisoMaster", [], "done", started=now - 195, ended=now - 188),
        state.StageState("models", "models", "Models: faces", [], "running", started=now - 150),
    ]
    stages[2].bytes_done, stages[2].bytes_total, stages[2].rate_bps = 2_700_000_000, 5_400_000_000, 61_000_000.0
    told = [
        state.ServiceState("desktop", "Screen", [], "ready"),
        state.ServiceState("desktop-web", "Desktop", ["service:desktop"], "ready", message="Click to open it"),
        state.ServiceState("visomaster", "VisoMaster", ["models"], "waiting", message="waits for Models: faces"),
    ]
    snapshot = state.Snapshot("demo", "VisoMaster", state.Boot("1", now - 200), stages=stages, services=told)
    snapshot.headline = state.Headline("VisoMaster starts in about 45 s: it waits for Models: faces")
    snapshot.progress = 0.62
    (made.run / "state.json").write_text(state.dump(snapshot))


@pytest.fixture(scope="module")
def stack(control: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """As on an instance of Vast.ai: every token is another one, and a port is open only where a variable says so."""
    made = house.build(
        tmp_path_factory.mktemp("button"), control, services=services(), cli=CLI, title="VisoMaster", portal=PORTAL
    )
    tell(made)
    environ = {"JUPYTER_TOKEN": LAB, "OPEN_BUTTON_TOKEN": BUTTON, "PORTAL_CONFIG": CONFIG, "CONTAINER_ID": "7"}
    environ |= {f"VAST_TCP_PORT_{port}": str(port) for port in (OTHER, made.plan.portal_port, made.plan.jupyter.port)}
    running = start_stack(made, environ)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def apps(stack: Stack) -> Iterator[None]:
    """What answers for the desktop's page and behind the further port."""
    program = str(REPO / "tests/portal/app.py")
    ports = [stack.house.plan.services[1].listen or 0, TAKEN]
    running = [subprocess.Popen([sys.executable, program, str(port)]) for port in ports]
    for port in ports:
        until(partial(_there, port))
    yield
    for process in running:
        stop(process)


def _there(port: int) -> bool:
    try:
        return ask(port).status == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 900, "height": 1000})
    context.set_default_timeout(WITHIN)
    yield context.new_page()
    context.close()


def open_button(stack: Stack, page: Page) -> str:
    """What Vast's console opens; gives the portal's address."""
    here = f"http://127.0.0.1:{stack.house.plan.portal_port}/"
    page.goto(f"{here}?{query(BUTTON)}")
    return here


@pytest.mark.usefixtures("apps")
def test_the_open_button_lands_inside(stack: Stack, page: Page) -> None:
    here = open_button(stack, page)
    assert page.url == here, "the token is gone from the address"
    expect(page.locator("#summary")).to_contain_text("about 45 s")
    expect(page.locator(".place b")).to_have_text(["Desktop", "Jupyter", "VisoMaster", "Tensorboard", "Screen", "Logs"])
    expect(page.locator(".place", has_text="VisoMaster")).to_contain_text("waiting")
    problems = page.locator("#problems")
    expect(problems).to_contain_text("port 8384 is not open on this instance; add `-p 8384:8384`".replace("`", ""))
    expect(problems).to_contain_text("its name is empty, too long or has odd characters")
    assert page.title() == "VisoMaster", "what was written there is text"
    assert page.locator("img").count() == 0
    hrefs = {place.inner_text().split("\n")[0]: place.get_attribute("href") for place in page.locator(".place").all()}
    assert hrefs["Desktop"] == hrefs["Screen"] == hrefs["VisoMaster"] == "/vnc/"
    assert hrefs["Tensorboard"] == f"http://127.0.0.1:{OTHER}/ui?a=1"

    page.get_by_text("Tensorboard").click()
    expect(page.locator("body")).to_contain_text('"path": "/ui?a=1"')
    page.goto(here)
    page.get_by_text("Desktop", exact=True).click()
    expect(page.locator("body")).to_contain_text('"path": "/"')
    assert page.url == f"{here}vnc/"
    answer = page.evaluate(
        """() => new Promise((done) => {
            const socket = new WebSocket("ws://" + location.host + "/vnc/websockify");
            socket.onopen = () => socket.send("hello");
            socket.onmessage = (event) => done(event.data);
            socket.onerror = () => done("refused");
        })"""
    )
    assert answer == "hello /websockify"
    page.goto(here)
    page.get_by_text("Logs").click()
    page.set_viewport_size({"width": 820, "height": 420})
    expect(page.get_by_text("portal.log")).to_be_visible()
    photograph(page, "portal-logs")
    page.get_by_text("portal.log").click()
    expect(page.locator("body")).to_contain_text("PORTAL_CONFIG, item 4")


def test_from_the_portal_into_jupyterlab(stack: Stack, page: Page) -> None:
    """With the portal's cookie, as the button's token is not JupyterLab's."""
    here = open_button(stack, page)
    page.goto(f"{here}jupyter/")
    page.wait_for_selector("#jp-main-dock-panel")
    assert page.url.startswith(f"http://127.0.0.1:{stack.house.plan.jupyter.port}/lab")
    assert LAB not in page.content() and BUTTON not in page.content()
    status = page.evaluate(
        """async () => {
            const made = await fetch("/api/terminals", {method: "POST"});
            return made.status;
        }"""
    )
    assert status == 403, "it asks for the XSRF value"


def test_jupyterlab_takes_the_portals_cookie_and_no_other(stack: Stack) -> None:
    plan = stack.house.plan
    cookie = ask(plan.portal_port, f"/?{query(BUTTON)}", HTML).cookie
    name = cookie.partition("=")[0]
    assert stack.lab("/api/contents", {"Cookie": cookie}).status == 200
    for wrong in (
        f"{name}=",
        f"{name}=wrong",
        cookie[:-1],
        cookie + "0",
        f"{name}=ü",
        cookie.replace("firstlight_", "firstlight"),
    ):
        assert stack.lab("/api/contents", {"Cookie": wrong}).status == 403, wrong
    assert stack.lab("/api/contents", {"Authorization": f"token {LAB}"}).status == 200
    assert stack.lab("/api/contents", bearer(BUTTON)).status == 403, "its own token stays one"
    here, there = {"Cookie": cookie, "Host": f"127.0.0.1:{plan.jupyter.port}"}, "https://elsewhere.example"
    assert stack.lab("/api/terminals", here, "POST", "{}").status == 403, "the XSRF value is missing"
    made = stack.lab("/api/terminals", {"Authorization": f"token {LAB}"}, "POST", "{}").json["name"]
    channel = f"/terminals/websocket/{made}"
    assert websocket(plan.jupyter.port, channel, here, '["stdin", "true\\r"]')[0] == 101
    assert websocket(plan.jupyter.port, channel, {**here, "Origin": there})[0] in (403, 404)
    assert websocket(plan.jupyter.port, channel, {})[0] == 403
    connection = http.client.HTTPConnection("127.0.0.1", plan.jupyter.port, timeout=20)
    connection.request("GET", "/logout", headers={"Cookie": cookie})
    signed_out = [value for key, value in connection.getresponse().getheaders() if key.lower() == "set-cookie"]
    assert any(value.startswith(f'{name}=""; expires=') for value in signed_out), "out of the portal as well"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_window_in_both_themes(stack: Stack, browser: Browser, scheme: str) -> None:
    context = browser.new_context(viewport={"width": 820, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    try:
        open_button(stack, page)
        expect(page.locator("#summary")).to_contain_text("about 45 s")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.set_viewport_size({"width": 820, "height": page.evaluate("document.documentElement.scrollHeight")})
        photograph(page, f"portal-{scheme}")
    finally:
        context.close()
