"""Much of everything: a set of thousands of files, a log of a hundred megabytes. The page stays quick and small."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from init.state import FileState, SetState
from tests.panel.scene import Panel, Scene, start
from tests.waiting import until

FILES = 5000
SLOWEST = 2.0
"""Seconds that the page may be busy at a stretch, on a machine that is busy itself."""
ROOM = 40e6
"""Bytes that the page's memory may grow by."""


@pytest.fixture(autouse=True)
def told(scene: Scene) -> Iterator[None]:
    with scene.place.runner():
        scene.place.write(**start())
        yield


class Pulse:
    """How long the page could not answer at a stretch, and what it holds."""

    def __init__(self, page: Page):
        self.page, self.session = page, page.context.new_cdp_session(page)
        page.evaluate(
            """() => {
                // A thread beside the page's sends a beat every 50 ms: as many as wait at a time tell how long the page
                // was at work. While the whole machine stands still, there are none.
                const beat = "setInterval(() => postMessage(performance.timeOrigin + performance.now()), 50)";
                let [answered, waiting] = [0, 0];
                window.longest = 0;
                new Worker(URL.createObjectURL(new Blob([beat]))).onmessage = ({ data }) => {
                    if (data > answered) [answered, waiting] = [performance.timeOrigin + performance.now(), 0];
                    waiting += 50;
                    window.longest = Math.max(window.longest, waiting);
                };
            }"""
        )

    def longest(self) -> float:
        """Seconds, since the last time that this was asked."""
        return float(self.page.evaluate("() => { const found = longest; longest = 0; return found / 1000 }"))

    def memory(self) -> float:
        """Bytes that scripts hold."""
        self.session.send("HeapProfiler.collectGarbage")
        metrics = self.session.send("Runtime.getHeapUsage")
        return float(metrics["usedSize"])


def many(step: int) -> dict[str, Any]:
    """A set of 5 000 files, of which `step` hundred are here."""
    files = [
        FileState(f"parts/part-{n:05d}-of-05000.safetensors", "sketches", *state(n, step)) for n in range(FILES)
    ]  # fmt: skip
    random.Random(0).shuffle(files)
    fields = start()
    here = sum(file.bytes_done for file in files)
    fields["sets"][0] = SetState("sketches", "models:sketches", FILES, FILES * 10**6, here, 100 * step, selected=True)
    return fields | {"files": files}


def state(number: int, step: int) -> tuple[Any, int, int]:
    if number < 100 * step:
        return "done", 10**6, 10**6
    return ("fetching", 500_000, 10**6) if number < 100 * step + 16 else ("queued", 0, 10**6)


def test_a_set_of_thousands_of_files(scene: Scene, page: Page) -> None:
    scene.place.write(**many(1))
    panel = scene.open(page)
    row, pulse = panel.set("sketches"), Pulse(page)
    empty, nodes = pulse.memory(), panel.body.locator("*").count()
    row.get_by_role("button", name="Files of Three sketches").click()
    files = row.get_by_role("list")
    expect(files).to_have_accessible_name(f"100 of {FILES} files are here")
    expect(files.get_by_role("listitem").first).to_contain_text("part-00100-of-05000.safetensors")
    assert files.get_by_role("listitem").count() <= 20
    assert pulse.longest() < SLOWEST

    files.evaluate("each => each.scrollTo(0, each.scrollHeight)")
    expect(files.get_by_role("listitem").last).to_contain_text("part-00099-of-05000.safetensors")
    assert files.get_by_role("listitem").last.get_attribute("aria-posinset") == str(FILES)
    for step in range(2, 6):
        scene.place.write(**many(step))
        expect(files).to_have_accessible_name(f"{100 * step} of {FILES} files are here")
        files.evaluate("(each, top) => each.scrollTo(0, top)", 40_000 * step)
    assert panel.body.locator("*").count() < nodes + 300
    assert pulse.longest() < SLOWEST
    assert pulse.memory() < empty + ROOM


def write(file: Path, size: int, first: int = 0) -> int:
    """Add numbered lines of together `size` bytes; the number of the last."""
    count = size // 100
    with file.open("a") as stream:
        for at in range(first, first + count, 10_000):
            stream.write("".join(f"line {n:09d} {'x' * 84}\n" for n in range(at, min(first + count, at + 10_000))))
    return first + count - 1


def memory_of(process: int) -> int:
    """Bytes that a process holds in memory."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1000


def ends_with(log: Locator, number: int) -> None:
    """Its text may be too long to be printed when it does not."""
    until(lambda: f"line {number:09d}" in str(log.text_content())[-200:], what=f"line {number} at the log's end")


def test_a_log_of_a_hundred_megabytes(scene: Scene, page: Page) -> None:
    file = scene.place.logs / "stages" / "cppn.log"
    last = write(file, 100_000_000)
    assert file.stat().st_size > 99_000_000 and scene.lab.process is not None
    panel = scene.open(page)
    row, pulse = panel.row("cppn"), Pulse(page)
    empty, server = pulse.memory(), memory_of(scene.lab.process.pid)
    row.locator(".fl-line").click()
    began = time.monotonic()
    row.get_by_role("button", name="Show the log of Kernel cppn").click()
    log = row.get_by_role("log")
    ends_with(log, last)
    assert time.monotonic() - began < 10, "its end is read, not all of it"
    assert log.evaluate("each => each.scrollHeight - each.scrollTop - each.clientHeight") < 24, "at its end"
    assert str(log.text_content()).count("\n") <= 200
    # A stage that talks: two megabytes, then twenty at a stretch.
    for size in (2_000_000, 20_000_000):
        last = write(file, size, last + 1)
        ends_with(log, last)
    expect(row.get_by_text("Following")).to_be_visible()
    assert len(str(log.text_content())) <= 200_100
    assert pulse.longest() < SLOWEST
    assert pulse.memory() < empty + ROOM
    assert memory_of(scene.lab.process.pid) < server + 100e6

    log.evaluate("each => each.scrollTo(0, 0)")
    expect(row.get_by_text("Scrolled up")).to_be_visible()
    write(file, 1000, last + 1)
    ends_with(log, last + 10)
    until(lambda: log.evaluate("each => each.scrollTop") == 0, what="who reads further up is left there")
    row.get_by_role("button", name="To the end").click()
    expect(row.get_by_text("Following")).to_be_visible()
    assert typed(page, panel) == "quick"


def typed(page: Page, panel: Panel) -> str:
    """What a user writes beside it."""
    page.locator('.jp-LauncherCard[title="Create a new text file"]').click()
    editor = page.locator(".jp-FileEditor .cm-content")
    editor.click()
    page.keyboard.type("quick")
    expect(editor).to_have_text("quick")
    return str(editor.text_content())
