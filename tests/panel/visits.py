"""A visit to JupyterLab in a browser: what the panel shows, what it asks of the server, and its complaints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from playwright.sync_api import expect

from init.state import Headline, ServiceState, StageState
from tests.lab.support import Place
from tests.panel.scene import Panel

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Error, Locator, Page, Request, Response

WITHIN = 90_000
"""Milliseconds for a page to load and a change to be seen, on a busy machine."""
STAGE = "models:big"
"""The stage of `tell` that failed and can be tried again."""
expect.set_options(timeout=20_000)
OTHERS = re.compile(r"^Failed to load resource|^Plugin \S+ .* to activate\.$")
"""What the browser notes by itself of every answer that is no success, and JupyterLab of every busy machine."""


def tell(place: Place, text: str, port: int = 8188, page: str = "", **changes: Any) -> None:
    """Write a state whose headline says `text`: one stage done, one failed, and a service with a page on `port`."""
    failed = StageState(STAGE, "models", "Big models", ["nodes"], "failed", started=1004.5, ended=1010.0, attempt=1)
    failed.message, failed.repair = "the hub does not answer", f"firstlight retry {STAGE}"
    failed.consequence = "The large pictures are missing"
    stages = [StageState("nodes", "nodes", "Custom nodes", [], "done", started=1000.0, ended=1004.5), failed]
    app = ServiceState("app", "Lightbox", ["nodes"], "starting", url=f":{port}/{page}", port=port)
    place.write(**{"headline": Headline(text), "stages": stages, "services": [app], **changes})


class Visit(Panel):
    """Watches a page from its first request on."""

    def __init__(self, page: Page):
        super().__init__(page)
        self.asked: list[str] = []
        """Paths below `firstlight/` in the order of the requests."""
        self.complaints: list[str] = []
        """Errors that our code did not catch, and what it wrote to the browser's console as a warning or an error."""
        page.on("request", self._note)
        page.on("console", self._listen)
        page.on("pageerror", self._hear)
        lost = page.locator(".jp-Dialog", has_text="Server Connection Error")
        # JupyterLab's own word about a server that does not answer, which lies over everything until it is read.
        page.add_locator_handler(lost, lambda: lost.locator(".jp-Dialog-button").last.click())

    def arrive(self, url: str) -> Visit:
        """Load JupyterLab; returns when the panel is there and its stream has been opened."""
        with self.page.expect_response(is_stream, timeout=WITHIN):
            self.page.goto(url)
        return self

    def shows(self, text: str) -> None:
        """Wait until the headline says this."""
        expect(self.headline).to_have_text(text, timeout=WITHIN)

    @property
    def away(self) -> Locator:
        return self.body.locator(".fl-away")

    def said(self, key: str) -> Locator:
        """What came of an action that was asked for in a row."""
        return self.row(key).locator(".fl-said")

    def retry(self, key: str) -> None:
        self.row(key).get_by_role("button", name="Retry").click()

    def post(self, url: str, **headers: str) -> int:
        """The status of a POST of the page's own that asks for a retry, as a script without JupyterLab's care sends it:
        with the browser's cookies and these headers."""
        script = """([url, headers, stage]) => fetch(url, {method: "POST", headers, body: JSON.stringify({stage})})
            .then((answer) => answer.status)"""
        return int(self.page.evaluate(script, [url, headers, STAGE]))

    def put(self, state: str) -> None:
        """Tell the page that it is `hidden` or `visible`, as a browser does when another tab comes to the front: those
        that Playwright steers are all in sight at once."""
        script = """(state) => {
            Object.defineProperty(document, "visibilityState", {value: state, configurable: true});
            document.dispatchEvent(new Event("visibilitychange"));
        }"""
        self.page.evaluate(script, state)

    def mark(self) -> None:
        """Leave something on the page that a reload would take away."""
        self.page.evaluate("window.marked = true")

    @property
    def marked(self) -> bool:
        return bool(self.page.evaluate("window.marked === true"))

    def _note(self, request: Request) -> None:
        path = urlsplit(request.url).path
        if "/firstlight/" in path:
            self.asked.append(path.partition("/firstlight/")[2])

    def _hear(self, error: Error) -> None:
        if "firstlight" in (error.stack or ""):
            self.complaints.append(error.stack or "")

    def _listen(self, message: ConsoleMessage) -> None:
        ours = "firstlight" in message.text or "firstlight" in message.location["url"]
        if ours and message.type in ("error", "warning") and not OTHERS.search(message.text):
            self.complaints.append(message.text)


@contextmanager
def visiting(browser: Browser, **options: Any) -> Iterator[Visit]:
    """A visit of somebody who was never here before; what our code complains of fails it."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, **options)
    visit = Visit(context.new_page())
    yield visit
    context.close()
    assert visit.complaints == []


def streams(request: Request) -> bool:
    """The panel asks for its stream."""
    return urlsplit(request.url).path.endswith("/firstlight/events")


def is_stream(response: Response) -> bool:
    """The panel's stream has been opened."""
    return streams(response.request) and response.status == 200
