"""From start to app, beside the longest chain of needs: what the order itself costs."""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

from init import history
from init.history import History
from init.specs import CommandSpec
from tests.bench.table import Section
from tests.ports import free_port
from tests.runner.support import House, command, service, supervised, web
from tests.waiting import until

STAGES, LAYERS = 40, 8


def synthetic(root: Path) -> House:
    """Forty stages of 0.5 to 2 s in eight layers, each with up to three needs in the layer before, and an app."""
    chance = random.Random(40)
    stages, before = [], list[str]()
    for layer in range(LAYERS):
        now = []
        for place in range(STAGES // LAYERS):
            needs = chance.sample(before, k=min(len(before), chance.randrange(1, 4)))
            name = f"s{layer}{place}"
            stages.append(command(name, f"sleep {chance.uniform(0.5, 2):.2f}", *needs, uses="net"))
            now.append(name)
        before = now
    port = free_port()
    app = service("app", [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"], *before, **web(port))
    return House(root, stages, [app])


def chain(house: House, past: History) -> float:
    """Seconds of the longest chain: what its stages sleep, by their own command lines, and the app's own start."""
    ends: dict[str, float] = {}
    for stage in house.stages:
        assert isinstance(stage.spec, CommandSpec)
        own = float(stage.spec.run[-1].removeprefix("sleep "))
        ends[stage.id] = own + max((ends[need.id] for need in stage.needs), default=0.0)
    return max(ends.values()) + past.took("service:app")


def ready_at(past: History) -> float:
    """Seconds from the start to the last service that became ready."""
    return max(span.end or 0.0 for span in past.spans if span.id.startswith("service:"))


def _ready(house: House) -> bool:
    return house.states().get("service:app") == "ready"


def measure() -> Section:
    section = Section(
        "From start to app",
        f"{STAGES} stages in {LAYERS} layers under the real runner and supervisord. The chain is the longest sum of "
        "what stages sleep by their own command lines, and the app's own start; everything above it is the runner's "
        "cost: starting processes, noticing ends, writing the state.",
        ["plan", "start → app", "critical chain", "ratio"],
    )
    ratios = []
    for number in range(3):
        with tempfile.TemporaryDirectory() as folder:
            house = synthetic(Path(folder))
            with supervised(house, runner=True):
                until(partial(_ready, house), within=120, what="the app")
            past = history.read(house.paths.state)
            assert past is not None
        ratios.append(ready_at(past) / chain(house, past))
        row = [
            f"{STAGES} stages, run {number + 1}",
            f"{ready_at(past):.2f} s",
            f"{chain(house, past):.2f} s",
            f"{ratios[-1]:.3f}",
        ]
        section.rows.append(row)
    middle = statistics.median(ratios)
    section.verdicts.append(("start → app ÷ critical chain", f"{middle:.3f}", "≤ 1.05", middle <= 1.05))
    return section
