"""What the panel adds to JupyterLab, beside the same JupyterLab without it, and how soon it shows what has changed."""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import busy
from tests.bench.table import Section, spread
from tests.lab.support import Place
from tests.panel import servers
from tests.panel.browsers import chromium
from tests.panel.servers import Lab

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LOADS, CHANGES = 7, 30
STARTS, WINDOW = 3, 20.0
"""Times that servers are started, and seconds that are counted each time."""
SETTLING = 8.0
"""Seconds before that: a new page of JupyterLab asks for this and that."""
SIDES = "without", "with"

SHOWN = """
const look = () => {
  const card = document.querySelector("#jp-main-dock-panel .jp-LauncherCard");
  const splash = document.querySelector("#jupyterlab-splash:not(.splash-fade)");
  if (card && card.getClientRects().length && !splash) window.shown = performance.now();
  else requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
"""Notes when the launcher stands there and the splash screen fades: JupyterLab is restored."""
TIMES = "[performance.getEntriesByName('first-contentful-paint')[0].startTime, window.shown]"
HEADLINE = ".fl-panel .fl-headline h2"
SEEN = """headline => {
  window.seen = {};
  const look = () => {
    const text = document.querySelector(headline)?.textContent;
    if (text && !(text in window.seen)) requestAnimationFrame(() => (window.seen[text] ??= Date.now()));
  };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""
"""Notes when a headline is first drawn, in Unix milliseconds."""


@dataclass
class Figures:
    """One list for each of `SIDES`, measured in turn."""

    found: dict[str, list[float]] = field(default_factory=lambda: {side: [] for side in SIDES})

    def added(self) -> list[float]:
        return [ours - alone for alone, ours in zip(*(self.found[side] for side in SIDES), strict=True)]

    def row(self, what: str, unit: str, digits: int) -> list[str]:
        lists = [*(self.found[side] for side in SIDES), self.added()]
        return [what, *(spread(values, unit, digits) for values in lists)]

    def verdict(self, what: str, unit: str, digits: int, aim: float) -> tuple[str, str, str, bool]:
        added = self.added()
        return what, spread(added, unit, digits), f"< {aim:g} {unit}", statistics.median(added) < aim


@contextmanager
def pair(env: Path, folder: Path) -> Iterator[dict[str, Lab]]:
    """Two servers of one environment, by side."""
    configs = {"without": _without(env, folder / "others"), "with": []}
    with ExitStack() as stack:
        yield {
            side: stack.enter_context(servers.lab(env, Place(folder / side), config=configs[side])) for side in SIDES
        }


def _without(env: Path, folder: Path) -> list[str]:
    """Configuration that leaves the panel out. `jupyter labextension disable` does less: what it disables is loaded
    all the same."""
    folder.mkdir(parents=True)
    for extension in (env / "share" / "jupyter" / "labextensions").iterdir():
        if extension.name != "firstlight-lab":
            (folder / extension.name).symlink_to(extension)
    return [
        f"c.LabApp.labextensions_path = [{str(folder)!r}]",
        "c.ServerApp.jpserver_extensions = {'firstlight_lab': False}",
    ]


@contextmanager
def visit(browser: Browser, server: Lab, workspace: str = "bench") -> Iterator[Page]:
    """JupyterLab, as somebody finds it who was never there."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    context.add_init_script(SHOWN)
    page = context.new_page()
    try:
        page.goto(server.url(f"lab/workspaces/{workspace}"), wait_until="commit")
        page.wait_for_function("window.shown", timeout=60_000)
        yield page
    finally:
        context.close()


def paints(browser: Browser, labs: Mapping[str, Lab]) -> tuple[Figures, Figures]:
    """Seconds from the navigation to the first content, and to the whole of JupyterLab."""
    first, whole = Figures(), Figures()
    with busy.runner(labs["with"].place):
        for turn in range(LOADS + 1):
            for side in SIDES if turn % 2 else reversed(SIDES):
                with visit(browser, labs[side], f"load-{turn}") as page:
                    painted, shown = page.evaluate(TIMES)
                # The first load has the server read from the disk what it keeps.
                if turn:
                    first.found[side].append(painted / 1000)
                    whole.found[side].append(shown / 1000)
    return first, whole


def delays(browser: Browser, server: Lab) -> list[float]:
    """Seconds from a change on the disk until the page shows it."""
    chance, found = random.Random(7), list[float]()
    with server.place.runner(), visit(browser, server) as page:
        page.evaluate(SEEN, HEADLINE)
        for number in range(CHANGES):
            # At any moment between two looks of the server.
            time.sleep(chance.uniform(0.2, 0.9))
            changes = busy.turn(1000 + number)
            began = time.time()
            server.place.write(**changes)
            seen = page.wait_for_function("text => window.seen[text]", arg=f"Turn {1000 + number}").json_value()
            found.append(seen / 1000 - began)
    return found


def load(browser: Browser, labs: Mapping[str, Lab], cpu: Figures, resident: Figures, proportional: Figures) -> None:
    """Per cent of a core of each server while a page is open on it, and then its memory in MB."""
    with ExitStack() as stack:
        stack.enter_context(busy.runner(labs["with"].place))
        pages = [stack.enter_context(visit(browser, labs[side])) for side in SIDES]
        for name in busy.names():
            _ask(labs["with"], f"firstlight/files/{name}")
        time.sleep(SETTLING)
        headline = pages[-1].text_content(HEADLINE)
        before = {side: _seconds(labs[side]) for side in SIDES}
        time.sleep(WINDOW)
        for side in SIDES:
            cpu.found[side].append(100 * (_seconds(labs[side]) - before[side]) / WINDOW)
            sizes = _memory(labs[side])
            resident.found[side].append(sizes["Rss"])
            proportional.found[side].append(sizes["Pss"])
        assert pages[-1].text_content(HEADLINE) != headline, "nothing is told"


def _ask(server: Lab, path: str) -> bytes:
    request = urllib.request.Request(server.url(path))
    with urllib.request.urlopen(request, timeout=20) as answer:
        return bytes(answer.read())


def _seconds(server: Lab) -> float:
    """CPU seconds of its process so far."""
    fields = Path(f"/proc/{_pid(server)}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(server: Lab) -> dict[str, float]:
    """MB by kind: `Rss`, `Pss`, …"""
    lines = Path(f"/proc/{_pid(server)}/smaps_rollup").read_text().splitlines()[1:]
    return {name: int(size.split()[0]) * 1024 / 1e6 for name, _, size in (line.partition(":") for line in lines)}


def _pid(server: Lab) -> int:
    assert server.process is not None
    return server.process.pid


def measure() -> Section:
    cpu, resident, proportional = Figures(), Figures(), Figures()
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        folder = Path(name)
        env = servers.environment(folder / "env", servers.NEWEST)
        for start in range(STARTS):
            with pair(env, folder / str(start)) as labs:
                load(browser, labs, cpu, resident, proportional)
                if start == STARTS - 1:
                    first, whole = paints(browser, labs)
                    waits = delays(browser, labs["with"])
    section = Section(
        "The panel in JupyterLab",
        f"Two servers of one environment, with the panel and without, each with a page open in Chromium: {busy.STAGES} "
        f"stages and {busy.FILES} files are under way, and a runner writes the state anew every second. Processor time "
        f"and memory are the server's, over {STARTS} times {WINDOW:.0f} s; pages are loaded {LOADS} times in turn by a "
        f"browser that was never there; {CHANGES} changes are timed from the disk to the screen.",
        ["what", *SIDES, "the panel adds"],
        [
            first.row("first paint", "s", 2),
            whole.row("JupyterLab is there", "s", 2),
            resident.row("server's memory (RSS)", "MB", 1),
            proportional.row("server's memory (PSS)", "MB", 1),
            cpu.row("server's processor, of one core", "%", 2),
        ],
    )
    section.verdicts += [
        first.verdict("added to the first paint", "s", 2, 0.2),
        whole.verdict("added until JupyterLab is there", "s", 2, 0.2),
        resident.verdict("added to the server's memory", "MB", 1, 15),
        ("from a change on the disk to the screen", spread(waits), "< 1 s", max(waits) < 1),
        cpu.verdict("added to the server's processor time, of one core", "%", 2, 1),
    ]
    return section
