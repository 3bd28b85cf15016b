"""VisoMaster itself, unmodified, in its image's desktop, on the processor: what `make prove` runs. It fetches some 3 GB
of PyTorch and builds on Debian 12, whose Python VisoMaster's versions still know.

FIRSTLIGHT_VISOMASTER names a git repository to take VisoMaster from, for machines that do not reach GitHub. Its icons
as Python may be missing there: they are made from the pictures again.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import docker as docker_sdk
import pytest

from images import bases, containers, engine
from manifests import load, lock
from manifests.load import FOLDER
from tests.images.machine import started
from tests.panel.browsers import chromium
from tests.panel.conftest import photograph
from tests.waiting import until

REPOSITORY = os.environ.get("FIRSTLIGHT_VISOMASTER", "https://github.com/visomaster/VisoMaster")
ICONS = "app/ui/core/media_rc.py"
PROCESSOR = """\
import runpy
import sys

sys.path.insert(0, "")
from app.processors.models_processor import ModelsProcessor

ModelsProcessor.__init__.__defaults__ = ("cpu",)
runpy.run_path("main.py", run_name="__main__")
"""
"""VisoMaster has no option for a machine without a GPU: its own default alone is another one here."""
ELSEWHERE = {"torch": "torch==2.4.1", "torchvision": "torchvision==0.19.1", "torchaudio": "torchaudio==2.4.1"}
"""The same versions as the manifest's, from where they need no GPU."""
MANIFEST = """\
manifest: 1
name: visomaster-try
title: VisoMaster
extends: visomaster.yaml
image: {{apt: [x11-utils]}}
python:
  version: system
  envs:
    app: {{packages: !reset {packages}, index: !reset , index_strategy: first-index, freeze: !reset , forbid: !reset }}
sources: !reset
  visomaster: {{path: visomaster, consequence: VisoMaster cannot start.}}
models: {{sets: !reset }}
commands:
  icons:
    run: '[ -f {icons} ] || pyside6-rcc app/ui/core/media.qrc -o {icons}'
    env: app
    cwd: visomaster
    needs: [app]
services:
  visomaster: {{command: python -u on_processor.py, needs: [icons]}}
"""


def packages() -> list[str]:
    """The manifest's own, but for what only a GPU can use."""
    real = load.load("visomaster").manifest.python.envs["app"].packages
    names = {text: text.partition("==")[0] for text in real}
    kept = [ELSEWHERE.get(name, text) for text, name in names.items() if not name.startswith("tensorrt")]
    return [text.replace("onnxruntime-gpu", "onnxruntime") for text in kept]


def checkout(folder: Path, commit: str) -> None:
    """VisoMaster's files at this commit; those that the repository names and does not have are left out."""
    bare = folder.with_suffix(".git")
    if Path(REPOSITORY).is_dir():
        bare = Path(REPOSITORY)
    else:
        subprocess.run(["git", "clone", "--quiet", "--bare", REPOSITORY, str(bare)], check=True)
    git = ["git", "-C", str(bare)]
    listed = subprocess.check_output([*git, "ls-tree", "-r", "--name-only", "-z", commit], text=True)
    for name in filter(None, listed.split("\0")):
        found = subprocess.run([*git, "show", f"{commit}:{name}"], capture_output=True, check=False)
        assert found.returncode == 0 or name == ICONS, found.stderr
        if found.returncode == 0:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(found.stdout)


@pytest.mark.timeout(3600)
def test_visomaster_itself_shows_its_window(docker: docker_sdk.DockerClient, tmp_path: Path) -> None:
    commit = load.load("visomaster").manifest.sources["visomaster"].ref
    assert commit is not None
    checkout(tmp_path / "visomaster", commit)
    (tmp_path / "visomaster" / "on_processor.py").write_text(PROCESSOR)
    shutil.copy(FOLDER / "visomaster.yaml", tmp_path)
    shutil.copytree(FOLDER / "visomaster", tmp_path / "visomaster", dirs_exist_ok=True)
    path = tmp_path / "visomaster-try.yaml"
    path.write_text(MANIFEST.format(packages=json.dumps(packages()), icons=ICONS))
    loaded = load.load(str(path))
    base = bases.make("bookworm")
    image = engine.build(loaded, lock.read(loaded), base=base, sbom=False, compression="uncompressed").tag
    try:
        with started(docker, loaded, image, {"UV_HTTP_TIMEOUT": "300"}) as machine:
            state = machine.settled(within=2400)
            told = containers.inside(machine.container, "tail", "-n", "40", "/var/log/supervisor/visomaster.log")[1]
            assert {s["id"]: s["state"] for s in state["services"]}["visomaster"] == "ready", told
            tree = until(
                lambda: [
                    line for line in machine.run("xwininfo", "-root", "-tree").splitlines() if "VisoMaster" in line
                ],
                within=180,
                what="VisoMaster's window",
            )
            print(tree)
            with chromium() as browser:
                page = browser.new_context(viewport={"width": 1400, "height": 860}).new_page()
                page.goto(machine.url(6080, f"/?token={machine.token}"))
                until(lambda: "1400 x 860" in machine.run("xrandr"), what="the screen has the browser's size")
                until(lambda: "1400x" in machine.run("xwininfo", "-name", _title(tree[0])), what="so has the window")
                page.wait_for_function(
                    "() => !document.querySelector('#noVNC_status.noVNC_open, #noVNC_control_bar.noVNC_open')"
                )
                photograph(page, "visomaster-dark")
            log = containers.inside(machine.container, "cat", "/var/log/supervisor/visomaster.log")[1]
            said = set(re.findall(r"^\w+(?:Error|Exception)\b.*", log, re.MULTILINE))
            assert said <= {"FileNotFoundError: [Errno 2] No such file or directory: 'nvidia-smi'"}, log
    finally:
        for tag in docker.images.get(image).tags:
            docker.images.remove(tag, force=True)


def _title(line: str) -> str:
    """Of a window, from a line of xwininfo's tree: `0x800006 "VisoMaster": (…)`."""
    return line.split('"')[1]
