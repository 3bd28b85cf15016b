"""What a user of ComfyUI's image sees happen, whatever ComfyUI is."""

from __future__ import annotations

import subprocess
import zlib
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

from tests.apps.studio import FILES, Studio
from tests.portal.browser import HTML, Reply, ask, bearer
from tests.waiting import until


def follow(studio: Studio, within: float, meanwhile: Callable[[], None] = lambda: None) -> Path:
    """JupyterLab first, the app with what works, an image over the API, a model without a restart. Gives the image.

    `meanwhile` is called once JupyterLab is there, while stages run.
    """
    studio.hub.fault("stall", server="cdn")
    lab = studio.port("JupyterLab")
    until(lambda: (page := _answer(lab, "/lab", studio.token)) and page.status == 200, 120, what="JupyterLab")
    # The portal and the runner start beside it.
    holding = until(lambda: _answer(studio.port("ComfyUI"), "/", studio.token), what="the portal")
    assert holding and (holding.status, 'data-page="holding"' in holding.text) == (503, True)
    assert until(studio.told, what="the runner").services[0].state == "waiting"  # type: ignore[union-attr]
    studio.hub.clear()
    meanwhile()

    studio.ready(within)
    assert studio.stage("sageattention").state == "degraded"
    assert studio.stage("sageattention").consequence == "ComfyUI runs with PyTorch attention; videos take longer."
    nodes = studio.stage("nodes")
    assert nodes.state == "degraded" and nodes.repair == "firstlight retry nodes"
    assert "Broken workflows do not load." in (nodes.consequence or "")
    assert "greedy" in nodes.message or "Greedy workflows do not load." in (nodes.consequence or "")
    (installed,) = (studio.root / "disk").rglob("custom_nodes/plain/installed")
    assert installed.read_text() == "by install.py"

    assert studio.ask("/system_stats", token=False).status == 401
    assert studio.ask("/system_stats").status == 200
    image = studio.image()
    assert colours(image) > 100, "an image, and not one of a single colour"
    assert image.is_relative_to(studio.workspace)

    assert studio.ask("/models/loras").json == []
    command = studio.root / "home" / "bin" / "firstlight"
    subprocess.run([command, "models", "add", "later"], check=True, capture_output=True)
    until(lambda: studio.stage("models:later").state == "done", 60, what="the LoRA")
    assert studio.ask("/models/loras").json == ["later.safetensors"], "seen without a restart"
    there = {
        file.relative_to(studio.workspace / "models").as_posix()
        for file in studio.workspace.glob("models/*/*.safetensors")
    }
    assert there == {*FILES, "loras/later.safetensors"}
    return image


def _answer(port: int, path: str, token: str) -> Reply | None:
    """What a browser with the token gets; None when nobody answers."""
    with suppress(OSError, HTTPException):
        return ask(port, path, {**HTML, **bearer(token)})
    return None


def colours(image: Path) -> int:
    """Different bytes in a row's worth of pixels: about how much there is to see in a PNG."""
    data, parts, at = image.read_bytes(), b"", 8
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        parts += data[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += 12 + size
    raw = zlib.decompress(parts)
    return len({raw[start : start + 3] for start in range(1, len(raw) - 3, 3)})
