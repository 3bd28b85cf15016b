"""What an end means for the user, and the verb that repairs it: the sentences that every view shows."""

from __future__ import annotations

from typing import Any

from init.attempt import End
from init.graph import SERVICE, Graph
from init.plan import Plan, Stage

GOES_ON = "JupyterLab and everything else go on"


def of_end(plan: Plan, graph: Graph, stage: Stage, end: End) -> dict[str, Any]:
    """Message, consequence and repair of a stage that has ended."""
    bad = end.state in ("degraded", "failed")
    spared = end.took is None and end.state == "done"
    return {
        "message": _kept(end.message) if spared else end.message,
        "consequence": (end.consequence or stage.consequence or _loss(plan, graph, stage)) if bad else None,
        "repair": f"firstlight retry {stage.id}" if bad else None,
    }


def of_block(plan: Plan, graph: Graph, key: str) -> dict[str, Any]:
    """The same of a stage or service that cannot start because of another."""
    cause = graph.cause(key)
    told = {
        "message": f"cannot start: {cause or 'another stage'} failed",
        "repair": f"firstlight retry {cause}" if cause else "firstlight status",
    }
    if key.startswith(SERVICE):
        return {**told, "consequence": of_service(_title(plan, key))}
    stage = plan.stage(key)
    return {**told, "consequence": stage.consequence or f"{stage.title} is missing until then; {GOES_ON}"}


def of_service(title: str) -> str:
    """A service that failed."""
    return f"{title} is not available; {GOES_ON}"


def _loss(plan: Plan, graph: Graph, stage: Stage) -> str:
    """What a bad end means, in the absence of the author's words: the user knows services, not stages."""
    lost = graph.dependents(stage.id) if stage.on_failure == "fail" else []
    services = [_title(plan, key) for key in lost if key.startswith(SERVICE)]
    names = services or [plan.stage(key).title for key in lost]
    if not names:
        return f"{stage.title} is missing; {GOES_ON}"
    return f"{_list(names)} cannot start; {GOES_ON}"


def _title(plan: Plan, key: str) -> str:
    return next((s.title for s in plan.services if SERVICE + s.id == key), key)


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _kept(message: str) -> str:
    """A record spared the work."""
    return f"kept: {message}" if message else "kept from an earlier start"
