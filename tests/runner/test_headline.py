"""The first line of every view."""

from __future__ import annotations

from typing import Any

import pytest

from init.headline import headline
from init.lines import about
from init.state import Boot, Headline, ServiceState, Snapshot, StageState


def snapshot(service: str = "starting", *stages: StageState, **fields: Any) -> Snapshot:
    return Snapshot(
        "demo",
        "Demo",
        Boot("b", 0.0),
        stages=list(stages),
        services=[ServiceState("app", "Lightbox", [], state=service)],  # type: ignore[arg-type]
        **fields,
    )


def stage(id: str, state: str, **fields: Any) -> StageState:
    return StageState(id, "command", id.title(), [], state=state, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("span", "words"),
    [
        ([350.0, 380.0], "Lightbox in about 6 min"),
        ([240.0, 540.0], "Lightbox in 4 to 9 min"),
        ([30.0, 100.0], "Lightbox in 30 s to 2 min"),
        ([3000.0, 6000.0], "Lightbox in 50 min to 1 h 40 min"),
        ([2.0, 150.0], "Lightbox in up to 2 min"),
        ([20.0, 1500.0], "Lightbox in 20 s or more"),
        ([0.0, 2.0], "Lightbox in about 2 s"),
        (None, "Lightbox is being set up: 1 of 2 steps done"),
    ],
)
def test_a_wait_is_told_as_well_as_it_is_known(span: list[float] | None, words: str) -> None:
    assert headline(snapshot("waiting", stage("a", "done"), stage("b", "running"), eta_range=span)) == Headline(words)


@pytest.mark.parametrize(
    ("untimed", "why"),
    [
        ("a", ": A for the first time"),
        ("m", ": how fast the link is shows soon"),
        ("service:app", ": its start for the first time"),
        ("gone", ""),
    ],
)
def test_what_makes_the_wait_hard_to_tell_is_named(untimed: str, why: str) -> None:
    models = StageState("m", "models", "Models", [], "running")
    found = snapshot("waiting", stage("a", "running"), models, eta_range=[20.0, 1500.0])
    assert headline(found, untimed) == Headline(f"Lightbox in 20 s or more{why}")
    found.eta_range = [20.0, 30.0]
    assert headline(found, untimed) == Headline("Lightbox in about 25 s")


def test_ready() -> None:
    assert headline(snapshot("ready", stage("a", "done"))) == Headline("Lightbox is ready", "ready", None, "app")


def test_ready_without_something() -> None:
    bad = stage("sage", "degraded", message="no GPU", consequence="Slower.", repair="firstlight retry sage")
    told = headline(snapshot("ready", bad))
    assert told == Headline("Lightbox runs without Sage: Slower.", "warning", "firstlight retry sage", "app")
    more = headline(snapshot("ready", bad, stage("b", "failed", repair="firstlight retry b")))
    assert more == Headline("Lightbox runs without Sage and B", "warning", "firstlight retry sage", "app")


def test_on_the_way_without_something() -> None:
    bad = stage("sage", "failed", message="no GPU", repair="firstlight retry sage")
    told = headline(snapshot("waiting", bad, eta_range=[60.0, 70.0]))
    assert told == Headline("Lightbox in about 1 min, without Sage", "warning", "firstlight retry sage")


def test_what_cannot_start_names_its_cause() -> None:
    bad = stage("env", "failed", message="torch does not install", repair="firstlight retry env")
    found = snapshot("failed", bad)
    found.services[0].repair, found.services[0].message = "firstlight retry env", "cannot start: env failed"
    assert headline(found) == Headline(
        "Lightbox cannot start: Env: torch does not install", "error", "firstlight retry env"
    )
    found.services[0].repair, found.services[0].message = "firstlight retry service:app", "ended at once"
    assert headline(found) == Headline("Lightbox cannot start: ended at once", "error", "firstlight retry service:app")


def test_stopped_by_hand() -> None:
    told = headline(snapshot("stopped"))
    assert told == Headline("Lightbox was stopped", "warning", "firstlight retry service:app")


@pytest.mark.parametrize(
    ("phase", "state", "told"),
    [
        ("starting", "running", Headline("Demo is being set up: 0 of 1 steps done")),
        ("ready", "done", Headline("Everything is set up", "ready")),
        ("degraded", "degraded", Headline("A is missing", "warning", "firstlight retry a")),
        ("failed", "failed", Headline("A is missing", "error", "firstlight retry a")),
    ],
)
def test_without_services_it_is_about_the_whole(phase: Any, state: str, told: Headline) -> None:
    found = snapshot("waiting", stage("a", state, repair="firstlight retry a"), phase=phase)
    found.services = []
    assert headline(found) == told


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "1 s"), (7.4, "7 s"), (33, "35 s"), (58, "1 min"), (3500, "58 min"), (3600, "1 h"), (4900, "1 h 20 min")],
)
def test_seconds_as_one_says_them(seconds: float, words: str) -> None:
    assert about(seconds) == words
