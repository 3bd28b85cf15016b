"""Without a mouse, and without eyes: the panel's parts are reached, seen, told and used from the keyboard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from init.state import Headline
from tests.panel.scene import Panel, Scene, start

MOST = 120
"""Steps with Tab through the whole panel."""


@pytest.fixture(autouse=True)
def told(scene: Scene) -> Iterator[None]:
    with scene.place.runner():
        scene.place.requests.clear()
        scene.place.write(**start())
        yield


def names(panel: Panel) -> list[str]:
    """What Tab comes to, in order; every one of it shows that it has the focus."""
    panel.body.evaluate("each => { each.tabIndex = -1; each.focus() }")
    found: list[str] = []
    for _ in range(MOST):
        panel.page.keyboard.press("Tab")
        here = panel.page.evaluate(
            """() => {
                const each = document.activeElement;
                if (!each.closest(".fl-body")) return null;
                const style = getComputedStyle(each);
                const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
                const name = each.getAttribute("aria-label") || each.labels?.[0]?.textContent || each.textContent;
                return [name.trim(), seen];
            }"""
        )
        if here is None:
            break
        assert here[1], f"the focus on {here[0]!r} is not seen"
        assert here[0], "it has no name"
        found.append(here[0])
    return found


def test_tab_reaches_everything_that_can_be_used(scene: Scene, page: Page) -> None:
    found = names(scene.open(page))
    for wanted in (
        "How this start went",
        "Kernel cppn",
        "Retry: Four paintings",
        "Show the log of Four paintings",
        "Three sketches",
        "Pause Three sketches",
        "Files of Three sketches",
        "Show why Four paintings failed",
        "Open Lightbox in a new tab",
        "Restart Viewer",
        "Show the log of Viewer",
    ):
        assert [name for name in found if name.startswith(wanted)], wanted
    order = [next(at for at, name in enumerate(found) if name.startswith(each)) for each in ("Kernel", "Three", "Open")]
    assert order == sorted(order), "in the order in which it is seen"


def test_rows_sets_and_actions_from_the_keyboard(scene: Scene, page: Page) -> None:
    panel = scene.open(page)
    line = panel.row("cppn").locator(".fl-line")
    line.focus()
    for key, unfolded in (("Enter", "true"), ("Enter", "false"), ("Space", "true")):
        page.keyboard.press(key)
        expect(line).to_have_attribute("aria-expanded", unfolded)
    panel.row("models:paintings").get_by_role("button", name="Retry").focus()
    page.keyboard.press("Enter")
    expect(panel.row("models:paintings").locator(".fl-said")).to_contain_text("Retry done")
    panel.set("mural").get_by_role("checkbox").focus()
    page.keyboard.press("Space")
    expect(panel.set("mural").locator(".fl-said")).to_contain_text("models.add done")
    assert [request["do"] for request in scene.place.requests] == ["retry", "models.add"]
    panel.set("paintings").get_by_role("button", name="Show why Four paintings failed").focus()
    page.keyboard.press("Enter")
    expect(panel.row("models:paintings").locator(".fl-line")).to_be_focused()
    heading = panel.body.get_by_role("button", name="Models", exact=True)
    heading.focus()
    page.keyboard.press("Enter")
    expect(panel.set("mural")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(panel.set("mural")).to_be_visible()


def test_what_a_screen_reader_is_told(scene: Scene, page: Page) -> None:
    panel = scene.open(page)
    expect(page.get_by_role("region", name="Start of this machine")).to_be_visible()
    whole = panel.body.get_by_role("progressbar", name="The whole start")
    expect(whole).to_have_attribute("aria-valuenow", "42")
    expect(whole).to_have_attribute("aria-valuetext", "42 %, 48.0 of 72.0 MB · 4.0 MB/s")
    sketches = panel.body.get_by_role("progressbar", name="Three sketches").first
    expect(sketches).to_have_attribute("aria-valuenow", "67")
    expect(panel.row("models:paintings").get_by_role("img", name="failed")).to_be_visible()
    expect(panel.set("giant").get_by_role("checkbox")).to_have_accessible_name("giant")
    expect(panel.status).to_have_accessible_name(
        "Lightbox in 10 s to 2 min, without Four paintings. Show how the start goes."
    )
    told = panel.body.locator('.fl-head [role="status"][aria-live="polite"]')
    expect(told).to_have_text("Lightbox in 10 s to 2 min, without Four paintings")
    # A countdown is not read out each second; that it is ready is, at once.
    scene.place.write(**start(headline=Headline("Lightbox in 9 s to 2 min, without Four paintings", "warning")))
    expect(panel.headline).to_contain_text("in 9 s")
    expect(told).to_contain_text("in 10 s")
    scene.place.write(**start(phase="ready", headline=Headline("Lightbox is ready", "ready", None, "viewer")))
    expect(told).to_have_text("Lightbox is ready")
