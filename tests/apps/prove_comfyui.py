"""ComfyUI itself, unmodified, on the processor: what `make prove` runs. It fetches some 3 GB of PyTorch.

FIRSTLIGHT_COMFYUI names a git repository to take ComfyUI from, for machines that do not reach GitHub;
FIRSTLIGHT_COMFYUI_REF a commit in it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.apps.flow import follow
from tests.apps.studio import studio
from tests.origin import Origin
from tests.panel.conftest import PICTURES
from tests.stages.repositories import git

REPOSITORY = os.environ.get("FIRSTLIGHT_COMFYUI", "https://github.com/Comfy-Org/ComfyUI")
REF = os.environ.get("FIRSTLIGHT_COMFYUI_REF", "HEAD")
TORCH = ["torch==2.9.1", "torchvision==0.24.1", "torchaudio==2.9.1"]


@pytest.mark.timeout(3600)
def test_comfyui_itself_makes_an_image(tmp_path: Path, origin: Origin) -> None:
    source = tmp_path / "comfyui"
    git("clone", "--quiet", "--no-checkout", REPOSITORY, str(source))
    git("checkout", "--quiet", REF, cwd=source)
    shutil.rmtree(source / ".git")  # its files; the remote here has them in a single commit
    with studio(
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
    ) as found:
        image = follow(found, within=2400)
        stats = found.ask("/system_stats").json
        print(stats["system"]["comfyui_version"], stats["system"]["pytorch_version"], image)
        assert stats["system"]["pytorch_version"].startswith("2.9.1"), "no node has moved it"
        assert "--cpu" in stats["system"]["argv"] and "--use-sage-attention" not in stats["system"]["argv"]
        if os.environ.get("FIRSTLIGHT_PICTURES"):
            shutil.copy(image, PICTURES / "comfyui-untrained.png")
