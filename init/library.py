"""`firstlight models`: the sets, and whether their files are what they should be."""

from __future__ import annotations

import sys
from pathlib import Path

from init import control, lines, selection, state
from init.fetch.audit import audit
from init.plan import Plan
from init.specs import ModelsSpec
from init.state import SetState

WORDS = {"ok": "fine", "missing": "missing", "wrong": "wrong", "unknown": "unknown"}


def main(plan: Plan, do: str, sets: list[str], delete: bool = False) -> int:
    """0 fine, 1 a problem, 2 usage. `delete`: dropping removes the files."""
    known = {spec.set: spec for spec in selection.sets(plan)}
    for name in sets:
        if name not in known:
            print(f"firstlight: no model set {name!r}{selection.closest(name, known)}", file=sys.stderr)
            return 1
    if do in ("add", "drop", "pause", "resume"):
        if not sets:
            which = f"which set? One of {', '.join(known)}" if known else f"{plan.image} has no model sets"
            print(f"firstlight models {do}: {which}", file=sys.stderr)
            return 2
        for name in sets:
            request = {"do": f"models.{do}", "set": name, "delete": delete}
            print(control.ask(Path(plan.paths.run), request)["message"])
        return 0
    chosen = [known[name] for name in sets] or list(known.values())
    if do == "verify":
        return verify(plan, chosen, everything=bool(sets))
    return show(plan, chosen)


def show(plan: Plan, specs: list[ModelsSpec]) -> int:
    """What each set is, and how much of it is here."""
    try:
        snapshot = state.latest(Path(plan.paths.run), plan.paths.state)
    except (OSError, ValueError):
        snapshot = None
    told = {found.name: found for found in snapshot.sets} if snapshot is not None else {}
    stages = {stage.id: stage.state for stage in snapshot.stages} if snapshot is not None else {}
    if not specs:
        print(f"{plan.image} has no model sets")
    for spec in specs:
        known = told.get(spec.set)
        count = f"{len(spec.files)} file" if len(spec.files) == 1 else f"{len(spec.files)} files"
        words = [_how_far(known, stages.get(known.stage, "")) if known is not None else ""]
        words += ["needed" if spec.required else "by default" if spec.default else "", spec.license or ""]
        print(f"{spec.set:<28} {_figures(spec, known):>18}  {count:<9} {', '.join(filter(None, words))}")
        if known is not None and known.problem:
            print(f"{'':29}{known.problem}")
    return 0


def _figures(spec: ModelsSpec, known: SetState | None) -> str:
    sizes = [file.size for file in spec.files]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    if total is None and known is not None:
        total = known.bytes_total
    have = known.bytes_have if known is not None else 0
    if total is None:
        return f"{lines.size(have)} of ?" if have else "size unknown"
    return lines.size(total) if have in (0, total) else f"{lines.size(have)} of {lines.size(total)}"


def _how_far(known: SetState, status: str) -> str:
    if known.bytes_total is not None and known.bytes_have >= known.bytes_total:
        return "verified" if known.verified >= known.files else "here, not verified"
    if known.paused:
        return "paused"
    if not known.selected:
        return "not selected"
    return {"running": "fetching", "waiting": "queued"}.get(status, status)


def verify(plan: Plan, specs: list[ModelsSpec], everything: bool) -> int:
    """Read every file and compare it with its hash. Sets that are not there are passed over unless they were named."""
    bad, read = list[str](), 0
    for spec in specs:
        if not everything and not any((plan.models / file.path).exists() for file in spec.files):
            continue
        try:
            for found in audit(plan.models, plan.paths.state, spec.files):
                read += 1
                said = f": {found.message}" if found.message else ""
                print(f"{WORDS[found.state]:<7} {found.path}{said}", flush=True)
                if found.state in ("missing", "wrong") and spec.set not in bad:
                    bad.append(spec.set)
        except OSError as error:
            print(f"firstlight models verify: {error.filename}: {error.strerror}", file=sys.stderr)
            print(
                "  the result cannot be noted: make room there or make it writable, then verify again", file=sys.stderr
            )
            return 1
    if not read:
        print(f"no model file is in {plan.models} yet")
    for name in bad:
        print(f"to repair: firstlight retry models:{name}", file=sys.stderr)
    return 1 if bad else 0
