"""ComfyUI's whole start, from the manifest of its image: sources and nodes from git remotes here, models from a hub
here, the real runner, supervisor, JupyterLab and portal. What is in it is said by whoever uses this."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from init.state import Snapshot, StageState, read
from manifests.load import FOLDER
from tests.apps import weights
from tests.origin import Origin
from tests.portal.browser import Reply, ask, bearer
from tests.stages.repositories import Repositories, repositories
from tests.terminal import CTRL_C, Terminal
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
REPO = "firstlight/untrained"
MANIFEST = """\
manifest: 1
name: comfyui-try
title: ComfyUI
extends: comfyui-wan22.yaml
python:
  version: system
  envs:
    app:
      packages: !reset {packages}
      index: !reset {index}
      index_strategy: first-index
      freeze: !reset {freeze}
sources:
  comfyui: {{git: "{comfyui}", ref: main}}
nodes:
  list: !reset
    - {{git: "{nodes}/plain", ref: main}}
    - {{git: "{nodes}/greedy", ref: main, optional: true, consequence: Greedy workflows do not load.}}
    - {{git: "{nodes}/broken", ref: main, optional: true, consequence: Broken workflows do not load.}}
models:
  sets: !reset
    vae: {{title: Autoencoder, default: true, required: true, hf: {repo}, files: [{files}]}}
    later: {{title: A LoRA, hf: {repo}, files: [loras/later.safetensors]}}
  select: {{aliases: !reset {{}}}}
services:
  comfyui:
    command: {command}
"""
FILES = ("vae_approx/taesd_encoder.safetensors", "vae_approx/taesd_decoder.safetensors")
WORKFLOW: dict[str, Any] = {
    "1": {"class_type": "VAELoader", "inputs": {"vae_name": "taesd"}},
    "2": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
    "3": {
        "class_type": "ImageScale",
        "inputs": {"image": ["2", 0], "upscale_method": "bilinear", "width": 256, "height": 256, "crop": "center"},
    },
    "4": {"class_type": "VAEEncode", "inputs": {"pixels": ["3", 0], "vae": ["1", 0]}},
    "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 0]}},
    "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "firstlight"}},
}
"""An image through the autoencoder and back."""
NODE = {
    "plain": {
        "__init__.py": "NODE_CLASS_MAPPINGS = {}\n",
        "requirements.txt": "PLAIN\n",
        "install.py": "from pathlib import Path\nPath('installed').write_text('by install.py')\n",
    },
    "greedy": {"__init__.py": "NODE_CLASS_MAPPINGS = {}\n", "requirements.txt": "GREEDY\n"},
    "broken": {"__init__.py": "NODE_CLASS_MAPPINGS = {}\n", "install.py": "raise SystemExit('no luck today')\n"},
}


@dataclass
class Studio:
    """A start on this machine."""

    root: Path
    terminal: Terminal
    hub: Origin

    def port(self, title: str) -> int:
        start = r"\n  http://" if title == "JupyterLab" else rf"{title}: http://"
        found = until(
            lambda: re.search(start + r"localhost:(\d+)/", self.terminal.text), 300, what=f"address of {title}"
        )
        return int(found[1])  # type: ignore[index]

    @property
    def token(self) -> str:
        return until(lambda: re.search(r"/lab\?token=(\S+)\n", self.terminal.text), 300, what="the token")[1]  # type: ignore[index]

    @property
    def workspace(self) -> Path:
        return self.root / "workspace"

    def told(self) -> Snapshot | None:
        """The runner's state; None: it has not told any yet."""
        return read(self.workspace / ".firstlight")

    def state(self) -> Snapshot:
        found = self.told()
        assert found is not None
        return found

    def stage(self, id: str) -> StageState:
        return next(stage for stage in self.state().stages if stage.id == id)

    def ready(self, within: float) -> None:
        """Wait until ComfyUI is, or cannot be any more."""
        done = lambda: self.state().services[0].state in ("ready", "failed") or self.state().phase == "failed"  # noqa: E731
        until(done, within, every=1.0, what="ComfyUI")
        told = [(stage.id, stage.state, stage.message) for stage in self.state().stages]
        assert self.state().services[0].state == "ready", f"{told}\n{self.terminal.text[-3000:]}"

    def ask(self, path: str, method: str = "GET", body: Any = None, token: bool = True) -> Reply:
        """Of the app, through the portal."""
        headers = {"Content-Type": "application/json", **(bearer(self.token) if token else {})}
        data = None if body is None else json.dumps(body).encode()
        return ask(self.port("ComfyUI"), path, headers, method, data, within=60)

    def image(self) -> Path:
        """The file that a workflow made, queued over the API."""
        queued = self.ask("/prompt", "POST", {"prompt": WORKFLOW})
        assert queued.status == 200, queued.text
        name = queued.json["prompt_id"]
        done = until(lambda: self.ask(f"/history/{name}").json.get(name), 180, every=0.5, what="the image")
        assert done and done["status"]["status_str"] == "success", done
        made = done["outputs"]["6"]["images"][0]
        assert self.ask(f"/view?filename={made['filename']}&type=output").status == 200
        (file,) = self.workspace.rglob(made["filename"])
        return file


@contextmanager
def studio(
    folder: Path,
    hub: Origin,
    comfyui: Path | None,
    app: Mapping[str, str],
    *,
    packages: Sequence[str],
    index: Mapping[str, str],
    freeze: Sequence[str],
    wants: Mapping[str, str],
    cpu: bool,
    environ: Mapping[str, str],
) -> Iterator[Studio]:
    """`run --local` of the image's manifest with these contents.

    `comfyui`: a folder with ComfyUI's files; without it the files of `app`. `wants`: what stands for PLAIN and
    GREEDY in nodes' requirements. At its end nothing runs any more.
    """
    for number, file in enumerate(FILES):
        hub.hub(REPO, file, weights.safetensors(weights.autoencoder(file.split("_")[-1].split(".")[0]), number))
    hub.hub(REPO, "loras/later.safetensors", weights.safetensors({"lora": (64, 64)}, 9))
    with repositories(folder / "git") as remotes:
        command = (
            "python -u main.py --listen 127.0.0.1 --port {port} --disable-auto-launch --disable-metadata --log-stdout"
        )
        text = MANIFEST.format(
            packages=json.dumps(list(packages)),
            index=json.dumps(dict(index)),
            freeze=json.dumps(list(freeze)),
            comfyui=_source(remotes, comfyui, app),
            nodes=f"{remotes.address}/smart",
            repo=REPO,
            files=", ".join(FILES),
            command=command + (" --cpu" if cpu else ""),
        )
        for name, files in NODE.items():
            remotes.commit(name, {path: wants.get(body.strip(), body) for path, body in files.items()})
        place = folder / "manifests"
        place.mkdir()
        shutil.copy(FOLDER / "comfyui-wan22.yaml", place)
        shutil.copytree(FOLDER / "probes", place / "probes")
        (place / "comfyui-try.yaml").write_text(text)
        root = folder / "root"
        words = [sys.executable, str(ROOT / "buildkit.py"), "run", str(place / "comfyui-try.yaml"), "--local"]
        variables = {**os.environ, "HF_ENDPOINT": hub.url, **environ}
        with Terminal([*words, "--root", str(root)], ROOT, variables) as terminal:
            found = Studio(root, terminal, hub)
            yield found
            terminal.press(CTRL_C)
            terminal.process.wait(60)


def _source(remotes: Repositories, comfyui: Path | None, app: Mapping[str, str]) -> str:
    remotes.commit("comfyui", dict(app), folder=comfyui)
    return remotes.smart("comfyui")
