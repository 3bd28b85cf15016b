"""The one line above everything: when the app will be there, that it is, or what keeps it. All views show its words."""

from __future__ import annotations

from init import lines
from init.graph import SERVICE
from init.state import ENDED, Headline, ServiceState, Snapshot, StageState

NARROW, OPEN = 1.7, 12.0
"""Most over least: up to the first it is one number, from the second on only one of them means anything."""
SOON = 180.0
"""Seconds: a most of no more than this is told, a longer one that is a mere guess would only frighten."""


def headline(snapshot: Snapshot, untimed: str | None = None) -> Headline:
    """What a user wants to know first. About the first service of the plan; without services, about the whole.

    `untimed`: the stage, or `service:ID`, that makes the wait hard to tell.
    """
    bad = [stage for stage in snapshot.stages if stage.state in ("failed", "degraded")]
    if not snapshot.services:
        return _without_services(snapshot, bad, untimed)
    service = snapshot.services[0]
    if service.state == "ready":
        return _running(service, bad)
    if service.state == "failed":
        cause = next((stage for stage in bad if stage.repair and stage.repair == service.repair), None)
        why = f"{cause.title}: {cause.message}" if cause is not None else service.message
        return Headline(f"{service.title} cannot start: {why}", "error", service.repair)
    if service.state == "stopped":
        return Headline(f"{service.title} was stopped", "warning", f"firstlight retry {SERVICE}{service.id}")
    if not bad:
        return Headline(f"{service.title} {when(snapshot, untimed)}")
    return Headline(f"{service.title} {when(snapshot)}, without {_titles(bad)}", "warning", bad[0].repair)


def when(snapshot: Snapshot, untimed: str | None = None) -> str:
    """`in about 6 min`, `in 4 to 9 min`, `in up to 2 min`, `in 15 s or more: …`; as honest as what is known."""
    if snapshot.eta_range is None:
        ended = sum(stage.state in ENDED for stage in snapshot.stages)
        return f"is being set up: {ended} of {len(snapshot.stages)} steps done"
    least, most = (max(1.0, seconds) for seconds in snapshot.eta_range)
    low, high = lines.about(least), lines.about(most)
    if most <= NARROW * least or most < 10:
        return f"in about {lines.about((least + most) / 2)}"
    if most >= OPEN * least:
        return f"in up to {high}" if most <= SOON else f"in {low} or more{_why(snapshot, untimed)}"
    same = low.split()[1:] == high.split()[1:]
    return f"in {low.split()[0] if same else low} to {high}"


def _why(snapshot: Snapshot, untimed: str | None) -> str:
    """What it is that nobody knows the duration of."""
    items = {stage.id: stage for stage in snapshot.stages} | {SERVICE + one.id: one for one in snapshot.services}
    item = items.get(untimed or "")
    if item is None:
        return ""
    if isinstance(item, StageState) and item.kind == "models":
        return ": how fast the link is shows soon"
    name = item.title if isinstance(item, StageState) or item is not snapshot.services[0] else "its start"
    return f": {name} for the first time"


def _running(service: ServiceState, missing: list[StageState]) -> Headline:
    if not missing:
        return Headline(f"{service.title} is ready", "ready", None, service.id)
    first = missing[0]
    why = first.consequence or first.message
    text = f"{service.title} runs without {_titles(missing)}" + (f": {why}" if len(missing) == 1 and why else "")
    return Headline(text, "warning", first.repair, service.id)


def _without_services(snapshot: Snapshot, bad: list[StageState], untimed: str | None) -> Headline:
    if snapshot.phase == "starting":
        return Headline(f"{snapshot.title} {when(snapshot, untimed)}")
    if snapshot.phase == "ready":
        return Headline("Everything is set up", "ready")
    first = bad[0] if bad else None
    text = f"{_titles(bad)} {'is' if len(bad) == 1 else 'are'} missing" if first else snapshot.message
    return Headline(text, "error" if snapshot.phase == "failed" else "warning", first.repair if first else None)


def _titles(stages: list[StageState]) -> str:
    names = [str(stage.result.get("without") or stage.title) for stage in stages]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
