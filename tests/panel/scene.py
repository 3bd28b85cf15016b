"""A start in full: stages, sets and services in every state, as the panel may meet them, and a page that shows them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

from init.state import Boot, Headline, ServiceState, SetState, StageState
from tests.lab.support import Place
from tests.panel import servers
from tests.panel.servers import Lab

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ROOT = Path(__file__).resolve().parents[2]
WITHIN = 60_000
"""Milliseconds for JupyterLab to open, on a busy machine."""
PAPER = {"light": "white", "dark": "#111"}
"""What is behind everything in JupyterLab's themes."""
expect.set_options(timeout=20_000)  # seen at once, but for a busy machine
WIDTHS = (180, 250, 420, 700)
"""Of the panel, in pixels: 250 is JupyterLab's own."""


def start(ago: float = 42.0, **changes: Any) -> dict[str, Any]:
    """Fields of a state `ago` seconds after its boot; `changes` replace some."""
    began = time.time() - ago
    stages = [
        StageState("app", "python", "Environment app", [], "done", began + 0.3, began + 4.5, message="6 packages"),
        StageState("cppn", "kernel", "Kernel cppn", ["app"], "running", began + 5, message="compiling with 2 jobs"),
        StageState("nodes", "nodes", "Custom nodes", ["app"], "degraded", began + 5, began + 12),
        StageState("models:sketches", "models", "Three sketches", [], "running", began + 0.5, rate_bps=4e6),
        StageState("models:paintings", "models", "Four paintings", [], "failed", began + 0.5, began + 9),
        StageState("models:mural", "models", "One large mural", [], "skipped", message="not selected"),
        StageState("warm", "command", "Warm-up", ["models:paintings"], "blocked", message="needs Four paintings"),
        StageState("index", "command", "Index", ["cppn"], waits_for=["cppn"], predicted=[20.0, 28.0]),
    ]
    nodes, sketches, paintings = stages[2:5]
    nodes.message, nodes.consequence = "1 of 5 nodes failed", "One node is missing"
    nodes.repair = "firstlight retry nodes"
    sketches.bytes_done, sketches.bytes_total = 48_000_000, 72_000_000
    sketches.message = "48.0 MB of 72.0 MB, 4.0 MB/s, 3 files left"
    paintings.bytes_done, paintings.bytes_total, paintings.attempt = 0, 192_000_000, 3
    paintings.message = "hub.example/lightbox/ember.weights: the hub answered 404: there is no such file"
    paintings.consequence, paintings.repair = "The wall shows the sketches only", "firstlight retry models:paintings"
    sets = [
        SetState("sketches", "models:sketches", 3, 72_000_000, 48_000_000, 1, True, True, True),
        SetState("paintings", "models:paintings", 4, 192_000_000, 0, 0, True, False, True),
        SetState("mural", "models:mural", 1, 96_000_000, license="https://hub.example/licence"),
        SetState("giant", "models:giant", 12, 900_000_000_000, problem="needs 900 GB more; 52.4 GB are free"),
    ]
    services = [
        ServiceState("lightbox", "Lightbox", ["app", "cppn", "models:sketches"], url=":8188/", port=8188),
        ServiceState("viewer", "Viewer", [], "ready", ":8190/", 8190, began + 1, began + 3),
        ServiceState("index", "Search", [], "failed", message="ended at once", repair="firstlight retry service:index"),
    ]
    fields = {
        "title": "Lightbox",
        "boot": Boot("b1", began),
        "stages": stages,
        "services": services,
        "sets": sets,
        "disk": {"free": 52_400_000_000, "needed": 216_000_000},
        "progress": 0.42,
        "eta_range": [12.0, 90.0],
        "critical": ["cppn", "service:lightbox"],
        "headline": Headline("Lightbox in 10 s to 2 min, without Four paintings", "warning", paintings.repair),
    }
    return fields | changes


def settle(snapshot: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The same start, one moment later: `changes` by stage id, as pairs of field and value."""
    for stage in snapshot["stages"]:
        for name, value in changes.get(stage.id, {}).items():
            setattr(stage, name, value)
    return snapshot


def path(tail: str) -> re.Pattern[str]:
    """Addresses of a path below `firstlight/`, for routes; `tail` is a regular expression."""
    return re.compile(rf"/firstlight/{tail}(\?|$)")


@dataclass
class Scene:
    """A server, and the folders of a start in front of it."""

    lab: Lab
    place: Place
    visits: int = 0

    def open(self, page: Page, click: bool = False) -> Panel:
        """JupyterLab with the layout of a first visit; returns when the panel is there. `click`: on its sign, where
        nothing opens it by itself."""
        self.visits += 1
        page.goto(self.lab.url(f"lab/workspaces/visit-{self.visits}"))
        page.wait_for_function("() => window.jupyterapp", timeout=WITHIN)
        # Its layout is restored behind a splash: until then clicks come to nothing.
        page.evaluate("() => window.jupyterapp.restored.then(() => true)")
        page.locator("#jupyterlab-splash").wait_for(state="detached", timeout=WITHIN)
        panel = Panel(page)
        if click:
            panel.sign.click()
        panel.body.wait_for(timeout=WITHIN)
        return panel


@dataclass
class Panel:
    """What a page shows of a start."""

    page: Page

    @property
    def sign(self) -> Locator:
        """In the sidebar."""
        return self.page.locator('.jp-SideBar [data-id="firstlight-panel"]')

    @property
    def body(self) -> Locator:
        return self.page.locator(".fl-body")

    @property
    def headline(self) -> Locator:
        return self.body.locator(".fl-headline")

    @property
    def trouble(self) -> Locator:
        """What is wrong with the state itself."""
        return self.body.locator(".fl-head > .fl-trouble")

    @property
    def status(self) -> Locator:
        """The item of the status bar."""
        return self.page.locator("button.fl-status")

    def row(self, key: str) -> Locator:
        return self.body.locator(f'.fl-row[data-key="{key}"]')

    def set(self, name: str) -> Locator:
        return self.body.locator(f'.fl-set[data-set="{name}"]')

    def service(self, id: str) -> Locator:
        return self.body.locator(f'.fl-service[data-service="{id}"]')

    def command(self, name: str, **arguments: Any) -> None:
        """Begin one of JupyterLab's commands: some end only when a dialog is closed."""
        self.page.evaluate("([name, given]) => void window.jupyterapp.commands.execute(name, given)", [name, arguments])

    def theme(self, name: str) -> None:
        """`light` or `dark`; returns when the page is painted in it."""
        self.command("apputils:change-theme", theme=f"JupyterLab {name.title()}")
        self.page.locator(f'body[data-jp-theme-light="{str(name == "light").lower()}"]').wait_for(state="attached")
        self.page.wait_for_function(
            "colour => getComputedStyle(document.body).getPropertyValue('--jp-layout-color0').trim() === colour",
            arg=PAPER[name],
        )

    def widen(self, width: int) -> None:
        """Give the panel this width in pixels, whatever JupyterLab's least is."""
        self.page.add_style_tag(content=f".fl-panel {{ width: {width}px !important; min-width: 0 !important; }}")
        self.page.wait_for_function(
            "width => document.querySelector('.fl-panel').getBoundingClientRect().width === width", arg=width
        )

    def overflow(self) -> list[str]:
        """What is wider than its place: the panel itself, or what sticks out of it and is not clipped."""
        found: list[str] = self.page.evaluate(
            """() => {
                const panel = document.querySelector(".fl-panel");
                const { left, right } = panel.getBoundingClientRect();
                const clipped = (each) => each !== panel &&
                    (getComputedStyle(each).overflowX !== "visible" || clipped(each.parentElement));
                const out = [...panel.querySelectorAll("*")].filter((each) => {
                    const box = each.getBoundingClientRect();
                    const out = box.right > right + 1 || box.left < left - 1;
                    return out && box.width > 1 && !clipped(each.parentElement);
                }).map((each) => `${each.tagName}.${each.className}: ${each.textContent.slice(0, 40)}`);
                return panel.scrollWidth > panel.clientWidth ? [`${panel.scrollWidth} px`, ...out] : out;
            }"""
        )
        return found

    def unfold_all(self) -> None:
        """Every row and every list of files."""
        self.body.locator(".fl-row").first.wait_for()
        closed = ':is(.fl-line, .fl-fold-files)[aria-expanded="false"]'
        self.body.locator(closed).evaluate_all("all => all.forEach((each) => each.click())")


@contextmanager
def running(env: Path, place: Place, **more: Any) -> Iterator[Scene]:
    """A server with images' own settings of JupyterLab. `more` are fields of `Lab`."""
    place.write(**start())
    config = ["c.LabApp.expose_app_in_browser = True", *more.pop("config", ())]
    environ = {"JUPYTER_CONFIG_PATH": str(ROOT / "supervisord" / "jupyter"), **more.pop("environ", {})}
    with servers.lab(env, place, config=config, environ=environ, **more) as lab:
        yield Scene(lab, place)
