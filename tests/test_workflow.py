"""The workflow that builds and pushes: when it runs, for which images, and that nothing from a form reaches a shell."""

from __future__ import annotations

import json
import os
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests import load, lock

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / ".github" / "workflows" / "build-and-push.yml"


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    # Every value a text: YAML 1.1 takes `on` for true.
    return dict(yaml.load(FILE.read_text(encoding="utf-8"), Loader=yaml.BaseLoader))


def names(workflow: dict[str, Any], tmp_path: Path, image: str) -> subprocess.CompletedProcess[str]:
    step = next(step for step in workflow["jobs"]["images"]["steps"] if step.get("id") == "names")
    assert step["env"]["IMAGE"] == "${{ inputs.image }}" and "${{" not in step["env"]["PINNED"]
    environ = {**os.environ, **step["env"], "IMAGE": image, "GITHUB_OUTPUT": str(tmp_path / "output")}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


def test_it_runs_when_main_changes_what_images_are_made_of(workflow: dict[str, Any]) -> None:
    assert set(workflow["on"]) == {"push", "workflow_dispatch"}
    assert workflow["on"]["push"]["branches"] == ["main"]
    patterns = workflow["on"]["push"]["paths"]
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    for pattern in patterns:
        assert [name for name in listed if fnmatch(name, pattern)], f"{pattern} is nowhere"
    for name in ("init/boot.py", "lab/package.json", "manifests/demo.yaml", "supervisord/Caddyfile.j2", "Makefile"):
        assert any(fnmatch(name, pattern) for pattern in patterns), name
    assert not any(fnmatch(name, pattern) for name in ("README.md", "docs/run.md") for pattern in patterns)


def test_a_change_builds_every_image_that_is_not_baked(workflow: dict[str, Any], tmp_path: Path) -> None:
    done = names(workflow, tmp_path, "")
    assert done.returncode == 0, done.stderr
    own = [loaded for loaded in map(load.load, load.names()) if loaded.manifest.at != "build"]
    left = [
        loaded.manifest.name for loaded in own if None in {one.sha256 for one in lock.read(loaded).programs.values()}
    ]
    key, _, value = (tmp_path / "output").read_text().strip().partition("=")
    assert (key, sorted([*json.loads(value), *left])) == ("names", [loaded.manifest.name for loaded in own])
    said = "".join(
        f"::warning::{name} is left out: run ./buildkit.py lock {name}, and commit its lock\n" for name in left
    )
    assert done.stderr == said, "what cannot be built costs nobody a failed run"


def test_by_hand_it_builds_one(workflow: dict[str, Any], tmp_path: Path) -> None:
    assert names(workflow, tmp_path, "comfyui-wan22-full").returncode == 0
    assert (tmp_path / "output").read_text() == 'names=["comfyui-wan22-full"]\n'


@pytest.mark.parametrize("image", ['demo","x', "demo x", "$(touch pwned)", "../demo", "demo\nnames=[]", "*"])
def test_what_is_no_name_is_refused(workflow: dict[str, Any], tmp_path: Path, image: str) -> None:
    done = names(workflow, tmp_path, image)
    assert (done.returncode, done.stderr) == (1, "this is no manifest's name\n")
    assert not (tmp_path / "output").exists()


def test_jobs_fit_together_and_forms_reach_no_shell(workflow: dict[str, Any]) -> None:
    jobs = workflow["jobs"]
    assert jobs["build-and-push"]["needs"] == "images"
    assert jobs["build-and-push"]["strategy"]["matrix"] == {"image": "${{ fromJSON(needs.images.outputs.names) }}"}
    assert jobs["images"]["outputs"] == {"names": "${{ steps.names.outputs.names }}"}
    assert workflow["permissions"] == {"contents": "read"}
    assert jobs["build-and-push"]["permissions"] == {"contents": "read", "packages": "write"}
    runs = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert len(runs) == 4 and not any("${{" in run for run in runs)
    for run in runs:
        subprocess.run(["bash", "-n", "-c", run], check=True)
    assert re.fullmatch(r'make build-and-push IMAGE="\$IMAGE" REGISTRY="ghcr.io/\$\{OWNER,,\}"', runs[-1].strip())
