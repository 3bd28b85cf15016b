"""The demo's whole container as a pod of RunPod's: with what the platform sets, and behind its proxy."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import docker as docker_sdk
import pytest
from playwright.sync_api import Browser, Page, expect

from images import containers
from manifests import expand, load
from tests.days.machine import plan
from tests.images.machine import Machine, started
from tests.images.test_boot import SUPERVISORCTL
from tests.origin.demo import publish
from tests.origin.server import Origin
from tests.panel.front import Front, front
from tests.panel.visits import WITHIN, Visit, visiting
from tests.portal.browser import HTML, query
from tests.waiting import until

POD = "k3x9demo7pod2q"
PASSWORD = "given by the platform"
INNER = ["", "100.64.3.1:60123"]
"""The Host header inside: kept by some proxies, written anew by others."""
CUT = 4.0
"""Seconds that the proxy gives an answer, where cuts are what a test is about."""
ECHO = """() => new Promise((done) => {
    const socket = new WebSocket(`wss://${location.host}/ws`);
    socket.onopen = () => socket.send("hello");
    socket.onmessage = (event) => done(event.data);
    socket.onerror = () => done("refused");
})"""


def name(port: int) -> str:
    return f"{POD}-{port}.proxy.runpod.net"


@dataclass
class Pod:
    machine: Machine
    hub: Origin
    proxy: Front

    @property
    def lab(self) -> str:
        return name(self.machine.loaded.manifest.jupyter.port)

    @property
    def app(self) -> str:
        return name(self.machine.loaded.manifest.services["lightbox"].port or 0)

    def visit(self, browser: Browser) -> AbstractContextManager[Visit]:
        outside = {"server": f"http://127.0.0.1:{self.proxy.port}"}
        return visiting(browser, proxy=outside, ignore_https_errors=True)

    def ready(self) -> None:
        """What is asked of the hub is given; returns when the app is there."""
        self.hub.clear()
        assert self.machine.settled()["phase"] == "ready", self.machine.said()


@pytest.fixture(scope="module")
def pod(
    docker: docker_sdk.DockerClient,
    built: Callable[[str], str],
    gateway: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pod]:
    """Models are held back until a test says otherwise."""
    with Origin(hosts=(gateway, gateway)) as hub:
        publish(hub)
        hub.fault("stall", server="cdn")
        environ = {"HF_ENDPOINT": hub.url, "RUNPOD_POD_ID": POD, "JUPYTER_PASSWORD": PASSWORD}
        with started(docker, load.load("demo"), built("demo"), environ) as machine:
            ports = expand.ports(machine.loaded.manifest)
            names = {name(port): containers.published(machine.container, port) for port in ports}
            with front(tmp_path_factory.mktemp("front"), names) as proxy:
                yield Pod(machine, hub, proxy)


@pytest.fixture(autouse=True)
def patient(pod: Pod) -> None:
    """The proxy as it is in life."""
    pod.proxy.inner, pod.proxy.cut, pod.proxy.patience = "", 100.0, 100.0


def test_its_addresses_are_those_of_the_platform_s_proxy(pod: Pod) -> None:
    manifest = pod.machine.loaded.manifest
    secret = query(PASSWORD)
    wanted = [
        f"JupyterLab: https://{pod.lab}/lab?{secret}",
        f"Portal: https://{name(manifest.portal.port)}/?{secret}",
        f"Lightbox: https://{pod.app}/?{secret}",
    ]
    assert pod.machine.run("firstlight", "token", "--url").splitlines() == wanted
    for line in wanted:
        assert line.partition(": ")[2] in pod.machine.said()
    assert pod.machine.token == PASSWORD


@pytest.mark.parametrize("inner", INNER, ids=["host kept", "host rewritten"])
def test_who_has_the_token_sees_the_holding_page_and_nobody_else(pod: Pod, inner: str) -> None:
    pod.proxy.inner = inner
    for host in pod.proxy.names:
        path = "/api/contents" if host == pod.lab else "/"
        assert pod.proxy.ask(host, path).status in (401, 403), host
        assert pod.proxy.ask(host, f"{path}?token=wrong").status in (401, 403), host
    ticket = pod.proxy.ask(pod.app, f"/?{query(PASSWORD)}", HTML)
    assert (ticket.status, ticket.headers["location"]) == (302, "/")
    assert {"Secure", "HttpOnly", "SameSite=Lax"} <= set(ticket.headers["set-cookie"].split("; "))
    mine = {"Cookie": ticket.cookie}
    page = pod.proxy.ask(pod.app, "/", {**mine, **HTML})
    # Behind Cloudflare a 503 would be replaced by a page of its own.
    assert (page.status, 'data-page="holding"' in page.text) == (200, True)
    assert pod.proxy.ask(pod.app, "/files", mine).status == 503, "a program is not told that the app is there"


def test_the_link_leads_to_the_holding_page_and_that_turns_into_the_app(pod: Pod, browser: Browser) -> None:
    with pod.visit(browser) as visit:
        page = visit.page
        page.goto(f"https://{pod.app}/?{query(PASSWORD)}")
        expect(page.locator("#headline")).to_contain_text("Lightbox", timeout=WITHIN)
        assert page.url == f"https://{pod.app}/"
        cookies = page.context.cookies()
        assert [(each["secure"], each["httpOnly"], each["domain"]) for each in cookies] == [(True, True, pod.app)]
        pod.ready()
        expect(page).to_have_title("Lightbox", timeout=WITHIN)
        drawn = "() => [...document.images].filter((each) => each.naturalWidth > 16).length > 2"
        page.wait_for_function(drawn, timeout=WITHIN)
    with pod.visit(browser) as stranger:
        answer = stranger.page.goto(f"https://{pod.app}/")
        assert answer is not None and answer.status == 401
        expect(stranger.page.locator("form")).to_be_visible()


def run(page: Page, code: str, output: str) -> None:
    """Type into the notebook's last cell and run it."""
    cell = page.locator(".jp-NotebookPanel .jp-CodeCell").last
    cell.locator(".cm-content").click()
    page.keyboard.type(code)

    def answers() -> bool:
        # What is run before the kernel is there, JupyterLab forgets.
        page.keyboard.press("Control+Enter")
        try:
            expect(cell.locator(".jp-OutputArea-output")).to_have_text(output, timeout=10_000)
        except AssertionError:
            return False
        return True

    until(answers, within=90, what=f"{code} says {output}")
    page.keyboard.press("b")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("inner", INNER, ids=["host kept", "host rewritten"])
def test_cells_run_and_the_panel_stays_when_the_proxy_cuts(pod: Pod, browser: Browser, inner: str) -> None:
    pod.ready()
    pod.proxy.inner = inner
    with pod.visit(browser) as visit:
        page = visit.page
        visit.arrive(f"https://{pod.lab}/lab?reset&{query(PASSWORD)}")
        visit.shows("Lightbox is ready")
        visit.mark()
        page.locator('.jp-LauncherCard[data-category="Notebook"]', has_text="Python 3").click()
        run(page, 'import os; answer = 6; print(os.environ["RUNPOD_POD_ID"])', POD)

        before = len(pod.proxy.cuts)
        pod.proxy.cut = pod.proxy.patience = CUT
        for end in ("/channels", "/firstlight/events"):
            until(lambda end=end: cut(pod, before, end) > 1, within=90, what=f"{end} is cut twice")  # type: ignore[misc]
        pod.proxy.cut = pod.proxy.patience = 100.0
        run(page, "print(answer * 7)", "42")
        visit.shows("Lightbox is ready")
        expect(visit.away).to_have_count(0)
        assert visit.marked, "no reload"


def cut(pod: Pod, before: int, end: str) -> int:
    """How many answers of paths that end so were cut, after the first `before` cuts."""
    return sum(path.endswith(end) for path in pod.proxy.cuts[before:])


def test_a_websocket_passes_through_the_portal(pod: Pod, browser: Browser) -> None:
    """To an app that has one, in the place of Lightbox, which has none."""
    pod.ready()
    pod.machine.run(*SUPERVISORCTL, "stop", "lightbox")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(Path(__file__).parents[1] / "portal" / "app.py", "app.py")
    pod.machine.container.put_archive("/tmp", archive.getvalue())
    listen = str(plan().services[0].listen)
    pod.machine.container.exec_run(["/opt/firstlight/control/bin/python", "/tmp/app.py", listen], detach=True)
    cookie = {"Cookie": pod.proxy.ask(pod.app, f"/?{query(PASSWORD)}", HTML).cookie}
    until(lambda: pod.proxy.ask(pod.app, "/x", cookie).status == 200, what="the app")
    for inner in INNER:
        pod.proxy.inner = inner
        with pod.visit(browser) as visit:
            visit.page.goto(f"https://{pod.app}/?{query(PASSWORD)}")
            assert visit.page.evaluate(ECHO) == "hello /ws", inner
        with pod.visit(browser) as stranger:
            stranger.page.goto(f"https://{pod.app}/")
            assert stranger.page.evaluate(ECHO) == "refused", inner
