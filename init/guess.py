"""How long something may take that was never timed here: judged by what it has to do."""

from __future__ import annotations

import re
from collections.abc import Mapping

from init.graph import SERVICE
from init.plan import Plan, Stage
from init.specs import GitSpec, KernelSpec, NodesSpec, PythonSpec

Guess = tuple[float, float]
"""Least and most seconds."""
KINDS: Mapping[str, Guess] = {
    "gpu": (0.1, 3.0),
    "python": (1.0, 60.0),
    "git": (0.5, 40.0),
    "nodes": (3.0, 300.0),
    "kernel": (1.0, 60.0),
    "command": (0.2, 120.0),
    "notebook": (0.1, 20.0),
    "service": (1.0, 60.0),
}
"""Of a stage of each kind, and of a service, with nothing heavy in it."""
HEAVY = frozenset({"torch", "tensorflow", "jax", "vllm", "cupy"})
"""Packages that bring gigabytes with them."""
GIGABYTES: Guess = (15.0, 300.0)
SHIPPED: Guess = (0.1, 5.0)
"""Code that lies in the image."""
FOR_GPU: Guess = (45.0, 1200.0)
"""A kernel that a CUDA compiler makes."""
PREBUILT = 3.0
"""Least seconds of one that may be there as a wheel."""
A_NODE: Guess = (0.5, 20.0)


def of(plan: Plan) -> dict[str, Guess]:
    """By stage id and `service:ID`. What a stage or service may take at most is not exceeded."""
    found = {}
    for stage in plan.stages:
        least, most = _stage(stage)
        most = min(most, stage.within)
        found[stage.id] = min(least, most), most
    for service in plan.services:
        least, most = KINDS["service"]
        most = min(most, service.ready.within) if service.ready is not None else most
        found[SERVICE + service.id] = min(least, most), most
    return found


def _stage(stage: Stage) -> Guess:
    spec = stage.spec
    if isinstance(spec, KernelSpec) and spec.arch:
        return (PREBUILT if spec.wheels else FOR_GPU[0]), FOR_GPU[1]
    if isinstance(spec, PythonSpec) and any(_name(package) in HEAVY for package in spec.packages):
        return GIGABYTES
    if isinstance(spec, GitSpec) and spec.code.git is None:
        return SHIPPED
    if isinstance(spec, NodesSpec):
        count = max(1, len(spec.nodes))
        return count * A_NODE[0], KINDS["nodes"][0] + count * A_NODE[1]
    return KINDS.get(stage.kind, KINDS["command"])


def _name(package: str) -> str:
    """`torch` of `torch==2.11.0+cu128`."""
    found = re.match(r"[A-Za-z0-9._-]+", package)
    return found[0].lower() if found else ""
