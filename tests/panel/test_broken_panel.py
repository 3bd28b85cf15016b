"""The panel itself fails, on purpose: JupyterLab opens and works all the same."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.panel.scene import WITHIN, Panel, Scene, path, start
from tests.waiting import until

NONSENSE = {
    "not JSON": "<!doctype html><title>502</title>",
    "nothing": "",
    "another kind": "[1, 2, 3]",
    "wrong kinds": {"state": {"stages": 5, "services": {"a": 1}, "sets": [7, None, {"name": 3}]}, "links": 9},
    "no numbers": {"state": {"stages": [{"id": "a", "state": "running", "started": "x"}], "progress": "?"}},
    "twice the same": {"state": {"stages": [{"id": "a"}, {"id": "a"}], "boot": {"id": "b"}}, "alive": True},
    "endless": {"state": {"headline": {"text": "x" * 2_000_000}, "boot": {"id": "b", "started": -1e300}}},
}


@pytest.fixture
def errors(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """A page, and the errors of it that nobody caught."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    page, found = context.new_page(), list[str]()
    page.on("pageerror", lambda error: found.append(str(error)))
    yield page, found
    context.close()


def works(scene: Scene, page: Page, name: str) -> None:
    """Writes a file as a user does: a launcher's card, some words, Ctrl-S."""
    page.locator('.jp-LauncherCard[title="Create a new text file"]').click(timeout=WITHIN)
    editor = page.locator(".jp-FileEditor .cm-content")
    editor.click()
    page.keyboard.type(name)
    page.keyboard.press("Control+s")
    page.get_by_role("dialog").get_by_role("textbox").press("Enter")  # its name may stay
    work = scene.lab.home / "work"
    until(lambda: [each for each in work.glob("untitled*.txt") if each.read_text() == name], what="the saved file")


class Answers:
    """Answers the panel instead of the server."""

    def __init__(self, page: Page):
        self.page, self.asked = page, 0
        self.body: str | None = None
        self.status = 200
        page.route(path(".*"), self._answer)

    def tell(self, body: str, status: int = 200) -> None:
        """Returns when the panel has been told this twice: it has taken it then, and asked on."""
        self.body, self.status, self.asked = body, status, 0
        until(self._asked_twice, what="the panel's requests")

    def _asked_twice(self) -> bool:
        # As after a laptop's sleep: what waits before it asks again asks now.
        self.page.evaluate("window.dispatchEvent(new Event('online'))")
        return self.asked >= 2

    def _answer(self, route: Route) -> None:
        self.asked += 1
        if "/events" in route.request.url and self.status == 200:
            route.fulfill(body=f"event: state\ndata: {self.body}\n\n", content_type="text/event-stream")
        else:
            route.fulfill(body=self.body, status=self.status)


def test_nonsense_from_the_server(scene: Scene, errors: tuple[Page, list[str]]) -> None:
    page, found = errors
    answers = Answers(page)
    panel = scene.open(page, click=True)
    for kind, told in NONSENSE.items():
        answers.tell(told if isinstance(told, str) else json.dumps(told))
        expect(panel.headline.locator("h2"), kind).not_to_be_empty()
        assert panel.overflow() == [], kind
    works(scene, page, "nonsense")
    assert found == []


def test_a_server_part_that_fails(scene: Scene, errors: tuple[Page, list[str]]) -> None:
    page, found = errors
    answers = Answers(page)
    panel = scene.open(page, click=True)
    for status, told in (
        (404, "tells nothing about its start"),
        (401, "wants a new login"),
        (500, "does not answer"),
        (503, "does not answer"),
    ):
        answers.tell("{}", status)
        expect(panel.headline).to_contain_text(told)
    works(scene, page, "failures")
    assert found == []


def test_when_the_server_tells_sense_again_so_does_the_panel(scene: Scene, page: Page) -> None:
    Answers(page).body = "nonsense"
    panel = scene.open(page, click=True)
    expect(panel.headline).to_contain_text("Nothing is known about this start yet")
    expect(panel.trouble).to_contain_text("The server's answer is not JSON")
    page.unroute_all()
    with scene.place.runner():
        expect(panel.headline).to_contain_text("Lightbox in 10 s to 2 min")


@pytest.mark.parametrize("script", ["throw new Error('on purpose')", "syntax error (", ""])
def test_a_front_end_that_does_not_load(scene: Scene, errors: tuple[Page, list[str]], script: str) -> None:
    page, _ = errors
    entry = "**/lab/extensions/firstlight-lab/static/remoteEntry.*"
    asked = []

    def serve(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(body=script, content_type="text/javascript")

    page.route(entry, serve)
    scene.visits += 1
    page.goto(scene.lab.url(f"lab/workspaces/visit-{scene.visits}"))
    works(scene, page, f"script {script}")
    assert asked
    expect(Panel(page).sign).to_have_count(0)


def test_a_view_that_breaks_says_so_and_comes_back(scene: Scene, page: Page) -> None:
    """What it draws with is broken under it."""
    with scene.place.runner():
        panel = scene.open(page)
        page.evaluate(
            "() => { window.good = Array.prototype.map; Array.prototype.map = function (draw, self) {"
            " if (this[0]?.subject) throw new Error('on purpose'); return good.call(this, draw, self); } }"
        )
        scene.place.write(**start(ago=60.0))
        failed = panel.body.get_by_text("This view failed; the machine goes on.")
        expect(failed).to_be_visible()
        expect(panel.set("mural")).to_be_visible()
        page.evaluate("() => { Array.prototype.map = good }")
        panel.body.get_by_role("button", name="Show it again").click()
        expect(panel.row("cppn")).to_be_visible()
