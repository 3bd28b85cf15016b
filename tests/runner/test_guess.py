"""What is foreseen of a first start: nothing of it was ever timed here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from init import eta, guess
from init.graph import Graph, Node
from init.headline import headline
from init.plan import Kind, Need, ReadySpec, Stage
from init.specs import Code, GitSpec, KernelSpec, NodeSpec, NodesSpec, PythonSpec, Spec, WheelSpec
from init.state import Boot, ServiceState, Snapshot, StageState
from tests.runner.support import House, command, service

KERNEL = KernelSpec("fast", "app", Code(path="fast"), "probe.py")
ON_GPU = replace(KERNEL, arch=["9.0"])
WHEEL = WheelSpec("https://x.org/fast-1-py3-none-any.whl", "0" * 64)


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        ("kernel", KERNEL, (1.0, 60.0)),
        ("kernel", ON_GPU, (45.0, 1200.0)),
        ("kernel", replace(ON_GPU, wheels=[WHEEL]), (3.0, 1200.0)),
        ("python", PythonSpec("app", packages=["numpy==2", "torchvision"]), (1.0, 60.0)),
        ("python", PythonSpec("app", packages=["torch==2.11.0+cu128"]), (15.0, 300.0)),
        ("git", GitSpec("app", Code(git="https://x.org/app")), (0.5, 40.0)),
        ("git", GitSpec("app", Code(path="demo/app")), (0.1, 5.0)),
        (
            "nodes",
            NodesSpec("app/nodes", "app", [], [], {}, "", [NodeSpec(name, Code(git="x")) for name in "abcd"]),
            (2.0, 83.0),
        ),
    ],
)
def test_what_was_never_timed_is_judged_by_what_it_does(
    tmp_path: Path, kind: Kind, spec: Spec, expected: guess.Guess
) -> None:
    assert guess.of(House(tmp_path, [Stage("a", kind, "A", [], spec)]).plan)["a"] == expected


def test_nothing_is_thought_to_take_longer_than_it_may(tmp_path: Path) -> None:
    stages = [Stage("a", "kernel", "A", [], ON_GPU, within=30.0), command("b", "true", within=5.0)]
    plan = House(tmp_path, stages, [service("app", ["true"], ready=ReadySpec(http="/", within=7.0))]).plan
    assert guess.of(plan) == {"a": (30.0, 30.0), "b": (0.2, 5.0), "service:app": (1.0, 7.0)}


def test_what_was_never_timed_takes_some_of_its_time_again() -> None:
    graph = Graph({"a": Node("a")})
    snapshot = Snapshot("demo", "Demo", Boot("b", 1000.0), stages=[StageState("a", "kernel", "A", [], started=1000.0)])

    def left(passed: float) -> tuple[int, int]:
        found = eta.bounds(graph, snapshot, {}, 1000.0 + passed, {"a": (45.0, 1200.0)})["a"]
        return round(found.least), round(found.most)

    assert left(0.0) == (45, 1200)
    graph.started("a")
    assert [left(passed) for passed in (30.0, 200.0, 900.0, 4000.0)] == [
        (15, 1170), (40, 1000), (180, 300), (800, 1000),
    ]  # fmt: skip


def test_a_first_start_says_at_least_and_why_and_narrows() -> None:
    """The demo with a kernel that nobody has timed: its models still take 15 s."""
    nodes = [Node("kernel"), Node("models"), Node("service:app", (Need("kernel", soft=True), Need("models")))]
    graph = Graph({node.id: node for node in nodes})
    stages = [
        StageState("kernel", "kernel", "Kernel fast", [], "running", started=1000.0),
        StageState("models", "models", "Sketches", [], "running", 1000.0, None, 0, 60_000_000, 4e6),
    ]
    snapshot = Snapshot("demo", "Demo", Boot("b", 0.0), stages=stages, services=[ServiceState("app", "Box", [])])
    graph.started("kernel")
    graph.started("models")
    guesses = {"kernel": (3.0, 1200.0), "service:app": (1.0, 60.0)}

    def told(passed: float) -> str:
        bounds = eta.bounds(graph, snapshot, {}, 1000.0 + passed, guesses)
        snapshot.eta_range = eta.range_until_ready(graph, bounds)
        return headline(snapshot, eta.untimed(graph, snapshot, {}, bounds)).text

    assert told(0.0) == "Box in 15 s or more: Kernel fast for the first time"
    graph.ended("kernel", "done")
    stages[0].state, stages[1].bytes_done = "done", 20_000_000
    assert told(5.0) == "Box in 10 s to 1 min", "what has ended is no longer guessed"
    graph.ended("models", "done")
    graph.started("service:app")
    assert told(15.0) == "Box in up to 1 min"
