"""What is foreseen, and what choices there are while it runs."""

from __future__ import annotations

import json
from pathlib import Path

from init import control, eta
from init.graph import Graph, Node
from init.plan import Need
from init.state import Boot, Snapshot, StageState
from tests.origin import Origin
from tests.runner.support import House, command
from tests.runner.test_models import models
from tests.waiting import until


def one(kind: str = "command", **fields: object) -> tuple[Graph, Snapshot]:
    stage = StageState("a", kind, "A", [], **fields)  # type: ignore[arg-type]
    return Graph({"a": Node("a")}), Snapshot("demo", "Demo", Boot("b", 0.0), stages=[stage])


def test_an_earlier_start_narrows_them_and_time_passes() -> None:
    graph, snapshot = one(started=90.0)
    graph.started("a")
    found = eta.bounds(graph, snapshot, {"a": 100.0}, 100.0)["a"]
    assert (found.least, found.most) == (70.0, 130.0)
    late = eta.bounds(graph, snapshot, {"a": 100.0}, 1090.0)["a"]
    assert late.least == 4.0 and late.most == 250.0, "what takes longer than ever goes on for a while"


def test_bytes_and_rate_say_most() -> None:
    graph, snapshot = one("models", bytes_done=0, bytes_total=8 * 10**9)
    assert eta.bounds(graph, snapshot, {}, 0.0)["a"] == eta.Bounds(20.0, 8e9 / 15e6)
    graph.started("a")
    snapshot.stages[0].rate_bps = 100e6
    assert eta.bounds(graph, snapshot, {}, 0.0)["a"] == eta.Bounds(72.0, 100.0)


def test_the_chain_that_is_waited_for() -> None:
    nodes = [
        Node("env"), Node("kernel", (Need("env"),)), Node("models"),
        Node("service:app", (Need("kernel", soft=True), Need("models"))),
    ]  # fmt: skip
    graph = Graph({node.id: node for node in nodes})
    left = {"env": 10.0, "kernel": 60.0, "models": 30.0, "service:app": 2.0}
    assert eta.chain(graph, left) == ["env", "kernel", "service:app"]
    assert eta.range_until_ready(graph, {key: eta.Bounds(v, 2 * v) for key, v in left.items()}) == [72.0, 144.0]
    for node in nodes:
        graph.state[node.id] = "done"
    assert eta.chain(graph, {}) == []


def test_a_held_node_does_not_start() -> None:
    graph = Graph({"a": Node("a"), "b": Node("b", (Need("a"),))})
    graph.started("a")
    graph.hold("a")
    assert graph.ready() == [] and graph.unmet("b") == ["a"]
    assert eta.until_ready(graph, {"a": 1.0, "b": 1.0}) is None
    graph.release("a")
    assert graph.ready() == ["a"]


def test_the_state_tells_what_to_expect(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    house = House(
        tmp_path, [command("first", f"until [ -e {gate} ]; do sleep 0.05; done"), command("then", "true", "first")]
    )
    with house.running():
        found = until(
            lambda: (seen := house.snapshot()) and seen.eta_range and seen.stages[1].predicted and seen,
            what="a range, and what was foreseen",
        )
        assert isinstance(found, Snapshot) and found.eta_range is not None
        assert found.eta_range[0] < found.eta_range[1] and 0 < found.progress < 1
        assert found.stages[1].waits_for == ["first"]
        assert found.critical == ["first", "then"]
        foreseen = [stage.predicted for stage in found.stages]
        assert foreseen[0] and foreseen[1] and foreseen[0][1] == foreseen[1][0]
        gate.touch()
        ended = house.until_phase("ready")
        assert ended.progress == 1.0 and ended.critical == [] and ended.headline.text == "Everything is set up"
    assert (
        "foreseen"
        in (drawn := house.firstlight("timeline", "--svg", str(tmp_path / "t.svg"))).stdout
        + (tmp_path / "t.svg").read_text()
    ), drawn.stderr


def test_a_set_is_paused_and_goes_on_where_it_stopped(tmp_path: Path, origin: Origin) -> None:
    origin.limit(1_000_000)
    house = House(tmp_path, [models(origin, "slow", default=True), command("after", "true", "models:slow")])
    with house.running(HF_ENDPOINT=origin.url):
        until(lambda: (house.stage("models:slow").bytes_done or 0) > 2_000_000, within=30)
        origin.limit(200_000)  # it is not to be done before it is paused
        assert "goes on where it stopped" in house.firstlight("models", "pause", "slow").stdout
        house.until({"models:slow": "waiting"})
        assert house.stage("models:slow").message == "paused"
        until(lambda: (found := house.snapshot()) and found.sets and found.sets[0].paused, what="the set's pause")
        assert "paused already" in house.firstlight("models", "pause", "slow").stderr
        origin.limit(4_000_000)
        assert house.firstlight("models", "resume", "slow").stdout == "slow goes on\n"
        house.until({"models:slow": "done", "after": "done"})
        assert "is not paused" in house.firstlight("models", "resume", "slow").stderr
        assert "it is done" in house.firstlight("models", "pause", "slow").stderr
    assert origin.sent() < 6_000_000 + 2_000_000, "what was there is not fetched again"


def test_a_paused_set_can_be_added_retried_and_dropped(tmp_path: Path, origin: Origin) -> None:
    origin.limit(200_000)
    house = House(tmp_path, [models(origin, "slow", default=True)])

    def paused() -> bool | None:
        found = house.snapshot()
        return found.sets[0].paused if found and found.sets else None

    def pause() -> None:
        assert "goes on where it stopped" in house.firstlight("models", "pause", "slow").stdout
        until(lambda: paused() is True, what="the set's pause")

    with house.running(HF_ENDPOINT=origin.url):
        until(lambda: (house.stage("models:slow").bytes_done or 0) > 0, within=30)
        for words in (("models", "add", "slow"), ("retry", "models:slow")):
            pause()
            assert house.firstlight(*words).stdout == "slow goes on\n"
            until(lambda: paused() is False, what="its end")
        pause()
        assert "slow is dropped" in house.firstlight("models", "drop", "slow").stdout
        until(lambda: paused() is False, what="the end of its pause")
        assert "it is skipped" in house.firstlight("models", "resume", "slow").stderr
        assert house.stage("models:slow").message.startswith("dropped")


def test_who_has_asked_for_a_set_sees_it_in_the_next_state(tmp_path: Path, origin: Origin) -> None:
    origin.limit(200_000)
    house = House(tmp_path, [models(origin, "slow", default=True), command("after", "true", "models:slow")])
    run = Path(house.plan.paths.run)

    def after(verb: str) -> tuple[bool, bool]:
        """Selected and paused."""
        control.ask(run, {"do": f"models.{verb}", "set": "slow"})
        slow = json.loads(control.ask(run, {"do": "state"})["state"])["sets"][0]
        return slow["selected"], slow["paused"]

    with house.running(HF_ENDPOINT=origin.url):
        until(lambda: (house.stage("models:slow").bytes_done or 0) > 0, within=30)
        for _ in range(3):  # within a second, which is how often the figures follow by themselves
            assert after("pause") == (True, True)
            assert after("resume") == (True, False)
            assert after("drop") == (False, False)
            assert after("add") == (True, False)


def test_only_files_that_were_read_count_as_verified(tmp_path: Path, origin: Origin) -> None:
    house = House(tmp_path, [models(origin, "extra")])
    for file in house.plan.stages[0].spec.files:  # type: ignore[union-attr]
        place = house.plan.models / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"\0" * (file.size or 0))
    with house.running(HF_ENDPOINT=origin.url):
        until(lambda: (found := house.snapshot()) and found.sets, what="the sets")
        found = house.snapshot()
        assert found is not None
        assert (found.sets[0].bytes_have, found.sets[0].verified) == (found.sets[0].bytes_total, 0)


def test_sets_tell_what_is_here_and_what_does_not_fit(tmp_path: Path, origin: Origin) -> None:
    stages = [models(origin, "base", default=True, required=True), models(origin, "extra", license="https://x.org/l")]
    house = House(tmp_path, stages)
    with house.running(HF_ENDPOINT=origin.url):
        house.until_phase("ready", within=40)
        until(lambda: (found := house.snapshot()) and [s.verified for s in found.sets] == [2, 0], what="the sets")
        found = house.snapshot()
        assert found is not None
        base, extra = found.sets
        assert (base.name, base.stage, base.files, base.bytes_total) == ("base", "models:base", 2, 6_000_000)
        assert (base.selected, base.required, base.bytes_have, base.problem) == (True, True, 6_000_000, None)
        assert (extra.selected, extra.license, extra.bytes_have) == (False, "https://x.org/l", 0)
