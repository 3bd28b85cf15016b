"""The scheduler: tables of what may start when."""

from __future__ import annotations

import pytest

from init import standing
from init.eta import simulate, until_ready
from init.graph import Graph, Node, NodeStatus, order
from init.plan import Need, Resource


def graph(needs: dict[str, str], limits: dict[Resource, int] | None = None, uses: Resource | None = None) -> Graph:
    """Nodes by name with their needs as words; `?` marks a soft one."""
    nodes = {
        name: Node(name, tuple(Need(word.removesuffix("?"), word.endswith("?")) for word in words.split()), uses)
        for name, words in needs.items()
    }
    return Graph(nodes, limits or {"cpu": 9})


DIAMOND = {"a": "", "b": "a", "c": "a", "d": "b c"}


@pytest.mark.parametrize(
    ("needs", "ended", "ready", "blocked"),
    [
        (DIAMOND, {}, ["a"], []),
        (DIAMOND, {"a": "done"}, ["b", "c"], []),
        (DIAMOND, {"a": "done", "b": "done"}, ["c"], []),
        (DIAMOND, {"a": "done", "b": "done", "c": "done"}, ["d"], []),
        (DIAMOND, {"a": "failed"}, [], ["b", "c", "d"]),
        (DIAMOND, {"a": "done", "b": "failed"}, ["c"], ["d"]),
        (DIAMOND, {"a": "degraded", "b": "skipped"}, ["c"], []),
        ({"a": "", "b": "a?"}, {"a": "failed"}, ["b"], []),
        ({"a": "", "b": "a?"}, {}, ["a"], []),
        ({"a": "", "b": "a", "c": "b?"}, {"a": "failed"}, ["c"], ["b"]),
        ({"a": "", "b": "a?", "c": "a"}, {"a": "skipped"}, ["b", "c"], []),
        ({"a": "", "service:x": "a", "b": "service:x"}, {"a": "done"}, ["service:x"], []),
        ({"a": "", "service:x": "a", "b": "service:x"}, {"a": "failed"}, [], ["service:x", "b"]),
    ],
)
def test_what_may_start(
    needs: dict[str, str], ended: dict[str, NodeStatus], ready: list[str], blocked: list[str]
) -> None:
    plan = graph(needs)
    noted = [name for key, state in ended.items() for name in plan.ended(key, state)]
    assert plan.ready() == ready
    assert noted == blocked
    assert [name for name, state in plan.state.items() if state == "blocked"] == sorted(blocked, key=list(needs).index)


def test_limits_count_what_runs_and_what_is_chosen() -> None:
    plan = graph(dict.fromkeys("abcd", ""), {"cpu": 3}, "cpu")
    plan.started("a")
    assert plan.ready() == ["b", "c"]
    plan.started("b")
    plan.started("c")
    assert plan.ready() == []
    plan.ended("a", "failed")
    assert plan.ready() == ["d"]


def test_the_longest_chain_to_a_service_goes_first() -> None:
    nodes = {
        "free": Node("free", (), "cpu", 500.0),
        "short": Node("short", (), "cpu", 5.0),
        "long": Node("long", (), "cpu", 5.0),
        "longer": Node("longer", (Need("long"),), "cpu", 50.0),
        "service:app": Node("service:app", (Need("short"), Need("longer", soft=True))),
    }
    assert Graph(nodes, {"cpu": 9}).ready() == ["long", "short", "free"]
    assert Graph(nodes, {"cpu": 1}).ready() == ["long"]


def test_a_retry_frees_what_the_failure_blocked() -> None:
    plan = graph({"a": "", "b": "a", "c": "b", "x": "", "d": "c x"})
    plan.ended("a", "failed")
    plan.ended("x", "failed")
    assert plan.reset("a") == ["a", "b", "c"]
    assert plan.ready() == ["a"]
    assert plan.state["d"] == "blocked"
    assert plan.cause("d") == "x"


def test_a_retry_of_something_done_takes_what_was_made_on_it_along() -> None:
    plan = graph({"env": "", "nodes": "env", "soft": "env?", "service:app": "nodes", "other": ""})
    for name in plan.nodes:
        plan.ended(name, "done")
    assert plan.reset("env", dependents=True) == ["env", "nodes"]
    assert plan.state["service:app"] == "done"


def test_cause_and_dependents_follow_hard_needs() -> None:
    plan = graph({"a": "", "b": "a", "c": "b", "d": "a?"})
    plan.ended("a", "failed")
    assert plan.cause("c") == "a"
    assert plan.dependents("a") == ["b", "c"]


def test_a_circle_is_named() -> None:
    with pytest.raises(ValueError, match=r"needs go round in a circle: \w => \w => \w"):
        order({name: Node(name, (Need(need),)) for name, need in {"a": "b", "b": "a"}.items()})


def test_the_same_scheduler_predicts() -> None:
    plan = graph({"a": "", "b": "a", "c": "a", "service:s": "b c"}, {"cpu": 1}, "cpu")
    spans = simulate(plan, {"a": 1.0, "b": 2.0, "c": 4.0, "service:s": 1.0})
    assert spans["service:s"].end == 8.0
    assert plan.state["a"] == "waiting"
    plan.limits = {"cpu": 2}
    assert until_ready(plan, {"a": 1.0, "b": 2.0, "c": 4.0, "service:s": 1.0}) == 6.0


@pytest.mark.parametrize(
    ("known", "expected"),
    [({"a": 1.0, "b": 2.0, "service:s": 1.0}, 4.0), ({"a": 1.0, "service:s": 1.0}, None), ({"a": 1.0, "b": 2.0}, None)],
)
def test_an_unknown_duration_on_the_way_makes_the_end_unknown(known: dict[str, float], expected: float | None) -> None:
    assert until_ready(graph({"a": "", "b": "a", "unrelated": "", "service:s": "b"}), known) == expected


def test_nothing_is_left_once_services_are_ready() -> None:
    plan = graph({"a": "", "service:s": ""})
    plan.ended("service:s", "done")
    assert until_ready(plan, {}) == 0.0


def test_forty_stages_end_within_the_critical_path() -> None:
    needs = {f"s{n}": " ".join(f"s{n - 8 * back}" for back in (1, 2) if n >= 8 * back) for n in range(40)}
    plan = graph({**needs, "service:app": "s39"})
    seconds = {f"s{n}": 1.0 + n % 3 for n in range(40)} | {"service:app": 1.0}
    longest: dict[str, float] = {}
    for name in order(plan.nodes):
        longest[name] = seconds[name] + max((longest[need.id] for need in plan.nodes[name].needs), default=0.0)
    assert until_ready(plan, seconds) == longest["service:app"]


@pytest.mark.parametrize("text", ["", "cpu", "cpu=", "cpu=\u00b2", "cpu=-1", "cpu=many;net=x", "disk=0.5"])
def test_limits_that_are_none_change_nothing(text: str) -> None:
    assert standing.limits({"FIRSTLIGHT_LIMITS": text}) == standing.limits({})


def test_limits_are_taken_as_they_are_given() -> None:
    assert standing.limits({"FIRSTLIGHT_LIMITS": "cpu=7,net=0"}) == {**standing.limits({}), "cpu": 7, "net": 1}
