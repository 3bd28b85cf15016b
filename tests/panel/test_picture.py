"""The picture of a start: drawn by the real command, shown as a picture, whatever it holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.lab.support import Place
from tests.panel import scene as scenes
from tests.panel.scene import Scene, start

HOSTILE = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="300" height="90"
 onload="document.title='caught'; parent.caught=1; top.caught=1">
<script>top.caught = 1; document.title = 'caught'; fetch('/api/contents').then(() => top.caught = 2)</script>
<foreignObject width="99" height="99"><iframe xmlns="http://www.w3.org/1999/xhtml" src="/lab"
 onload="top.caught=1"/><form xmlns="http://www.w3.org/1999/xhtml" action="/api/contents"/></foreignObject>
<image href="/api/status?from-picture" width="9" height="9"/>
<use href="data:image/svg+xml,&lt;svg id='x' onload='top.caught=1' xmlns='http://www.w3.org/2000/svg'/&gt;#x"/>
<a xlink:href="javascript:top.caught=1"><rect width="300" height="90" fill="#c33"/></a></svg>"""


@pytest.fixture(scope="module")
def scene(newest: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A server whose command draws what stands in `picture.svg` beside the place."""
    place = Place(tmp_path_factory.mktemp("scene"))
    command = place.root / "firstlight"
    command.write_text(f'#!/bin/sh\ncp "{place.root}/picture.svg" "$3" || {{ echo no picture yet >&2; exit 1; }}\n')
    command.chmod(0o755)
    with scenes.running(newest, place, config=[f"c.FirstlightLab.command = {str(command)!r}"]) as found:
        yield found


def test_a_hostile_picture_is_only_a_picture(scene: Scene, page: Page) -> None:
    (scene.place.root / "picture.svg").write_text(HOSTILE)
    scene.place.write(**start())
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with scene.place.runner():
        panel = scene.open(page)
        panel.body.get_by_role("button", name="How this start went").click()
        image = page.locator(".fl-picture img")
        expect(image).to_be_visible()
        expect(image).to_have_accessible_name("How this start went: every stage on a time axis")
        page.wait_for_function("() => document.querySelector('.fl-picture img').naturalWidth === 300")
        image.click()
        assert page.evaluate("window.caught") is None
        assert page.title() != "caught"
        assert not [url for url in asked if "from-picture" in url]
        # The address itself, in a tab of its own.
        answer = page.goto(scene.lab.url("firstlight/timeline.svg"))
        assert answer is not None and "sandbox" in answer.headers["content-security-policy"]
        page.locator("rect").wait_for()
        assert page.evaluate("document.title") != "caught"
        assert page.evaluate("window.caught") is None
        assert page.locator("iframe").count() == 0 or page.frames[-1].url in (
            "",
            "about:blank",
            "chrome-error://chromewebdata/",
        )


def test_no_picture_says_why_and_a_later_one_is_drawn(scene: Scene, page: Page) -> None:
    picture = scene.place.root / "picture.svg"
    picture.unlink(missing_ok=True)
    scene.place.write(**start())
    with scene.place.runner():
        panel = scene.open(page)
        panel.command("firstlight:show-timeline")
        expect(page.locator(".fl-picture").get_by_role("status")).to_contain_text("no picture yet")
        picture.write_text(HOSTILE)
        page.get_by_role("button", name="Draw it again").click()
        expect(page.locator(".fl-picture img")).to_be_visible()
        expect(page.locator(".fl-picture").get_by_role("status")).to_be_empty()
