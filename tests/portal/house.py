"""A rendered home below a folder: the real templates, a plan made here, no manifest."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from images import render
from init.paths import Paths
from init.plan import JupyterSpec, Plan, ServiceSpec, Stage
from tests.ports import free_port

REPO = Path(__file__).parents[2]


@dataclass
class House:
    root: Path
    plan: Plan
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return Path(self.plan.paths.home)

    @property
    def workspace(self) -> Path:
        return Path(self.plan.paths.workspace)

    @property
    def logs(self) -> Path:
        return Path(self.plan.paths.logs)

    @property
    def run(self) -> Path:
        return Path(self.plan.paths.run)


def build(
    root: Path,
    control: Path | None = None,
    services: list[ServiceSpec] | None = None,
    stages: list[Stage] | None = None,
    title: str = "Lightbox",
    also: bool = False,
    local: bool = False,
    cli: str | None = None,
    max_upload: int | None = None,
    jupyter: int | None = None,
    portal: int | None = None,
) -> House:
    """Folders, plan and rendered files below `root`. `cli` replaces the runner's command line; `jupyter` and `portal`
    are ports."""
    paths = Paths(
        home=str(root / "home"),
        disk=str(root / "disk"),
        workspace=str(root / "workspace"),
        logs=str(root / "logs"),
        run=str(root / "run"),
    )
    plan = Plan(
        image="demo",
        title=title,
        revision="0",
        paths=paths,
        stages=stages or [],
        services=services or [],
        jupyter=JupyterSpec(port=jupyter or free_port(), also=[free_port()] if also else []),
        portal_port=portal or free_port(),
        local=local,
    )
    for folder in (paths.home, paths.disk, paths.workspace, paths.logs, paths.run):
        Path(folder).mkdir(parents=True, exist_ok=True)
    manifest = SimpleNamespace(portal=SimpleNamespace(max_upload=max_upload))
    files = render.runtime(plan, manifest)
    for name, place in render.places(files).items():
        render.put(Path(paths.home, place), files[name], program=name in render.PROGRAMS)
    if cli is None:
        Path(paths.home, "init").symlink_to(REPO / "init")
    else:
        shutil.copytree(REPO / "init", Path(paths.home, "init"), ignore=shutil.ignore_patterns("__pycache__"))
        Path(paths.home, "init", "cli.py").write_text(cli, encoding="utf-8")
    if control is not None:
        paths.control.symlink_to(control)
    return House(root, plan)
