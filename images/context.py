"""The folder that an image is built from: what is rendered, the runner, the panel's wheel, what the manifest ships."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from images import dockerfile, panel, planning, render, shipped
from init.plan import load
from manifests.load import Loaded
from manifests.lock import Lock
from manifests.trouble import Trouble

RUNNER = Path(__file__).resolve().parent.parent / "init"
OWNED = ("bake", "files", "init", "jupyter", "pages", "workspace")
"""Folders of a build context that hold nothing but what is written there."""


def make(loaded: Loaded, folder: Path, lock: Lock, base: str | None = None) -> dict[str, str]:
    """Everything that `docker build FOLDER` needs: rendered files, the runner, and what the manifest ships.

    Raises Trouble where JupyterLab's panel cannot be built.
    """
    files = render.render(loaded, lock, base=base)
    for owned in OWNED:
        shutil.rmtree(folder / owned, ignore_errors=True)
    render.write(files, folder)
    runner(folder / "init")
    try:
        wheel = panel.wheel(os.environ)
    except panel.PanelError as error:
        raise Trouble(error.what, error.reason, error.remedy) from None
    shipped.put(wheel, folder / "lab" / wheel.name)
    plan = load(files["plan.json"])
    shipped.copy(loaded, shipped.paths(plan), folder / "files")
    shipped.workspace(loaded, folder / "workspace")
    for stage in planning.baked(plan):
        shipped.copy(loaded, shipped.of(stage), folder / dockerfile.files_folder(stage))
    return files


def runner(folder: Path) -> None:
    """The runner's code, as it stands in an image."""
    for name, file in shipped.walk(RUNNER):
        if file.suffix == ".py":
            shipped.put(file, folder / name)
