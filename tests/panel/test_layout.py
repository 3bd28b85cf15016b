"""What the panel looks like: nothing moves while numbers change, nothing sticks out, and everything can be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from init.state import Headline
from tests.panel.conftest import picture
from tests.panel.scene import WIDTHS, Panel, Scene, settle, start
from tests.waiting import until

ENOUGH = 4.5
"""Contrast of text that WCAG's level AA asks for."""
CONTRAST = """() => {
    const canvas = new OffscreenCanvas(1, 1);
    const paint = canvas.getContext("2d", { willReadFrequently: true });
    const above = (node) => (node ? [...above(node.parentElement), node] : []);
    const pixel = () => [...paint.getImageData(0, 0, 1, 1).data.slice(0, 3)];
    const luminance = (colour) => {
        const [r, g, b] = colour.map((each) => {
            const part = each / 255;
            return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const over = (colour, opacity = 1) => {
        paint.globalAlpha = opacity;
        paint.fillStyle = colour;
        paint.fillRect(0, 0, 1, 1);
    };
    const found = [];
    for (const root of document.querySelectorAll(".fl-body, .fl-status")) {
        const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
        while (walker.nextNode()) {
            const owner = walker.currentNode.parentElement;
            const text = walker.currentNode.textContent.trim();
            if (!text || owner.closest(".fl-hidden, :disabled, svg") || !owner.getClientRects().length) continue;
            over("white");
            let opacity = 1;
            for (const each of above(owner)) {
                const style = getComputedStyle(each);
                opacity *= Number(style.opacity);
                over(style.backgroundColor);
            }
            const ground = luminance(pixel());
            over(getComputedStyle(owner).color, opacity);
            const letters = luminance(pixel());
            const ratio = (Math.max(ground, letters) + 0.05) / (Math.min(ground, letters) + 0.05);
            found.push([Math.round(ratio * 100) / 100, `${owner.className}: ${text.slice(0, 40)}`]);
        }
    }
    return found;
}"""


@pytest.fixture(autouse=True)
def told(scene: Scene) -> Iterator[None]:
    with scene.place.runner():
        scene.place.write(**start())
        yield


def boxes(panel: Panel) -> dict[str, tuple[float, float, float, float]]:
    """Where every line, set, service and heading stands; the panel is scrolled to its top."""
    parts = ".fl-head, .fl-heading, .fl-row, .fl-line, .fl-set, .fl-service, .fl-machine"
    found: list[list[Any]] = panel.body.locator(parts).evaluate_all(
        """all => all.map((each) => {
            const { left, top, width, height } = each.getBoundingClientRect();
            return [left, top, width, height];
        })"""
    )
    return {f"{at}": (box[0], box[1], box[2], box[3]) for at, box in enumerate(found)}


def test_a_set_says_what_it_takes_before_it_is_chosen(scene: Scene, page: Page) -> None:
    panel = scene.open(page)
    giant, mural = panel.set("giant"), panel.set("mural")
    expect(giant).to_contain_text("900 GB")
    expect(giant).to_contain_text("Needs 900 GB more; 52.4 GB are free.")
    expect(mural.get_by_role("link")).to_have_attribute("href", "https://hub.example/licence")
    giant.scroll_into_view_if_needed()
    picture(page, "panel-choosing")


def test_nothing_moves_while_numbers_change(scene: Scene, page: Page) -> None:
    panel = scene.open(page)
    before = boxes(panel)
    assert len(before) > 20
    for step, (have, rate) in enumerate([(900_000, 9.9e6), (9_990_000, 120e6), (10_100_000, 8e5), (71_900_000, 1e9)]):
        words = f"Lightbox in {(5, 55, 9, 10)[step]} s to {(9, 12, 2, 10)[step]} min, without Four paintings"
        now = settle(start(), **{"models:sketches": {"bytes_done": have, "rate_bps": rate}})
        now["sets"][0].bytes_have = have
        now |= {
            "progress": (0.07, 0.5, 0.99, 1.0)[step],
            "headline": Headline(words, "warning", now["headline"].repair),
        }
        scene.place.write(**now)
        expect(panel.headline).to_contain_text(words)
        expect(panel.row("models:sketches").locator(".fl-value")).to_have_text(f"{min(99, round(have / 720_000))} %")
        assert boxes(panel) == before, words


def test_an_unfolded_row_keeps_its_line_while_it_runs(scene: Scene, page: Page) -> None:
    panel = scene.open(page)
    panel.widen(250)
    line = panel.row("models:sketches").locator(".fl-line")
    line.click()
    heights = set()
    for have, rate in ((900_000, None), (48_000_000, 9.9e6), (71_900_000, 123.4e6)):
        scene.place.write(**settle(start(), **{"models:sketches": {"bytes_done": have, "rate_bps": rate}}))
        expect(panel.row("models:sketches").locator(".fl-value")).to_have_text(f"{min(99, round(have / 720_000))} %")
        heights.add(line.evaluate("each => each.getBoundingClientRect().height"))
    assert len(heights) == 1


def test_a_headline_has_no_more_room_than_its_width_asks_for(scene: Scene, page: Page) -> None:
    panel = scene.open(page)
    heights = []
    for width in (250, 500, 250):
        panel.widen(width)
        heading = panel.headline.locator("h2")
        lines = "each => Math.round(each.firstElementChild.getBoundingClientRect().height / 20)"
        room = "each => each.getBoundingClientRect().height"
        until(lambda: heading.evaluate(room) <= 24 + 20 * (heading.evaluate(lines) - 1), what="a headline without gaps")  # noqa: B023
        heights.append(heading.evaluate(room))
    assert heights[0] == heights[2] > heights[1]


def test_a_log_that_is_followed_stays_at_its_end_in_every_width(scene: Scene, page: Page) -> None:
    file = scene.place.logs / "stages" / "cppn.log"
    file.write_text("".join(f"[{n}/60] a compiler with many words on its line, {n}\n" for n in range(60)))
    panel = scene.open(page)
    row = panel.row("cppn")
    row.locator(".fl-line").click()
    row.get_by_role("button", name="Show the log of").click()
    log = row.get_by_role("log")
    expect(log).to_contain_text("[59/60]")
    left = "each => each.scrollHeight - each.scrollTop - each.clientHeight"
    for width in (420, 180, 300):
        panel.widen(width)
        until(lambda: log.evaluate(left) < 2, what="the log's end")
        with file.open("a") as stream:
            stream.write(f"written at {width} pixels\n")
        expect(log).to_contain_text(f"written at {width} pixels")
        until(lambda: log.evaluate(left) < 2, what="the log's new end")
        expect(row.get_by_text("Following")).to_be_visible()


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_sticks_out(scene: Scene, page: Page, width: int) -> None:
    panel = scene.open(page)
    panel.widen(width)
    assert panel.overflow() == []
    panel.unfold_all()
    panel.row("cppn").get_by_role("button", name="Show the log of").evaluate("each => each.click()")
    expect(panel.row("cppn").get_by_role("log")).to_be_visible()
    assert panel.overflow() == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_can_be_read(scene: Scene, page: Page, theme: str) -> None:
    panel = scene.open(page)
    panel.theme(theme)
    panel.unfold_all()
    readable(panel)


def test_what_is_out_of_date_can_be_read_too(scene: Scene, page: Page) -> None:
    panel = scene.open(page)
    (scene.place.run / "init.sock").unlink()
    expect(panel.body).to_have_attribute("data-stale", "true")
    for theme in ("dark", "light"):
        panel.theme(theme)
        readable(panel)


def readable(panel: Panel) -> None:
    found = panel.page.evaluate(CONTRAST)
    assert len(found) > 40
    assert [each for each in found if each[0] < ENOUGH] == []
