"""Where a start stands: the first snapshot, the phase, and how many stages may run at once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from init import bootid, graph
from init.plan import Plan, Resource, ServiceSpec
from init.specs import ModelsSpec
from init.state import Phase, ServiceState, Snapshot, StageState


def snapshot(plan: Plan, environ: Mapping[str, str]) -> Snapshot:
    """Before anything has happened."""
    stages = [StageState(s.id, s.kind, s.title, [need.id for need in s.needs]) for s in plan.stages]
    for state, stage in zip(stages, plan.stages, strict=True):
        if isinstance(stage.spec, ModelsSpec) and all(file.size is not None for file in stage.spec.files):
            state.bytes_done, state.bytes_total = 0, sum(file.size or 0 for file in stage.spec.files)
    services = [
        ServiceState(s.id, s.title, [need.id for need in s.needs], url=_page(plan, s), port=s.port)
        for s in plan.services
    ]
    return Snapshot(
        image=plan.image,
        title=plan.title,
        boot=bootid.boot(environ),
        revision=plan.revision,
        stages=stages,
        services=services,
    )


def _page(plan: Plan, service: ServiceSpec) -> str | None:
    """Where a browser finds it: its own page, or the desktop that its window is on."""
    shown = plan.desktop if service in plan.windows else service
    return f":{shown.port}{re.split('[?#]', shown.open)[0]}" if shown and shown.port is not None else None


def judge(snapshot: Snapshot) -> Phase:
    """`ready` once every service is; `degraded` when something is missing then; `failed` when nothing can be used."""
    stages = [stage.state for stage in snapshot.stages]
    services = [service.state for service in snapshot.services]
    bad = any(state in ("degraded", "failed", "blocked") for state in stages) or "failed" in services
    if services:
        if any(state in ("waiting", "starting") for state in services):
            return "starting"
        if all(state == "failed" for state in services):
            return "failed"
    elif any(state in ("waiting", "running", "verifying") for state in stages):
        return "starting"
    elif stages and all(state in ("failed", "blocked") for state in stages):
        return "failed"
    return "degraded" if bad else "ready"


def limits(environ: Mapping[str, str]) -> dict[Resource, int]:
    """How many stages may use a resource at once; `FIRSTLIGHT_LIMITS=cpu=2,net=4` overrides."""
    words = environ.get("FIRSTLIGHT_LIMITS", "").replace(",", " ").split()
    given = {
        name: int(value)
        for name, _, value in (word.partition("=") for word in words)
        if value.isdecimal() and value.isascii()
    }
    cores = max(graph.LIMITS["cpu"], os.cpu_count() or 1)
    usual: dict[Resource, int] = {**graph.LIMITS, "cpu": cores}
    return {name: max(1, given.get(name, limit)) for name, limit in usual.items()}
