"""The order of things: which stage or service may start now, and what a failure blocks.

A state machine over ids. It knows no threads, no clock and no files, so the same code that runs a start also predicts
one. A service is a node `service:ID` that counts as done once it is ready.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from init.plan import Need, Plan, Resource

NodeStatus = Literal["waiting", "running", "done", "skipped", "degraded", "failed", "blocked"]

SERVICE = "service:"
SATISFIES: frozenset[str] = frozenset({"done", "skipped", "degraded"})
ENDED: frozenset[str] = SATISFIES | {"failed", "blocked"}
LIMITS: dict[Resource, int] = {"cpu": 4, "net": 8, "disk": 4}


@dataclass(frozen=True)
class Node:
    id: str
    needs: tuple[Need, ...] = ()
    uses: Resource | None = None
    """None: it takes no share of a limited resource (services; model sets, which the fetcher bounds itself)."""
    weight: float = 1.0
    """About how many seconds it takes: only its ratio to others matters."""

    @property
    def is_service(self) -> bool:
        return self.id.startswith(SERVICE)


@dataclass
class Graph:
    nodes: dict[str, Node]
    limits: Mapping[Resource, int] = field(default_factory=lambda: dict(LIMITS))
    state: dict[str, NodeStatus] = field(default_factory=dict)
    priority: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Greater starts first: whether a service waits for it, then the weight of the longest chain that it begins."""

    held: set[str] = field(default_factory=set)
    """Do not start before they are released."""

    def __post_init__(self) -> None:
        for node in self.nodes.values():
            self.state.setdefault(node.id, "waiting")
        if not self.priority:
            self.priority = priorities(self.nodes)

    def copy(self) -> Graph:
        return Graph(self.nodes, self.limits, dict(self.state), self.priority, set(self.held))

    def hold(self, id: str) -> None:
        """Do not start `id`, even where it runs now, until `release`."""
        self.held.add(id)
        self.state[id] = "waiting"

    def release(self, id: str) -> None:
        self.held.discard(id)

    def unmet(self, id: str) -> list[str]:
        """Ids that `id` still waits for."""
        return [need.id for need in self.nodes[id].needs if not self._holds(need)]

    def ready(self) -> list[str]:
        """What may start now, most urgent first, within the limits; as many as can start together."""
        free = {kind: limit - len(self._running(kind)) for kind, limit in self.limits.items()}
        chosen = []
        for node in sorted(self._waiting(), key=lambda node: self.priority[node.id], reverse=True):
            if not all(self._holds(need) for need in node.needs):
                continue
            if node.uses is not None:
                if free.get(node.uses, 1) <= 0:
                    continue
                free[node.uses] = free.get(node.uses, 1) - 1
            chosen.append(node.id)
        return chosen

    def started(self, id: str) -> None:
        self.state[id] = "running"

    def ended(self, id: str, state: NodeStatus) -> list[str]:
        """Note how `id` ended; the ids that are blocked by it now."""
        self.held.discard(id)
        self.state[id] = state
        return self._block()

    def reset(self, id: str, *, dependents: bool = False) -> list[str]:
        """Let `id` run again, and what it had blocked; with `dependents` also stages that were made on top of it.

        Services that run are left alone. Returns the ids that wait again.
        """
        again = [id]
        for other in again:
            again += [
                node.id
                for node in self.nodes.values()
                if node.id not in again
                and any(need.id == other and not need.soft for need in node.needs)
                and (self.state[node.id] == "blocked" or (dependents and not node.is_service and self._over(node.id)))
            ]
        for other in again:
            self.state[other] = "waiting"
            self.held.discard(other)
        self._block()
        return [other for other in again if self.state[other] == "waiting"]

    def cause(self, id: str) -> str | None:
        """The failed node because of which `id` is blocked."""
        for need in self.nodes[id].needs:
            state = self.state.get(need.id)
            if need.soft:
                continue
            if state == "failed":
                return need.id
            if state == "blocked":
                return self.cause(need.id)
        return None

    def dependents(self, id: str) -> list[str]:
        """Everything that hard-needs `id`, directly or not, in the plan's order."""
        found = {id}
        for _ in self.nodes:
            more = {n.id for n in self.nodes.values() if any(need.id in found and not need.soft for need in n.needs)}
            if more <= found:
                break
            found |= more
        return [node for node in self.nodes if node in found and node != id]

    def with_needs(self, ids: Iterable[str]) -> list[str]:
        """These and all that they need, hard or soft, directly or not, in the plan's order."""
        found = set(ids)
        rest = list(found)
        for key in rest:
            more = [need.id for need in self.nodes[key].needs if need.id in self.nodes and need.id not in found]
            found.update(more)
            rest += more
        return [node for node in self.nodes if node in found]

    def _holds(self, need: Need) -> bool:
        state = self.state.get(need.id, "done")
        return state in ENDED if need.soft else state in SATISFIES

    def _over(self, id: str) -> bool:
        return self.state[id] in ("done", "degraded", "failed")

    def _waiting(self) -> list[Node]:
        return [n for n in self.nodes.values() if self.state[n.id] == "waiting" and n.id not in self.held]

    def _running(self, kind: Resource) -> list[str]:
        return [node.id for node in self.nodes.values() if node.uses == kind and self.state[node.id] == "running"]

    def _block(self) -> list[str]:
        blocked: list[str] = []
        while True:
            more = [
                node.id
                for node in self._waiting()
                if any(not n.soft and self.state.get(n.id) in ("failed", "blocked") for n in node.needs)
            ]
            if not more:
                return blocked
            self.state.update(dict.fromkeys(more, "blocked"))
            blocked += more


def of(plan: Plan, limits: Mapping[Resource, int] | None = None, weights: Mapping[str, float] | None = None) -> Graph:
    """The graph of a plan; `weights` are known durations by node id."""
    known = weights or {}
    nodes = {
        stage.id: Node(
            stage.id,
            tuple(stage.needs),
            None if stage.kind == "models" else stage.uses,
            known.get(stage.id, _GUESS[stage.kind]),
        )
        for stage in plan.stages
    }
    for service in plan.services:
        name = SERVICE + service.id
        nodes[name] = Node(name, tuple(service.needs), None, known.get(name, 10.0))
    return Graph(nodes, limits or LIMITS)


_GUESS: Mapping[str, float] = {
    "gpu": 1.0,
    "python": 90.0,
    "git": 10.0,
    "nodes": 120.0,
    "kernel": 600.0,
    "models": 300.0,
    "command": 30.0,
    "notebook": 5.0,
}


def priorities(nodes: Mapping[str, Node]) -> dict[str, tuple[int, float]]:
    """For every node: whether a service comes of it, and the weight of the heaviest chain from it on."""
    after: dict[str, list[str]] = {name: [] for name in nodes}
    for node in nodes.values():
        for need in node.needs:
            after.setdefault(need.id, []).append(node.id)
    found: dict[str, tuple[int, float]] = {}
    for name in reversed(order(nodes)):
        tails = [found[later] for later in after[name] if later in found]
        service, weight = max(tails, default=(0, 0.0))
        found[name] = (max(service, int(nodes[name].is_service)), weight + nodes[name].weight)
    return found


def order(nodes: Mapping[str, Node]) -> list[str]:
    """Ids, each after what it needs. Raises ValueError with the path of a cycle."""
    from graphlib import CycleError, TopologicalSorter

    sorter = TopologicalSorter({node.id: [n.id for n in node.needs if n.id in nodes] for node in nodes.values()})
    try:
        return list(sorter.static_order())
    except CycleError as error:
        path: Iterable[str] = error.args[1]
        raise ValueError(f"needs go round in a circle: {' => '.join(reversed(list(path)))}") from None
