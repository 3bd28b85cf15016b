"""The demo in a real container, as its user sees it: from the first second to the app."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import docker as docker_sdk
import pytest
from playwright.sync_api import Page, expect

from manifests import load
from tests.images.machine import Machine, opened
from tests.origin.demo import REPO, publish
from tests.origin.server import Origin
from tests.panel.conftest import photograph, picture

ROOT = Path(__file__).resolve().parents[2]
STAGES = [
    "notebook",
    "app",
    "lightbox",
    "cppn",
    "models:sketches",
    "models:paintings",
    "models:mural",
    "service:lightbox",
]


@pytest.fixture
def own_hub(gateway: str) -> Iterator[Origin]:
    """The demo's hub, slow; for one of the paintings it wants a licence accepted."""
    with Origin(hosts=(gateway, gateway)) as origin:
        publish(origin)
        origin.limit(4e6)
        yield origin


@pytest.fixture
def machine(docker: docker_sdk.DockerClient, built: Callable[[str], str], own_hub: Origin) -> Iterator[Machine]:
    """A container at its first second: JupyterLab has just answered."""
    image, volume = built("demo"), docker.volumes.create(f"firstlight-test-panel-{secrets.token_hex(3)}")
    missing = next(key for key in own_hub.files if key.startswith(f"{REPO}/") and "paintings" in key)
    own_hub.fault("status", missing, status=401, code="GatedRepo", server="hub")
    try:
        with opened(docker, load.load("demo"), image, str(volume.name), {"HF_ENDPOINT": own_hub.url}) as found:
            yield found
    finally:
        volume.remove(force=True)


def holding(machine: Machine, page: Page) -> None:
    """What stands on the app's port before the app does."""
    port = machine.loaded.manifest.services["lightbox"].port
    assert port is not None
    page.goto(machine.url(port, f"/?token={machine.token}"))
    expect(page.locator("#headline")).to_contain_text("Lightbox", timeout=60_000)
    expect(page.locator("#stages li", has_text="Three sketches")).to_be_visible()
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        photograph(page, f"holding-{scheme}")
    words = json.loads((ROOT / "lab" / "test" / "words.json").read_text())
    for say in ("size", "span"):
        said = page.evaluate(f"rows => rows.map(([value]) => {say}(value))", words[say])
        assert said == [text for _, text in words[say]]


def in_a_notebook(page: Page) -> None:
    """The same start as the last line of a cell."""
    page.locator('.jp-LauncherCard[data-category="Notebook"]', has_text="Python 3").click()
    # What is run before the kernel is there, JupyterLab forgets.
    expect(page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]')).to_be_visible(timeout=60_000)
    cell = page.locator(".jp-NotebookPanel .jp-CodeCell .cm-content").first
    cell.click()
    page.keyboard.type("from firstlight_lab import progress; progress()")
    page.keyboard.press("Shift+Enter")
    shown = page.locator(".jp-NotebookPanel .jp-OutputArea-output")
    expect(shown).to_contain_text("One large mural", timeout=60_000)
    picture(page, "notebook")


@pytest.mark.timeout(1200)
def test_a_start_is_seen_steered_and_repaired(machine: Machine, own_hub: Origin, page: Page) -> None:
    page.goto(machine.url(machine.loaded.manifest.jupyter.port, f"/lab?token={machine.token}"))
    panel = page.locator(".fl-body")
    head = panel.locator(".fl-headline")
    expect(head).to_contain_text("Lightbox", timeout=60_000)
    rows = {key: panel.locator(f'.fl-row[data-key="{key}"]') for key in STAGES}
    for row in rows.values():
        expect(row).to_be_visible()
    picture(page, "panel-starting")
    holding(machine, page.context.new_page())

    sketches, paintings, mural = (rows[f"models:{name}"] for name in ("sketches", "paintings", "mural"))
    expect(paintings).to_have_attribute("data-look", "error", timeout=60_000)
    expect(paintings).to_contain_text("The wall shows the sketches only")
    expect(paintings).to_contain_text(f"accept the licence at {own_hub.url.removeprefix('http://')}/{REPO}")
    own_hub.limit(None)
    expect(head).to_contain_text("Lightbox runs without Four paintings", timeout=120_000)
    expect(sketches).to_have_attribute("data-look", "done")
    picture(page, "panel-failed")
    kernel = rows["cppn"]
    kernel.locator(".fl-line").click()
    kernel.get_by_role("button", name="Show the log of").click()
    expect(kernel.get_by_role("log")).to_contain_text("cppn")
    picture(page, "panel-log")
    kernel.locator(".fl-line").click()

    own_hub.clear()
    paintings.get_by_role("button", name="Retry").click()
    expect(paintings).to_have_attribute("data-look", "done", timeout=120_000)
    expect(head).to_contain_text("Lightbox is ready")

    own_hub.limit(1e6)
    choice = panel.locator('.fl-set[data-set="mural"]').get_by_role("checkbox")
    choice.click()
    expect(mural).to_have_attribute("data-look", "active", timeout=30_000)
    in_a_notebook(page)
    choice.click()
    expect(mural).to_have_attribute("data-look", "skipped", timeout=30_000)
    own_hub.limit(None)

    with page.context.expect_page() as opened:
        panel.get_by_role("link", name="Open Lightbox in a new tab").first.click()
    app = opened.value
    app.wait_for_load_state()
    assert "token" not in app.url and "/.firstlight/login" not in app.url
    expect(app).to_have_title("Lightbox")
    app.close()
    picture(page, "panel-ready")
    panel.get_by_role("button", name="How this start went").click()
    expect(page.locator(".fl-picture img")).to_be_visible()
    picture(page, "panel-picture")
