"""The verb `lock`: what it prints and how it ends."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from manifests import lock as locks
from manifests.drift import drift, unknown
from manifests.load import Loaded
from manifests.problems import alike, listing, shown
from manifests.resolution import Progress, Result, UnknownItem, called, update

FINE, PROBLEM, USAGE, INTERRUPTED = 0, 1, 2, 130


def run_lock(loaded: Loaded, check: bool, update: list[str], json: bool) -> int:
    """Make the lock, or check it. Exit code: 1 on drift, or when something that was asked for stays unknown."""
    return _check(loaded, json) if check else _make(loaded, update, json)


def _check(loaded: Loaded, json: bool) -> int:
    lock, name = locks.read(loaded), loaded.manifest.name
    found, nulls = drift(lock, loaded), sorted(unknown(lock, locks.wanted(loaded)))
    if json:
        _print_json({"name": name, "drift": [asdict(d) for d in found], "unknown": nulls})
    else:
        for difference in found:
            print(f"{name}: {difference}")
        if not found:
            print(f"{name}: the lock agrees with the manifest")
            _print_nulls(loaded, nulls)
    return PROBLEM if found else FINE


def _print_nulls(loaded: Loaded, nulls: list[str]) -> None:
    if nulls:
        first = f"{nulls[0]}{f' and {len(nulls) - 1} more' if len(nulls) > 1 else ''}"
        now = loaded.verb("lock")
        print(f"note: {first} not fully known yet: looked up when it is needed, or now by `{now}`")


def _make(loaded: Loaded, names: list[str], json: bool) -> int:
    try:
        with _watching(json) as on_progress:
            result = update(loaded, names or None, on_progress=on_progress)
    except UnknownItem as missing:
        return _no_such_item(loaded, str(missing))
    before = locks.read(loaded)
    path = locks.write(result.lock, loaded)
    nulls = sorted(unknown(result.lock, locks.wanted(loaded)))
    if json:
        _print_json(
            {
                "name": loaded.manifest.name,
                "path": str(path),
                "asked": result.asked,
                "unresolved": [asdict(u) for u in result.unresolved],
                "unknown": nulls,
            }
        )
    else:
        _print_result(loaded, path, before, result, nulls)
    return INTERRUPTED if result.interrupted else PROBLEM if result.unresolved else FINE


def _print_result(loaded: Loaded, path: Path, before: locks.Lock, result: Result, nulls: list[str]) -> None:
    for reason, members in _by_reason(result).items():
        print(f"error: {members[0]}{f' and {len(members) - 1} more' if len(members) > 1 else ''}: {reason[0]}")
        print(f"  hint: {reason[1]}")
    gone = [d for d in drift(before, loaded) if d.kind == "orphaned"] if before.checksum else []
    for difference in gone:
        print(f"dropped {difference.name}: {difference.detail}")
    count = 1 + len(result.lock.git) + len(result.lock.models) + len(result.lock.wheels)
    count += len(result.lock.debs)
    state = f"{count - len(nulls)} of {count} entries complete, {result.asked} asked for"
    print(f"{shown(path)}: {'unchanged, ' if before == result.lock else ''}{state}")
    _print_nulls(loaded, nulls)


def _by_reason(result: Result) -> dict[tuple[str, str], list[str]]:
    """Items that fail for one and the same reason are one message."""
    groups: dict[tuple[str, str], list[str]] = {}
    for failure in result.unresolved:
        groups.setdefault((failure.reason, failure.remedy), []).append(failure.item)
    return groups


def _no_such_item(loaded: Loaded, name: str) -> int:
    known = sorted(set().union(*called(locks.wanted(loaded)).values()) | {"all"})
    print(f"error: {loaded.manifest.name} has nothing called {name!r} to update", file=sys.stderr)
    short = (item for item in known if "/" not in item)
    print(f"  hint: {alike(name, known, most=3) or f'it has {listing(short)}'}", file=sys.stderr)
    return USAGE


@contextmanager
def _watching(json: bool) -> Iterator[Callable[[Progress], None]]:
    """A live bar on a terminal, else lines; nothing but the result for a machine. A reason is said once."""
    said: set[str] = set()

    def news(step: Progress) -> bool:
        if step.unresolved is None:
            return True
        fresh = step.unresolved.reason not in said
        said.add(step.unresolved.reason)
        return fresh

    if json:
        yield lambda _: None
    elif not sys.stdout.isatty():
        yield lambda step: print(f"[{step.done}/{step.total}] {_line(step)}", flush=True) if news(step) else None
    else:
        from rich.markup import escape
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("looking up"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Bar(*columns, transient=True) as bar:
            task = bar.add_task("", total=None)

            def show(step: Progress) -> None:
                bar.update(task, total=step.total, completed=step.done)
                if news(step):
                    mark = "[red]✗[/]" if step.unresolved else "[green]✓[/]"
                    bar.console.print(f"{mark} {escape(_line(step))}", highlight=False, soft_wrap=True)

            yield show


def _line(step: Progress) -> str:
    return f"{step.item}: {step.value if step.unresolved is None else step.unresolved.reason}"


def _print_json(data: object) -> None:
    print(jsonlib.dumps(data, indent=1, sort_keys=True, ensure_ascii=False))
