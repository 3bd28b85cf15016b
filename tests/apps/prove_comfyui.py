"""ComfyUI itself, unmodified, on the processor: what `make prove` runs. It fetches some 3 GB of PyTorch.

FIRSTLIGHT_COMFYUI names a git repository to take ComfyUI from, for machines that do not reach GitHub;
FIRSTLIGHT_COMFYUI_REF another version than comfyui-wan22's.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page, expect

from manifests import load
from tests.apps.flow import follow
from tests.apps.studio import Studio, studio
from tests.origin import Origin
from tests.panel.browsers import chromium
from tests.panel.conftest import photograph
from tests.stages.repositories import git
from tests.waiting import until

REPOSITORY = os.environ.get("FIRSTLIGHT_COMFYUI", "https://github.com/Comfy-Org/ComfyUI")
REF = os.environ.get("FIRSTLIGHT_COMFYUI_REF") or load.load("comfyui-wan22").manifest.sources["comfyui"].ref or "HEAD"
TORCH = ["torch==2.9.1", "torchvision==0.24.1", "torchaudio==2.9.1"]


@pytest.mark.timeout(3600)
def test_comfyui_itself_makes_an_image(tmp_path: Path, origin: Origin) -> None:
    source = tmp_path / "comfyui"
    git("clone", "--quiet", "--no-checkout", REPOSITORY, str(source))
    git("checkout", "--quiet", REF, cwd=source)
    shutil.rmtree(source / ".git")  # its files; the remote here has them in a single commit
    with (
        studio(
            tmp_path,
            origin,
            source,
            {},
            packages=[*TORCH, "transformers<5", "soundfile"],
            index={},
            freeze=["torch", "torchvision", "torchaudio"],
            wants={"PLAIN": "toml==0.10.2", "GREEDY": "torch==2.9.0"},
            cpu=True,
            environ={"UV_HTTP_TIMEOUT": "300"},
        ) as found,
        chromium() as browser,
    ):
        page = browser.new_context(viewport={"width": 1280, "height": 860}).new_page()
        follow(found, within=2400, meanwhile=lambda: _early(page, found))
        stats = found.ask("/system_stats").json
        print(stats["system"]["comfyui_version"], stats["system"]["pytorch_version"])
        assert stats["system"]["pytorch_version"].startswith("2.9.1"), "no node has moved it"
        assert "--cpu" in stats["system"]["argv"] and "--use-sage-attention" not in stats["system"]["argv"]
        panel = page.locator(".fl-headline")
        expect(panel).to_contain_text("ComfyUI runs without", timeout=90_000)
        photograph(page, "comfyui-jupyterlab-light")
        address = f"http://localhost:{found.port('ComfyUI')}/?token={found.token}"
        until(lambda: _drawn(page, address), within=400, what="ComfyUI's page")
        expect(page).to_have_title(re.compile("ComfyUI"))
        photograph(page, "comfyui-dark")


def _early(page: Page, studio: Studio) -> None:
    """JupyterLab with its panel, while the environment is made."""
    page.goto(f"http://localhost:{studio.port('JupyterLab')}/lab?token={studio.token}")
    expect(page.locator(".fl-headline")).to_contain_text("ComfyUI in", timeout=90_000)
    assert studio.stage("app").state == "running"
    photograph(page, "comfyui-stages-light")


def _drawn(page: Page, address: str) -> bool:
    """Whether the page, opened anew, shows its canvas. Chromium drops what it is loading whenever the machine's network
    changes, as when a container starts beside it."""
    try:
        page.goto(address)
        page.locator("canvas").first.wait_for(timeout=90_000)
        page.locator(".p-progressspinner").wait_for(state="detached", timeout=90_000)
    except Error:
        return False
    return True
