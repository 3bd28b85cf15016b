"""What a stage is given, and what it gives back."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from init.plan import Plan, Stage

if TYPE_CHECKING:
    from init.fetch import Fetcher
    from init.process import Runner


@dataclass
class Outcome:
    """How a stage ended well, or well enough."""

    state: Literal["done", "skipped", "degraded"] = "done"
    message: str = ""
    consequence: str | None = None
    result: dict[str, Any] = field(default_factory=dict)
    """Facts worth keeping, JSON-able: commits, the compute capability, the wheel's origin…"""
    made: list[Path] = field(default_factory=list)
    """What must exist for the completion record to count."""


class Report(Protocol):
    """Tells the world how far a stage is. Unset values stay as they were."""

    def __call__(
        self,
        *,
        message: str | None = None,
        done: int | None = None,
        total: int | None = None,
        rate: float | None = None,
        verifying: bool = False,
    ) -> None: ...


@dataclass
class Context:
    plan: Plan
    stage: Stage
    log: Path
    """The stage's own log; `run` appends to it."""
    report: Report
    run: Runner
    """Idle priority, own session, no tokens in its environment; killed with all it started on `cancel` or timeout."""
    cancel: threading.Event
    environ: Mapping[str, str]
    """The environment that the user started the container with, tokens included. Never log it."""
    results: Mapping[str, dict[str, Any]]
    """`Outcome.result` of the stages that have ended, by stage id."""
    fetcher: Fetcher | None = None
    """Only for `models`, and wheels."""
    part: tuple[int, int] | None = None
    """While baking an environment in several layers: which part, of how many."""
    baking: bool = False
    """The result goes into an image."""
