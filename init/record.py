"""Completion records: what makes a start idempotent.

A stage that ended leaves `ID.json`, on the filesystem that holds what it made: a fresh container finds no record of its
own disk's work and does it again, while the volume's models stay known. A record counts as long as its fingerprint is
the one computed now and everything in `made` is there.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from init.plan import Plan, Stage

SCHEMA = "firstlight.record/1"


@dataclass
class Record:
    stage: str
    fingerprint: str
    state: Literal["done", "degraded"]
    ended: float
    took: float | None = None
    """Seconds; None when baked."""
    message: str = ""
    consequence: str | None = None
    result: dict[str, Any] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)

    @property
    def mark(self) -> str:
        """Another one for every time that the work was done: what was built on the former result is then stale."""
        return hashlib.sha256(f"{self.fingerprint} {self.ended!r}".encode()).hexdigest()


def fingerprint(stage: Stage, abi: Mapping[str, str], upstream: Mapping[str, str]) -> str:
    """SHA-256 over what decides the stage's result: its spec, the machine (`abi`) and the marks of hard needs."""
    text = json.dumps([stage.kind, asdict(stage.spec), dict(abi), dict(upstream)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def path(plan: Plan, stage: Stage) -> Path:
    """Where the record lies: with the models on the workspace, for all others on the container's disk."""
    folder = plan.paths.state / "records" if stage.kind == "models" else Path(plan.paths.disk, "records")
    return folder / f"{stage.id}.json"


def read(plan: Plan, stage: Stage) -> Record | None:
    """The stage's record; None when there is none, or one that does not count: damaged, or what it made is gone."""
    try:
        data = json.loads(path(plan, stage).read_text(encoding="utf-8"))
        if data.pop("schema") != SCHEMA:
            return None
        record = Record(**data)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if all(Path(made).exists() for made in record.made) else None


def write(plan: Plan, stage: Stage, record: Record) -> None:
    """Replace the record. Raises OSError.

    Not forced to the disk: it must not outlive what it stands for when the machine itself breaks down.
    """
    target = path(plan, stage)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.new")
    text = json.dumps({"schema": SCHEMA, **asdict(record)}, indent=1, sort_keys=True)
    part.write_text(f"{text}\n", encoding="utf-8")
    part.replace(target)


def drop(plan: Plan, stage: Stage) -> None:
    path(plan, stage).unlink(missing_ok=True)


def now() -> float:
    """Time for a record: SOURCE_DATE_EPOCH in a reproducible build."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    return float(epoch) if epoch.isdigit() else time.time()
