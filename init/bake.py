"""`firstlight bake`: a stage at image build, by the same code that runs it at a start."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

from init import record
from init.attempt import Attempt
from init.plan import Plan
from init.redact import Redactor, secrets
from init.stages import HANDLERS
from init.workplace import log_file


def main(plan: Plan, stage_id: str, part: tuple[int, int] | None) -> int:
    """0: done, and with the last part its record is written; 1: the build must fail."""
    stage = plan.stage(stage_id)
    environ = dict(os.environ)
    redactor = Redactor(secrets(environ))
    marks: dict[str, str] = {}
    results: dict[str, dict[str, Any]] = {}
    for need in stage.needs:
        upstream = plan.stage(need.id)
        known = record.read(plan, upstream)
        if known is None and not need.soft:
            print(f"firstlight bake: {stage_id} needs {need.id}, which is not baked", file=sys.stderr)
            return 1
        if known is not None:
            results[need.id] = known.result
            if not need.soft:
                marks[need.id] = known.fingerprint if upstream.kind == "models" else known.mark

    def tell(**changes: Any) -> None:
        if changes.get("message"):
            print(redactor.text(str(changes["message"])), flush=True)

    attempt = Attempt(
        plan=plan,
        stage=stage,
        handler=HANDLERS[stage.kind],
        environ=environ,
        redactor=redactor,
        tell=tell,
        marks=marks,
        results=results,
        again=True,
        part=part,
        echo=lambda line: print(line, flush=True),
        cancel=threading.Event(),
    )
    end = attempt.run()
    # A log with times in it would make every build's layer another one; it was shown already.
    log = log_file(plan, stage_id)
    log.unlink(missing_ok=True)
    for folder in (log.parent, Path(plan.paths.run, "children")):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    if end.state in ("done", "skipped"):
        return 0
    print(f"firstlight bake: {stage_id} {end.state}: {end.message}", file=sys.stderr)
    return 0 if end.state == "degraded" else 1
