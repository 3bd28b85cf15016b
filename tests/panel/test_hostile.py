"""Names, titles, messages and pictures by somebody who means harm: they are shown as text, and nothing of them runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from init.state import Boot, FileState, Headline, ServiceState, SetState, StageState
from tests.panel.scene import WIDTHS, Panel, Scene, start

RUNS = "window.caught = 1"
EVIL = {
    "script": f"<script>{RUNS}</script>",
    "image": f'<img src=x onerror="{RUNS}">',
    "vector": f"<svg/onload={RUNS}><style>*{{display:none}}</style>",
    "attribute": f'" onmouseover="{RUNS}" style="position:fixed;inset:0',
    "template": "${caught=1} {{constructor.constructor('caught=1')()}} &lt;b&gt;",
    "colours": "\x1b[31mred\x1b[0m \x1b]8;;https://evil.example\x07link\x1b]8;;\x07 \x1b[2J\x07\x00end",
    "direction": "weights\u202etxt.exe\u2066\u2069 \u200eleft",
    "lines": "one\ntwo\r\nthree\u2028four\n" + "\n" * 200 + "last",
    "long": "W" * 10_000,
    "words": "many words " * 1000,
}
SHOWN = {
    "script": f"<script>{RUNS}</script>",
    "image": f'<img src=x onerror="{RUNS}">',
    "colours": "red link",
    "direction": "weights txt.exe",
    "long": "WWWWWWWW",
}
"""What of it is seen, as text."""


def everywhere(evil: str) -> dict[str, Any]:
    """A state with it in every field that holds words."""
    stage = StageState("cppn", "kernel", evil, [evil], "running", 1.0, message=evil, waits_for=[evil])
    failed = StageState("app", "python", evil, [], "failed", 1.0, 2.0, message=evil, consequence=evil, repair=evil)
    waiting = StageState("index", "command", evil, ["cppn"], message=evil, waits_for=["cppn", evil], predicted=[1, 2])
    blocked = StageState("warm", "command", evil, [], "blocked", message=evil, consequence=evil)
    fetching = StageState("models:a", "models", evil, [], "running", 1.0, None, 5, 10, 1.0, evil)
    sets = [
        SetState("a", "models:a", 2, 10, 5, selected=True, license=evil, problem=evil),
        SetState(evil, "models:b", 1, None, license=f"https://x.example/{evil}"),
    ]
    services = [
        ServiceState("app", evil, [evil], "ready", f"javascript:{RUNS}", 8188, 1.0, 2.0, message=evil),
        ServiceState("bad", evil, [], "failed", f":80/{evil}", 80, message=evil, consequence=evil, repair=evil),
    ]
    return start(
        title=evil,
        boot=Boot("b2", 0.0),
        headline=Headline(evil, "warning", evil, "app"),
        stages=[stage, failed, waiting, blocked, fetching],
        services=services,
        sets=sets,
        files=[FileState(evil, "a", "fetching", 1, 2, message=evil), FileState(f"{evil}/{evil}", "a", "failed")],
        message=evil,
        critical=[evil, "cppn"],
    )


@pytest.fixture(autouse=True)
def told(scene: Scene) -> Iterator[None]:
    with scene.place.runner(lambda request: {"message": EVIL["image"] + EVIL["words"]}):
        yield


def harmless(page: Page, panel: Panel) -> None:
    """Nothing of it ran, nothing of it became a part of the page, and no link leads where it should not."""
    assert page.evaluate("window.caught") is None
    ours = page.locator(".fl-panel, .fl-main, .fl-status-item, .Toastify, .jp-Launcher, .jp-Dialog")
    assert ours.locator("script, iframe, object, style, img[src=x], svg[onload], [onerror], [onmouseover]").count() == 0
    for link in ours.locator("a[href]").all():
        assert str(link.get_attribute("href")).startswith(
            ("http://127.0.0.1", "https://x.example/", "https://hub.example/")
        )
        assert "noopener" in str(link.get_attribute("rel"))


@pytest.mark.parametrize("kind", EVIL)
def test_words_are_shown_as_words(scene: Scene, page: Page, kind: str) -> None:
    evil = EVIL[kind]
    scene.place.write(**everywhere(evil))
    (scene.place.logs / "stages" / "cppn.log").write_text(f"{evil}\n")
    panel = scene.open(page)
    panel.unfold_all()
    panel.row("cppn").get_by_role("button", name="Show the log of").click()
    panel.set("a").get_by_role("checkbox").click()
    expect(panel.set("a").locator(".fl-said")).to_contain_text(f'<img src=x onerror="{RUNS}">')
    page.locator(".jp-LauncherCard").first.wait_for()
    if words := SHOWN.get(kind):
        for place in (panel.headline, panel.row("cppn"), panel.row("app"), panel.set("a"), panel.status):
            expect(place).to_contain_text(words)
        expect(panel.row("cppn").get_by_role("log")).to_contain_text(words.split()[0])
    for text in panel.body.all_inner_texts():
        assert not [sign for sign in "\x1b\x07\x00\u202e\u2066\u200e" if sign in text]
    harmless(page, panel)
    lines_keep_their_height(panel)
    for width in WIDTHS:
        panel.widen(width)
        assert panel.overflow() == []


def lines_keep_their_height(panel: Panel) -> None:
    """A name never makes a line higher; what is folded out is clipped."""

    def heights(parts: Locator) -> set[float]:
        return {float(part.evaluate("each => each.getBoundingClientRect().height")) for part in parts.all()}

    assert max(heights(panel.body.locator(".fl-name"))) <= 24
    assert max(heights(panel.body.locator(".fl-head"))) < 600
    assert max(heights(panel.body.locator(".fl-set, .fl-service"))) < 1600
    assert max(heights(panel.status)) <= 30


def test_a_dialog_of_logs_and_a_tab_with_a_hostile_name(scene: Scene, page: Page) -> None:
    name = f"<img src=x onerror={RUNS.replace(' ', '')}>"
    (scene.place.logs / f"{name}.log").write_text(f"{EVIL['script']}\n{EVIL['colours']}\n")
    scene.place.write(**start())
    panel = scene.open(page)
    panel.command("firstlight:show-log")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").select_option(name)
    dialog.get_by_role("button", name="Show").click()
    log = page.locator(".fl-main").get_by_role("log")
    expect(log).to_contain_text(f"<script>{RUNS}</script>\nred link")
    expect(page.get_by_role("tab", name=f"Log: {name}")).to_be_visible()
    harmless(page, panel)
