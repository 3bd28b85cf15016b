"""Bad days of the runner and of its state, seen from JupyterLab: the panel stays calm and says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from init.control import Refused
from init.state import SCHEMA, StageState
from tests.panel.scene import Panel, Scene, start

PAINTINGS = "models:paintings"


@pytest.fixture(autouse=True)
def told(scene: Scene) -> Iterator[None]:
    """A start, and no requests yet; what a test did to the state is gone after it."""
    scene.place.requests.clear()
    scene.place.write(**start())
    yield
    scene.place.write(**start())


def test_a_dead_runner_is_told_and_its_return_needs_no_reload(scene: Scene, page: Page) -> None:
    with scene.place.runner():
        panel = scene.open(page)
        expect(panel.headline).to_contain_text("Lightbox in 10 s to 2 min")
        expect(panel.trouble).to_have_count(0)
        turning = panel.row("cppn").locator(".fl-turning")
        expect(turning).to_have_css("animation-name", "fl-turn")
    expect(panel.trouble).to_contain_text("The runner does not run: this was so at")
    expect(panel.trouble).to_contain_text("firstlight logs init")
    expect(panel.body).to_have_attribute("data-stale", "true")
    expect(turning).to_have_css("animation-name", "none")
    expect(panel.body.locator(".fl-figures")).to_contain_text("last known")
    expect(panel.status).to_have_attribute("title", "Last known: Lightbox in 10 s to 2 min, without Four paintings")
    row = panel.row(PAINTINGS)
    row.get_by_role("button", name="Retry").click()
    expect(row.locator(".fl-said")).to_contain_text("The runner does not run:")
    assert scene.place.requests == []
    with scene.place.runner():
        expect(panel.trouble).to_have_count(0)
        expect(turning).to_have_css("animation-name", "fl-turn")
        row.get_by_role("button", name="Retry").click()
        expect(row.locator(".fl-said")).to_contain_text("Retry done")
    assert scene.place.requests == [{"do": "retry", "stage": PAINTINGS}]


def test_what_a_dead_runner_left_stands_still_and_its_log_is_one_click_away(scene: Scene, page: Page) -> None:
    (scene.place.logs / "init.log").write_text("the runner's last words\n")
    began = start()
    scene.place.write(**began | {"updated": began["boot"].started + 30})
    with scene.place.runner():
        panel = scene.open(page)
        expect(panel.row("cppn").locator(".fl-value")).not_to_have_text("0:25")
    # Started 5 s after the boot, and last heard of 25 s later.
    expect(panel.row("cppn").locator(".fl-value")).to_have_text("0:25")
    panel.trouble.get_by_role("button", name="Show the log of init").click()
    expect(page.locator(".fl-main").get_by_role("log")).to_contain_text("the runner's last words")


def test_without_a_state_it_says_so_until_there_is_one(scene: Scene, page: Page) -> None:
    state = scene.place.run / "state.json"
    state.unlink()
    panel = scene.open(page, click=True)
    expect(panel.headline).to_contain_text("Nothing is known about this start yet")
    expect(panel.trouble).to_contain_text("Nothing was started here yet")
    expect(panel.trouble).to_contain_text("firstlight logs init")
    expect(panel.status).to_have_count(0)
    with scene.place.runner():
        scene.place.write(**start())
        expect(panel.headline).to_contain_text("Lightbox in 10 s to 2 min")
        expect(panel.trouble).to_have_count(0)


@pytest.mark.parametrize("damage", ["half", "empty", "nul", "list"])
def test_a_damaged_state_leaves_the_last_good_one(scene: Scene, page: Page, damage: str) -> None:
    state = scene.place.run / "state.json"
    with scene.place.runner():
        panel = scene.open(page)
        whole = state.read_bytes()
        broken = {"half": whole[: len(whole) // 2], "empty": b"", "nul": bytes(4096), "list": b"[1, 2]"}
        state.write_bytes(broken[damage])
        expect(panel.trouble).to_contain_text("cannot be read")
        expect(panel.trouble).to_contain_text("What was known last is shown")
        expect(panel.headline).to_contain_text("Lightbox in 10 s to 2 min")
        expect(panel.row(PAINTINGS)).to_be_visible()
        state.write_bytes(whole)
        expect(panel.trouble).to_have_count(0)


def test_a_state_of_another_version_is_not_misread(scene: Scene, page: Page) -> None:
    state = scene.place.run / "state.json"
    data = json.loads(state.read_text())
    with scene.place.runner():
        panel = scene.open(page)
        state.write_text(json.dumps(data | {"schema": "firstlight.state/2", "stages": {"a": 1}}))
        expect(panel.trouble).to_contain_text("another version of Firstlight")
        expect(panel.trouble).to_contain_text("firstlight status")
        expect(panel.headline).to_contain_text("Nothing is known about this start yet")
        expect(panel.body.locator(".fl-row")).to_have_count(0)
        state.write_text(json.dumps(data | {"schema": SCHEMA}))
        expect(panel.row(PAINTINGS)).to_be_visible()


def refuse(request: dict[str, Any]) -> dict[str, Any]:
    raise Refused(f"{request['do']}: not now; `firstlight status` says what runs")


def test_what_is_refused_says_why_where_it_was_asked_for(scene: Scene, page: Page) -> None:
    with scene.place.runner(refuse):
        panel = scene.open(page)
        mural, sketches = panel.set("mural"), panel.set("sketches")
        box = mural.get_by_role("checkbox")
        box.click()
        expect(mural.locator(".fl-said")).to_contain_text("models.add: not now;")
        expect(mural.locator(".fl-said code")).to_have_text("firstlight status")
        expect(box).not_to_be_checked()
        sketches.get_by_role("button", name="Pause Three sketches").click()
        expect(sketches.locator(".fl-said")).to_contain_text("models.pause: not now;")
        viewer = panel.service("viewer")
        viewer.get_by_role("button", name="Restart Viewer").click()
        expect(viewer.locator(".fl-said")).to_contain_text("Retry: not now;")
        row = panel.row(PAINTINGS)
        row.get_by_role("button", name="Retry").click()
        expect(row.locator(".fl-said")).to_contain_text("Retry: not now;")
        expect(panel.body.locator(".fl-said[data-bad=true]")).to_have_count(4)
        mural.get_by_role("button", name="Dismiss").click()
        expect(mural.locator(".fl-said")).to_be_empty()
        expect(panel.body.locator(".fl-said[data-bad=true]")).to_have_count(3)


def test_what_is_done_in_one_window_shows_in_the_other(scene: Scene, page: Page, browser: Browser) -> None:
    def does(request: dict[str, Any]) -> dict[str, Any]:
        again = start()
        stage: StageState = next(each for each in again["stages"] if each.id == request["stage"])
        stage.state, stage.message, stage.consequence, stage.repair, stage.ended = "running", "", None, None, None
        scene.place.write(**again)
        return {"message": f"trying {request['stage']} again"}

    other = browser.new_context(viewport={"width": 1280, "height": 860})
    try:
        with scene.place.runner(does):
            one, two = scene.open(page), scene.open(other.new_page())
            assert looks(one) == looks(two)
            expect(two.row(PAINTINGS)).to_have_attribute("data-look", "error")
            one.row(PAINTINGS).get_by_role("button", name="Retry").click()
            expect(two.row(PAINTINGS)).to_have_attribute("data-look", "active")
            expect(one.row(PAINTINGS)).to_have_attribute("data-look", "active")
            assert looks(one) == looks(two)
            assert scene.place.requests == [{"do": "retry", "stage": PAINTINGS}]
    finally:
        other.close()


def looks(panel: Panel) -> list[str]:
    return [
        f"{row.get_attribute('data-key')}: {row.get_attribute('data-look')}"
        for row in panel.body.locator(".fl-row").all()
    ]
