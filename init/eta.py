"""When will it be ready: the scheduler played forward with what is known about durations."""

from __future__ import annotations

import heapq
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isinf, sqrt
from pathlib import Path

from init import guess
from init.graph import SERVICE, Graph
from init.state import Snapshot

FILE = "durations.json"
UNKNOWN_SERVICE = 5.0
"""Seconds assumed for a service that was never timed: its part of the wait is small, no estimate at all is worse."""
LINKS = (15e6, 400e6)
"""Bytes per second of a slow and of a fast rented machine's link, before a rate is known."""
AGAIN, GOING = (0.8, 1.4), (0.9, 1.25)
"""What least and most are of a known duration, and of what bytes and rate say."""
LONGER = (0.2, 0.25)
"""What least and most are at least of the time passed: what nobody has timed is hardly over in this moment."""


@dataclass(frozen=True)
class Bounds:
    """Seconds that a node still takes."""

    least: float
    most: float

    @property
    def middle(self) -> float:
        """Between tenfold apart bounds the geometric middle is the fairer guess."""
        return sqrt(max(0.01, self.least) * max(0.01, self.most))


@dataclass(frozen=True)
class Span:
    """Seconds from now."""

    start: float
    end: float


def simulate(graph: Graph, remaining: Mapping[str, float]) -> dict[str, Span]:
    """Play the graph forward on a copy; what is running counts as started now.

    `remaining` has seconds by key; an key without stands for a duration that nobody knows: it, and what hard or soft
    needs it, ends at infinity or is missing from the result.
    """
    graph = graph.copy()
    ends: list[tuple[float, str]] = []
    spans: dict[str, Span] = {}

    def begin(key: str, now: float) -> None:
        spans[key] = Span(now, now + remaining.get(key, inf))
        heapq.heappush(ends, (spans[key].end, key))

    for key, state in graph.state.items():
        if state == "running":
            begin(key, 0.0)
    now = 0.0
    while True:
        for key in graph.ready():
            graph.started(key)
            begin(key, now)
        if not ends or isinf(ends[0][0]):
            return spans
        now, key = heapq.heappop(ends)
        graph.ended(key, "done")


def until_ready(graph: Graph, remaining: Mapping[str, float]) -> float | None:
    """Seconds until every service that can become ready is; None when that is not known, 0 when they are."""
    goals = [key for key in graph.nodes if key.startswith(SERVICE)] or list(graph.nodes)
    left = [key for key in goals if graph.state[key] in ("waiting", "running")]
    if not left:
        return 0.0
    spans = simulate(graph, remaining)
    end = max(spans[key].end if key in spans else inf for key in left)
    return None if isinf(end) else round(end, 1)


def remaining(graph: Graph, snapshot: Snapshot, known: Mapping[str, float], now: float) -> dict[str, float]:
    """Seconds that each unfinished node still takes, as far as its bytes or earlier starts tell. `now` is Unix time."""
    stages = {stage.id: stage for stage in snapshot.stages}
    services = {SERVICE + service.id: service for service in snapshot.services}
    found: dict[str, float] = {}
    for key, state in graph.state.items():
        if state not in ("waiting", "running"):
            continue
        stage = stages.get(key)
        total = known.get(key, UNKNOWN_SERVICE if key in services else None)
        if stage is not None and stage.bytes_total and stage.rate_bps and state == "running":
            found[key] = max(0, stage.bytes_total - (stage.bytes_done or 0)) / stage.rate_bps
        elif total is not None:
            started = (stage or services[key]).started if state == "running" else None
            found[key] = max(total - (now - started), 0.05 * total) if started else total
    return found


def bounds(
    graph: Graph,
    snapshot: Snapshot,
    known: Mapping[str, float],
    now: float,
    guesses: Mapping[str, guess.Guess] | None = None,
) -> dict[str, Bounds]:
    """Least and most seconds that each unfinished node still takes. `now` is Unix time; `guesses` are of what is not
    known."""
    guesses = guesses or {}
    stages = {stage.id: stage for stage in snapshot.stages}
    services = {SERVICE + service.id: service for service in snapshot.services}
    found: dict[str, Bounds] = {}
    for key, state in graph.state.items():
        if state not in ("waiting", "running"):
            continue
        stage = stages.get(key)
        begun = (stage or services[key]).started if state == "running" else None
        elapsed = max(0.0, now - begun) if begun else 0.0
        if stage is not None and stage.bytes_total and state == "running" and stage.rate_bps:
            left = max(0, stage.bytes_total - (stage.bytes_done or 0)) / stage.rate_bps
            found[key] = Bounds(left * GOING[0], left * GOING[1])
            continue
        least_of_passed = 0.0
        if key in known:
            least, most = known[key] * AGAIN[0], known[key] * AGAIN[1]
        elif stage is not None and stage.bytes_total:
            left = stage.bytes_total - (stage.bytes_done or 0)
            least, most, elapsed = left / LINKS[1], left / LINKS[0], 0.0
        else:
            kind = stage.kind if stage is not None else "service"
            least, most = guesses.get(key) or guess.KINDS.get(kind, guess.KINDS["command"])
            least_of_passed = LONGER[0] * elapsed
        found[key] = Bounds(
            max(least - elapsed, 0.05 * least, least_of_passed),
            max(most - elapsed, 0.05 * most, LONGER[1] * elapsed),
        )
    return found


def range_until_ready(graph: Graph, left: Mapping[str, Bounds]) -> list[float] | None:
    """Least and most seconds until every service that can become ready is; None when that is not known."""
    least = until_ready(graph, {key: found.least for key, found in left.items()})
    most = until_ready(graph, {key: found.most for key, found in left.items()})
    return None if least is None or most is None else [least, max(least, most)]


def chain(graph: Graph, left: Mapping[str, float]) -> list[str]:
    """What the last service waits for, in order; empty when nothing is waited for, or it is not known."""
    spans = simulate(graph, left)
    goals = [key for key in spans if key.startswith(SERVICE)] or list(spans)
    if not goals:
        return []
    ends = {key: span.end for key, span in spans.items()}
    needs = {node.id: [need.id for need in node.needs] for node in graph.nodes.values()}
    return critical(ends, needs, max(goals, key=lambda key: ends[key]))


def untimed(graph: Graph, snapshot: Snapshot, known: Mapping[str, float], left: Mapping[str, Bounds]) -> str | None:
    """What makes the wait hard to tell: of the longest chain that may come, the longest that nothing is known about."""
    rates = {stage.id for stage in snapshot.stages if stage.rate_bps}
    may = chain(graph, {key: found.most for key, found in left.items()})
    unknown = [key for key in may if key in left and key not in known and key not in rates]
    return max(unknown, key=lambda key: left[key].most, default=None)


def critical(ends: Mapping[str, float], needs: Mapping[str, list[str]], last: str) -> list[str]:
    """The chain that `last` waited for: always the need that ended last, back to the beginning."""
    chain = [last]
    while True:
        before = [need for need in needs.get(chain[0], []) if need in ends and need not in chain]
        if not before:
            return chain
        chain.insert(0, max(before, key=lambda key: ends[key]))


def read(state: Path) -> dict[str, float]:
    """How long stages and services took on earlier starts, by node key; empty when unknown."""
    try:
        data = json.loads((state / FILE).read_text(encoding="utf-8"))
        return {str(key): float(seconds) for key, seconds in data.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write(state: Path, durations: Mapping[str, float]) -> None:
    """Raises OSError."""
    part = state / f"{FILE}.new"
    part.write_text(json.dumps({key: round(durations[key], 2) for key in sorted(durations)}, indent=1) + "\n", "utf-8")
    part.replace(state / FILE)
