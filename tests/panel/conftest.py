"""A browser, for tests that look at JupyterLab as a user does."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.support import Place
from tests.panel import scene as scenes
from tests.panel import servers
from tests.panel.browsers import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "images"


@pytest.fixture(scope="session")
def newest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the JupyterLab of images, and the panel."""
    return servers.environment(tmp_path_factory.mktemp("newest") / "env", servers.NEWEST)


@pytest.fixture(scope="session")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the oldest JupyterLab that the panel supports, and the panel."""
    return servers.environment(tmp_path_factory.mktemp("oldest") / "env", servers.OLDEST)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


@pytest.fixture(scope="module")
def scene(newest: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[scenes.Scene]:
    """One server for the tests of a module, with the settings of images; each test tells it a state of its own."""
    with scenes.running(newest, Place(tmp_path_factory.mktemp("scene"))) as found:
        yield found


# Not longer than its tests: while Playwright is there, a thread has a running event loop.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium, installed where it is missing."""
    if shutil.which("chromium") is None:
        done = subprocess.run([ROOT / "tests" / "machine.sh"], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"tests with a browser cannot run here\n{done.stderr[-2000:]}", pytrace=False)
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own; an error that JupyterLab's own code does not catch fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    page, errors = context.new_page(), list[str]()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


def picture(page: Page, name: str) -> None:
    """Keep what is seen for the documentation, in both of JupyterLab's themes, when FIRSTLIGHT_PICTURES asks for it."""
    if os.environ.get("FIRSTLIGHT_PICTURES"):
        # Notifications slide in and out.
        page.wait_for_function("() => document.getAnimations().every((each) => each.playState !== 'running' ||"
                               " each.effect.getComputedTiming().iterations === Infinity)")  # fmt: skip
        for theme in ("Dark", "Light"):
            _use(page, theme)
            photograph(page, f"{name}-{theme.lower()}")


def photograph(page: Page, name: str) -> None:
    """Keep what is seen for the documentation, as it is, when FIRSTLIGHT_PICTURES asks for it."""
    if os.environ.get("FIRSTLIGHT_PICTURES"):
        PICTURES.mkdir(exist_ok=True)
        page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")


def _use(page: Page, theme: str) -> None:
    """Choose JupyterLab's theme as a user does, in the palette."""
    page.keyboard.press("Control+Shift+C")
    page.locator("#modal-command-palette input").fill(f"JupyterLab {theme}")
    page.locator("#modal-command-palette .lm-CommandPalette-item", has_text=f"JupyterLab {theme}").first.click()
    light = str(theme == "Light").lower()
    page.locator(f'body[data-jp-theme-light="{light}"]').wait_for(state="attached")
    page.locator("#modal-command-palette").wait_for(state="hidden")
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    page.wait_for_function(
        "colour => getComputedStyle(document.body).getPropertyValue('--jp-layout-color0').trim() === colour",
        arg=scenes.PAPER[theme.lower()],
    )
