"""What happens by itself: the panel's first opening in a boot, and JupyterLab's own notifications."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Request, expect

from init.state import Boot, Headline
from tests.panel.scene import WITHIN, Panel, Scene, settle, start
from tests.waiting import until


@pytest.fixture(autouse=True)
def told(scene: Scene) -> Iterator[None]:
    with scene.place.runner():
        scene.place.requests.clear()
        scene.place.write(**calm())
        yield


def calm(**changes: Any) -> dict[str, Any]:
    """A start in which nothing has failed."""
    return settle(start(services=start()["services"][:1], **changes), **{"models:paintings": {"state": "running"}})


def reload(scene: Scene, page: Page, **changes: Any) -> None:
    """Come back, and see the state of `changes` and one more after it: what happens by itself has happened then."""
    page.reload()
    page.wait_for_function("() => window.jupyterapp", timeout=WITHIN)
    page.evaluate("() => window.jupyterapp.restored.then(() => true)")
    page.locator("#jupyterlab-splash").wait_for(state="detached", timeout=WITHIN)
    for text in ("Lightbox, seen again", "Lightbox, and once more"):
        scene.place.write(**calm(**changes, headline=Headline(text, "ready", None, "lightbox")))
        expect(Panel(page).status).to_have_text(text)


def _notes_closed(request: Request) -> bool:
    """Whether JupyterLab keeps a layout whose right side is closed."""
    if "/api/workspaces" not in request.url or request.method == "GET":
        return False
    layout = (request.post_data_json or {}).get("data", {}).get("layout-restorer:data", {})
    return bool(layout.get("right", {}).get("collapsed"))


def test_who_closes_it_is_left_alone_until_the_next_boot(scene: Scene, page: Page) -> None:
    panel = scene.open(page)
    # JupyterLab notes its layout a moment later, and finds it there after the reload.
    with page.expect_event("requestfinished", _notes_closed, timeout=WITHIN):
        panel.sign.click()
    expect(panel.body).to_be_hidden()
    reload(scene, page)
    expect(panel.body).to_be_hidden()
    scene.place.write(**calm(boot=Boot("another", start()["boot"].started)))
    expect(panel.body).to_be_visible()


def test_a_failure_and_the_app_are_told_once(scene: Scene, page: Page) -> None:
    scene.open(page)
    toasts = page.locator(".Toastify__toast")
    expect(toasts).to_have_count(0)
    scene.place.write(**start(services=start()["services"][:1]))
    expect(toasts).to_contain_text("Four paintings failed: The wall shows the sketches only.")
    toasts.get_by_role("button", name="Retry").click()
    until(lambda: scene.place.requests, what="a retry")
    assert scene.place.requests == [{"do": "retry", "stage": "models:paintings"}]
    scene.place.write(**calm())
    expect(toasts).to_have_count(0)

    scene.place.write(**calm(phase="ready", headline=Headline("Lightbox is ready", "ready", None, "lightbox")))
    expect(toasts).to_contain_text("Lightbox is ready")
    expect(toasts.get_by_role("button", name="Open")).to_be_visible()
    reload(scene, page, phase="ready")
    # The next that is news comes alone: that it is ready was told before.
    again = settle(start(services=start()["services"][:1], phase="ready"), **{"models:paintings": {"started": 1.0}})
    scene.place.write(**again)
    expect(toasts.filter(has_text="Four paintings failed")).to_be_visible()
    expect(toasts).to_have_count(1)
