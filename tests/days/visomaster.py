"""A small house of VisoMaster's shape: its guide, its 57 models under their names, code from a git remote, one app."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifests import load
from manifests.load import Loaded
from tests.images.machine import Machine
from tests.origin.content import Generated
from tests.origin.server import Origin
from tests.stages.bench import write
from tests.stages.repositories import git

NAME = "visomaster-small"
GUIDE = "Setup_Guide.ipynb"
SIZE = 400_000
"""Bytes of a model, give or take: no two have the same."""
APP = """\
import os, sys
print("VisoMaster stands in", sys.argv, flush=True)
os.execvp("xterm", ["xterm", "-title", "VisoMaster stands in", "-e", "cat"])
"""
RUN = """
import json, random, sys, nbformat
from nbclient import NotebookClient
seed, only, kept = sys.argv[1:]
book = nbformat.read("/workspace/Setup_Guide.ipynb", 4)
every = book.cells
book.cells = [cell for cell in every if cell.cell_type == "code" and only in cell.source]
if seed:
    random.Random(int(seed)).shuffle(book.cells)
NotebookClient(book, timeout=240, kernel_name="setup-guide").execute()
def text(cell):
    return "".join(one.get("text") or one["data"]["text/plain"] for one in cell.outputs)
print(json.dumps({cell.source.splitlines()[-1]: text(cell) for cell in book.cells}))
if kept:
    book.cells = every
    nbformat.write(book, "/workspace/Setup_Guide.ipynb")
"""


@dataclass
class House:
    loaded: Loaded
    origin: Origin
    work: Path
    """A clone of the git remote from which guides come."""
    guides: str
    """Its address."""

    def publish(self, remark: str) -> str:
        """Push another edition of the guide, with a remark as its last cell; the commit."""
        guide = json.loads((self.loaded.path.parent / "visomaster" / GUIDE).read_text())
        guide["cells"].append({"cell_type": "markdown", "id": "remark", "metadata": {}, "source": remark})
        (self.work / GUIDE).write_text(json.dumps(guide))
        return push(self.work)


def house(folder: Path, origin: Origin) -> House:
    """Everything that the image's containers reach, and its manifest below `folder`."""
    real = load.load("visomaster")
    manifest = real.manifest
    (folder / "visomaster").mkdir(parents=True)
    shutil.copy(real.path.parent / "visomaster" / GUIDE, folder / "visomaster" / GUIDE)
    sets: dict[str, Any] = {}
    number = 0
    for name, models in manifest.models.sets.items():
        files = []
        for file in models.files:
            number += 1
            model = file if isinstance(file, str) else str(file.path)
            content = Generated(model, SIZE + number)
            origin.plain(f"{name}/{model}", content)
            files.append({"path": model, "sha256": content.sha256, "size": content.size})
        kept = {key: getattr(models, key) for key in ("title", "to", "consequence") if getattr(models, key)}
        flags = {"default": "true"} | ({"required": "true"} if models.required else {})
        sets[name] = {**kept, **flags, "url": f"{origin.url}/{name}", "files": files}
    _, code = remote(folder / "code", origin, "code", {"main.py": APP, "model_assets/own.txt": "of the source"})
    work, guides = remote(folder / "guides", origin, "guides", {})
    source, assets = manifest.sources["visomaster"], manifest.commands["model-assets"]
    assert source.instead is not None
    data = {
        "manifest": "1",
        "name": NAME,
        "title": "VisoMaster",
        "image": {"base": "debian:trixie-slim", "apt": ["x11-utils"]},
        "python": {"envs": {"app": {"packages": ["tqdm==4.67.1"], "requirements_from": "requirements.txt"}}},
        "sources": {
            "visomaster": {
                "git": code,
                "ref": "main",
                "instead": {"folder": source.instead.folder, "holds": source.instead.holds},
                "uploads": list(source.uploads),
            }
        },
        "models": {"sets": sets},
        "commands": {"model-assets": {"run": assets.run, "cwd": "visomaster", "uses": "disk"}},
        "notebook": {"file": f"visomaster/{GUIDE}"},
        "services": {
            "visomaster": {
                "title": "VisoMaster",
                "env": "app",
                "command": "python -u main.py",
                "needs": ["visomaster", "model-assets", "models:required", "service:desktop"],
            }
        },
        "desktop": {},
    }
    path = folder / f"{NAME}.yaml"
    path.write_text(json.dumps(data))
    return House(load.load(str(path)), origin, work, guides)


def remote(folder: Path, origin: Origin, name: str, files: dict[str, str]) -> tuple[Path, str]:
    """A git remote with these files on `main`: a clone to push from, and the remote's address."""
    bare, work = folder / "bare", folder / "work"
    git("init", "-q", "--bare", "-b", "main", str(bare))
    git("clone", "-q", str(bare), str(work))
    git("checkout", "-q", "-B", "main", cwd=work)
    write(work, files)
    push(work)
    return work, origin.repository(name, bare)


def push(work: Path) -> str:
    git("add", "-A", cwd=work)
    git("commit", "-q", "--allow-empty", "-m", "change", cwd=work)
    git("push", "-q", "origin", "main", cwd=work)
    return git("rev-parse", "HEAD", cwd=work).strip()


def cells(machine: Machine, *, seed: int | None = None, only: str = "", keep: bool = False) -> dict[str, str]:
    """Run the notebook's cells in the container, in order or in a random one; what each shows, by its call. With `keep`
    the notebook is saved as JupyterLab does."""
    python = "/opt/firstlight/control/bin/python"
    argv = [python, "-c", RUN, "" if seed is None else str(seed), only, "keep" if keep else ""]
    said = machine.run("env", "JUPYTER_PATH=/opt/share/jupyter", "PYDEVD_DISABLE_FILE_VALIDATION=1", *argv)
    found: dict[str, str] = json.loads(said.splitlines()[-1])
    return found


def stage(machine: Machine, id: str) -> dict[str, Any]:
    found: dict[str, Any] = next((one for one in machine.state()["stages"] if one["id"] == id), {"state": ""})
    return found


def app(machine: Machine) -> dict[str, Any]:
    """The app's service."""
    found: dict[str, Any] = next(one for one in machine.state()["services"] if one["id"] == "visomaster")
    return found
