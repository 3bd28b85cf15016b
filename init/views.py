"""`firstlight status`: where things stand, once or live."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from init import boot, control, lines, state
from init.paths import Paths
from init.state import ENDED, ServiceState, Snapshot, StageState

Presence = Literal["here", "away", "stopped"]
"""Of the runner: at work, ended and started again by supervisor, or ended with supervisor and all."""
PACE = 0.5
PROGRESS = 10.0
"""Seconds between two lines of mere progress where there is no terminal."""


class Unknown(Exception):
    """There is no state to show; the text says why."""


def status(paths: Paths, follow: bool = False, as_json: bool = False) -> int:
    """0; 1 when the phase is `failed` or there is nothing to show; 130 when interrupted."""
    try:
        snapshot, runner = current(paths) if not follow else _first(paths)
    except Unknown as error:
        print(f"firstlight: {error}", file=sys.stderr)
        return 1
    if as_json and not follow:
        print(state.dump(snapshot), end="")
    elif not follow:
        # rich is loaded by those who look only, never by the runner.
        from init import screen

        screen.show(snapshot, runner)
    elif as_json:
        for snapshot, _ in changes(paths):
            print(state.dump(snapshot), end="", flush=True)
    elif sys.stdout.isatty():
        from init import screen

        snapshot = screen.follow(changes(paths))
    else:
        snapshot = _lines(changes(paths))
    return 1 if snapshot.phase == "failed" else 0


def current(paths: Paths) -> tuple[Snapshot, Presence]:
    """The state, and whether the runner that wrote it is still there. Raises Unknown."""
    try:
        return state.load(control.ask(Path(paths.run), {"do": "state"})["state"]), "here"
    except (control.NotRunning, control.Refused, ValueError):
        pass
    try:
        found = state.latest(Path(paths.run), paths.state)
    except (OSError, ValueError) as error:
        raise Unknown(f"the state cannot be read: {error}") from None
    if found is None:
        raise Unknown(f"nothing was ever started here: {paths.state} has no state.json")
    return found, "away" if boot.poke(Path(paths.run, "supervisor.sock")) else "stopped"


def changes(paths: Paths) -> Iterator[tuple[Snapshot, Presence]]:
    """The state again and again, until nothing more will happen by itself."""
    while True:
        snapshot, runner = current(paths)
        yield snapshot, runner
        if settled(snapshot):
            return
        time.sleep(PACE)


def settled(snapshot: Snapshot) -> bool:
    """Everything has ended, one way or the other."""
    stages = all(stage.state in ENDED for stage in snapshot.stages)
    services = all(service.state in ("ready", "failed", "stopped") for service in snapshot.services)
    return stages and services and snapshot.phase != "starting"


def _first(paths: Paths, within: float = 30.0) -> tuple[Snapshot, Presence]:
    """The first state of a runner that is just starting."""
    deadline = time.monotonic() + within
    while True:
        try:
            snapshot, runner = current(paths)
            if runner == "here" or time.monotonic() > deadline:
                return snapshot, runner
        except Unknown:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def _lines(snapshots: Iterator[tuple[Snapshot, Presence]]) -> Snapshot:
    """One line per transition, and progress now and then."""
    known: dict[str, str] = {}
    told: dict[str, float] = {}
    for snapshot, _ in snapshots:
        now = time.time()
        items: list[StageState | ServiceState] = [*snapshot.stages, *snapshot.services]
        for item in items:
            what = "stage" if isinstance(item, StageState) else "service"
            key = f"{what} {item.id}"
            if known.get(key) != item.state:
                known[key], told[key] = item.state, now
                text = lines.line({"at": now, "event": what, **vars(item)})
            elif isinstance(item, StageState) and item.state not in ENDED and now - told[key] >= PROGRESS:
                if item.state == "waiting":
                    continue
                told[key] = now
                text = f"{time.strftime('%H:%M:%S')} {item.id}: {progress(item) or item.message}"
            else:
                continue
            if text is not None:
                print(text, flush=True)
        last = snapshot
        if known.get("phase") != snapshot.phase:
            known["phase"] = snapshot.phase
            print(
                lines.line({"at": now, "event": "phase", "phase": snapshot.phase, "message": snapshot.message}),
                flush=True,
            )
    return last


def progress(stage: StageState) -> str:
    """`4.2 GB of 9.8 GB, 312 MB/s, 18 s left`, as far as it is known."""
    if stage.bytes_done is None:
        return ""
    text = lines.size(stage.bytes_done)
    if stage.bytes_total:
        text += f" of {lines.size(stage.bytes_total)}"
    if stage.rate_bps:
        text += f", {lines.size(stage.rate_bps)}/s"
        if stage.bytes_total and stage.state == "running":
            text += f", {lines.span((stage.bytes_total - stage.bytes_done) / stage.rate_bps)} left"
    return text
