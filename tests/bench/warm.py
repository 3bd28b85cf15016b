"""The second start of the demo, on the volume of the first."""

from __future__ import annotations

import json
import statistics
from typing import Any

import docker
from docker.models.containers import Container

from images import daemon
from init import history
from init.state import ENDED
from tests.bench.graph import ready_at
from tests.bench.lab import hub, image, whole
from tests.bench.table import Section, spread
from tests.origin.demo import RATE
from tests.origin.server import Origin
from tests.waiting import until

ROUNDS = 5
FOLDER = "/workspace/.firstlight"


def state(container: Container) -> dict[str, Any]:
    code, output = container.exec_run(["cat", f"{FOLDER}/state.json"])
    assert isinstance(output, bytes)
    data: dict[str, Any] = json.loads(output) if code == 0 else {"phase": "none", "boot": {}}
    return data


def ready(container: Container, after: str | None = None) -> dict[str, Any]:
    """The state once everything is ready in another start than `after`; until then an empty one."""
    data = state(container)
    return data if data["phase"] == "ready" and data["boot"].get("id") != after else {}


def took(data: dict[str, Any]) -> tuple[float, float]:
    """Seconds from the start to the app, and of those the app's own."""
    app = data["services"][0]
    return app["ready_at"] - data["boot"]["started"], app["ready_at"] - app["started"]


def memory(container: Container) -> float:
    """MB of the runner's resident memory, at its peak."""
    _, output = container.exec_run(["sh", "-c", "cat /proc/$(pgrep -f '[/]opt/firstlight run' | head -n 1)/status"])
    assert isinstance(output, bytes)
    peak = next(line for line in output.decode().splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024 / 1e6


def chain(container: Container) -> float:
    """Start → app of the last start, over what its critical chain took: stages and the app, by the runner's events."""
    code, output = container.exec_run(["cat", f"{FOLDER}/events.ndjson"])
    assert code == 0 and isinstance(output, bytes)
    past = history.of(json.loads(line) for line in output.splitlines())
    return ready_at(past) / sum(past.took(key) for key in past.critical)


def first_start(client: docker.DockerClient, tag: str, origin: Origin) -> float:
    """`chain` of a start on an empty workspace."""
    with whole(client, tag, origin) as container:
        until(lambda: ready(container), within=300, every=0.5, what="a first start")
        return chain(container)


def measure() -> Section:
    client, tag = daemon.connect(), image()
    with hub() as origin, whole(client, tag, origin) as container:
        origin.limit(float(RATE) * 1e6)
        first = until(lambda: ready(container), within=300, every=0.5, what="the first start")
        cold, peak, ratios = took(first)[0], memory(container), [chain(container)]
        origin.limit(None)
        until(lambda: all(s["state"] in ENDED for s in state(container)["stages"]), within=60, what="all files")
        before = origin.sent()
        container.restart()
        second = until(lambda: ready(container, first["boot"]["id"]), within=120, every=0.2, what="the second start")
        fetched = origin.sent() - before
        origin.limit(float(RATE) * 1e6)
        ratios += [first_start(client, tag, origin) for _ in range(ROUNDS - 1)]
    whole_time, own = took(second)
    compiled = [s["id"] for s in second["stages"] if s["kind"] != "models" and not s["message"].startswith("kept")]
    section = Section(
        "A second start",
        f"The demo in a container over a link of {RATE} MB/s, first on an empty workspace, then again; {ROUNDS} first "
        "starts for the chain.",
        ["start", "start → app", "bytes fetched", "stages run"],
        [
            ["first", f"{cold:.1f} s", f"{before / 1e6:.0f} MB", str(len(first["stages"]))],
            ["second", f"{whole_time:.1f} s", f"{fetched} B", str(len(compiled))],
        ],
    )
    section.verdicts += [
        ("first start → app ÷ its critical chain", spread(ratios, "×", 3), "≤ 1.05", statistics.median(ratios) <= 1.05),
        ("bytes fetched again", f"{fetched}", "0", fetched == 0),
        ("environments made or kernels compiled again", f"{len(compiled)}", "0", not compiled),
        ("second start, beyond the app's own", f"{whole_time - own:.1f} s", "≤ 2 s", whole_time - own <= 2),
        ("the runner's memory at its peak", f"{peak:.0f} MB", "< 80 MB", peak < 80),
    ]
    return section
