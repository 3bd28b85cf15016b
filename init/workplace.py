"""What an attempt at a stage is given: its log, its programs, its view of the world."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from init import process
from init.plan import Plan, Stage
from init.redact import Redactor
from init.specs import KernelSpec, ModelsSpec
from init.stages.context import Context, Report


def context(
    plan: Plan,
    stage: Stage,
    *,
    environ: Mapping[str, str],
    redactor: Redactor,
    results: Mapping[str, dict[str, Any]],
    report: Report,
    cancel: threading.Event,
    fetcher: Callable[[], Any],
    part: tuple[int, int] | None = None,
    echo: Callable[[str], None] | None = None,
) -> Context:
    """For one attempt, whose time runs from now on. With `echo` (baking) lines are shown, at full priority."""
    log = log_file(plan, stage.id)
    run = process.Runner(
        log=log,
        folder=Path(plan.paths.run),
        environ=environ,
        cancel=cancel,
        deadline=None if stage.kind == "models" else time.monotonic() + stage.within,
        redact=redactor.text,
        idle=echo is None,
        echo=echo,
    )
    return Context(
        plan=plan,
        stage=stage,
        log=log,
        report=report,
        run=run,
        cancel=cancel,
        environ=environ,
        results=results,
        fetcher=fetcher() if _fetches(stage) else None,
        part=part,
        baking=echo is not None,
    )


def log_file(plan: Plan, stage: str) -> Path:
    """The stage's own log."""
    return Path(plan.paths.logs, "stages", f"{stage.replace(':', '.')}.log")


def _fetches(stage: Stage) -> bool:
    return isinstance(stage.spec, ModelsSpec) or (isinstance(stage.spec, KernelSpec) and bool(stage.spec.wheels))
