"""Disk, memory and GPU: the disk in the panel itself, the rest one click away in the extensions that images have."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from images import ground
from tests.lab.support import Place
from tests.panel import scene as scenes
from tests.panel.scene import ROOT, Scene, start


@pytest.fixture(scope="module")
def gpu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The front end of what GPU images add, as JUPYTER_PATH finds it."""
    (pinned,) = re.findall(r"jupyterlab-nvdashboard==[\d.]+", (ROOT / "manifests" / "_gpu-runtime.yaml").read_text())
    folder = tmp_path_factory.mktemp("gpu")
    install = [ground.find_uv(os.environ), "pip", "install", "--no-config", "--quiet", "--no-deps", "--target"]
    environ = {**os.environ, "UV_NATIVE_TLS": "1"}
    subprocess.run([*install, str(folder), pinned], env=environ, check=True)
    return folder / "share" / "jupyter"


@pytest.fixture(scope="module")
def scene(newest: Path, gpu: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scenes.running(newest, Place(tmp_path_factory.mktemp("scene")), environ={"JUPYTER_PATH": str(gpu)}) as found:
        yield found


def test_the_machine_at_a_glance_and_one_click_further(scene: Scene, page: Page) -> None:
    scene.place.write(**start())
    with scene.place.runner():
        panel = scene.open(page)
        machine = panel.body.locator(".fl-machine")
        expect(machine).to_contain_text("216 MB still to come, 52.2 GB stay free.")
        machine.get_by_role("button", name="GPU memory and use…").click()
        expect(page.locator("#gpu-dashboard")).to_be_visible()
        machine.get_by_role("button", name="Memory and processors of a notebook…").click()
        expect(page.locator("#kernelusage-panel-id")).to_be_visible()
