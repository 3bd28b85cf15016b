"""`SETUP=guided`: nothing begins by itself, everything waits for the user's word.

What was begun once stays so: a mark beside its completion record says it, and lives as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from init import record
from init.graph import SERVICE, Graph
from init.plan import Plan
from init.specs import NotebookSpec
from init.state import Headline, ServiceState, Snapshot, StageState

VARIABLE = "SETUP"
FREE = frozenset({"gpu", "notebook"})
"""Kinds of stage that begin in any case: a look at the machine, and the guide itself."""
WAITS = "waits for you: "


def wanted(environ: Mapping[str, str]) -> tuple[bool, list[str]]:
    """Whether the user wants to be asked, and what cannot be understood."""
    value = environ.get(VARIABLE, "").strip()
    if value.lower() == "guided":
        return True, []
    if value.lower() in ("", "auto"):
        return False, []
    return False, [f"{VARIABLE}={value[:40]} is neither guided nor auto: everything is set up by itself, as with auto"]


def waiting(plan: Plan, graph: Graph) -> list[str]:
    """What is to wait at a start: stages that were neither done nor begun before, and services that need stages."""
    free = {stage.id for stage in plan.stages if stage.kind in FREE}
    kinds = {stage.id: stage for stage in plan.stages}
    found = []
    for key, state in graph.state.items():
        if state != "waiting" or key in free or _mark(plan, key).exists():
            continue
        if key in kinds and record.read(plan, kinds[key]) is not None:
            continue
        if key.startswith(SERVICE) and not any(n in kinds and n not in free for n in graph.with_needs([key])):
            continue
        found.append(key)
    return found


def begin(plan: Plan, key: str) -> None:
    """Remember that the user has let this begin. A disk that takes no mark only makes the next start ask again."""
    with suppress(OSError):
        _mark(plan, key).parent.mkdir(parents=True, exist_ok=True)
        _mark(plan, key).touch()


def told(plan: Plan, key: str) -> dict[str, Any]:
    """Message and repair of what waits."""
    guide = _guide(plan)
    cell = f"run its cell in {guide}, or " if guide else ""
    return {"message": f"{WAITS}{cell}`firstlight start {key}`", "repair": f"firstlight start {key}"}


def headline(snapshot: Snapshot) -> Headline | None:
    """What a user reads first while nothing is at work because everything waits; None at any other time."""
    items: list[StageState | ServiceState] = [*snapshot.stages, *snapshot.services]
    if any(item.state in ("running", "verifying", "starting") for item in items):
        return None
    held = [item for item in items if item.state == "waiting" and item.message.startswith(WAITS)]
    if not held or any(item.state in ("failed", "blocked") for item in items):
        return None
    ended = sum(stage.state != "waiting" for stage in snapshot.stages)
    title = snapshot.services[0].title if snapshot.services else snapshot.title
    text = f"{title} waits for you: {ended} of {len(snapshot.stages)} steps done, begin the next one"
    return Headline(text, repair="firstlight start")


def _guide(plan: Plan) -> str:
    """Name of the notebook that this image has."""
    found = (PurePosixPath(stage.spec.file).name for stage in plan.stages if isinstance(stage.spec, NotebookSpec))
    return next(found, "")


def _mark(plan: Plan, key: str) -> Path:
    if key.startswith(SERVICE):
        return Path(plan.paths.disk, "records", f"{key}.begun")
    return record.path(plan, plan.stage(key)).with_suffix(".begun")
