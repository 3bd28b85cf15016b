"""A start in full swing, and a runner that tells of it: what the panel has to cope with at most."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from init import state
from tests.lab.support import Place

STAGES, FILES, SETS = 40, 500, 20
"""Half of the stages fetch a set each."""
SIZE = 10**9
"""Bytes of a file."""
PACE = 1.0
"""Seconds between two writes of the runner."""


def names() -> list[str]:
    """Of the model sets."""
    return [f"set-{number:02}" for number in range(SETS)]


def turn(number: int) -> dict[str, Any]:
    """What `Place.write` is told for its `number`th time: everything runs, and all that can move has moved on."""
    began, each = time.time() - number - 60, FILES // SETS
    done = (number * 7_654_321) % SIZE
    rate = 90e6 + number % 7 * 1e6
    fetched = [
        state.StageState(
            f"models:{name}", "models", f"Models of {name}", ["python"], "running", began, None, done * each,
            SIZE * each, rate, f"{done / 1e6:.0f} MB of each file", predicted=[0.0, 600.0],
        )
        for name in names()
    ]  # fmt: skip
    made = [
        state.StageState(
            f"step-{place:02}", "command", f"Step {place}", [f"step-{place - 1:02}"] if place else [], "running", began,
            message=f"line {number} of what it prints", predicted=[0.0, 300.0], result={"commit": "d1a57a546" * 4},
        )
        for place in range(STAGES - SETS)
    ]  # fmt: skip
    return {
        "boot": state.Boot("busy", began),
        "headline": state.Headline(f"Turn {number}"),
        "eta_s": 540.0,
        "eta_range": [400.0, 800.0],
        "progress": number % 100 / 100,
        "critical": [made[-1].id],
        "stages": made + fetched,
        "services": [state.ServiceState("app", "App", [made[-1].id], waits_for=[made[-1].id])],
        "sets": [
            state.SetState(name, f"models:{name}", each, SIZE * each, done * each, selected=True) for name in names()
        ],
        "files": [
            state.FileState(f"diffusion_models/part-{place:03}.safetensors", name, "fetching", done, SIZE, rate / each)
            for place in range(each)
            for name in names()
        ],
        "disk": {"free": 10**12, "needed": SIZE * FILES},
    }


@contextmanager
def runner(place: Place) -> Iterator[None]:
    """One that answers on its socket and replaces the state once in `PACE`, in a process of its own."""
    process = multiprocessing.get_context("spawn").Process(target=_tell, args=(place.root,), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _tell(root: Path) -> None:
    place, number = Place(root), 0
    with place.runner():
        while True:
            place.write(**turn(number))
            number += 1
            time.sleep(PACE)
