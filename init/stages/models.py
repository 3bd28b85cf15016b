"""Fetch one set of model files."""

from __future__ import annotations

from dataclasses import asdict

from init import selection
from init.fetch.job import FetchResult, Progress
from init.lines import size
from init.plan import Plan
from init.specs import ModelsSpec
from init.stages.context import Context, Outcome


def run(context: Context) -> Outcome:
    """All files of the set, verified and in place. Raises StageFailed."""
    spec = context.stage.spec
    assert isinstance(spec, ModelsSpec)
    assert context.fetcher is not None

    def report(progress: Progress) -> None:
        context.report(
            message=sentence(progress),
            done=progress.done,
            total=progress.total,
            rate=progress.rate,
            verifying=progress.verifying,
        )

    rank = _rank(context.plan, spec.set)
    found = context.fetcher.fetch(spec.set, spec.files, spec.required, context.cancel, report, rank)
    made = [context.plan.models / file.path for file in spec.files]
    return Outcome(message=summary(found), result={"models": asdict(found)}, made=made)


def _rank(plan: Plan, name: str) -> int:
    """What the user asked for goes first, the latest wish before others; the rest follows in the manifest's order."""
    added = selection.read(plan.paths.state).added
    return -1 - added.index(name) if name in added else [spec.set for spec in selection.sets(plan)].index(name)


def sentence(progress: Progress) -> str:
    """How far a set is, in one line: `12.3 of 35.6 GB, 410 MB/s, 3 files left`."""
    if progress.waiting_for:
        return f"waiting: {progress.waiting_for} fetches on this volume"
    if progress.verifying:
        return f"verifying the last {_files(progress.files_left)}"
    if progress.setback and not progress.rate:
        return f"tried again: {progress.setback}"
    if not progress.done and not progress.rate and not progress.failed:
        return f"waiting for its turn, {_files(progress.files_left)}"
    total = "" if progress.total is None else f" of {size(progress.total)}"
    parts = [f"{size(progress.done)}{total}"]
    if progress.rate:
        parts.append(f"{size(progress.rate)}/s")
    parts.append(f"{_files(progress.files_left)} left")
    if progress.failed:
        parts.append(f"failed: {', '.join(progress.failed[:3])}")
    return ", ".join(parts)


def summary(found: FetchResult) -> str:
    """What a complete set came to, in one line."""
    text = f"{_files(found.files)}, {size(found.bytes_total)}"
    if not found.bytes_fetched:
        text += ", all there already"
    elif found.seconds > 0:
        text += f" in {found.seconds:.0f} s ({size(found.bytes_fetched / found.seconds)}/s)"
    if found.unverified:
        text += f"; not verified, as no hash is known: {', '.join(found.unverified[:3])}"
    return text


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
