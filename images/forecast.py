"""The verb `plan`: how long a start will take, before anything is rented.

The runner's own scheduler is played forward, with the sizes in the lock for what is fetched, and with the runner's
guesses for what nobody has timed. Pure, but for printing.
"""

from __future__ import annotations

import json as jsons
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from images import planning
from images.variables import given
from init import eta, graph, guess, history, lines, selection, timeline
from init.fetch.workers import Tuning
from init.graph import SERVICE
from init.plan import Plan, Stage
from init.specs import FileSpec, KernelSpec, ModelsSpec
from manifests.trouble import told

if TYPE_CHECKING:
    from manifests.load import Loaded
    from manifests.lock import Lock

GOODPUT = 0.97
"""Of a link, what is left for files: measured (docs/benchmarks.md)."""
UNKNOWN = (1e7, 2e9)
"""Least and most bytes that a file is taken for whose size nobody has looked up."""
AT_ONCE = Tuning.big_at_once
CORES = 16
"""For as many the guesses about compilers are made."""


@dataclass(frozen=True)
class Content:
    """What is fetched once, however many sets have it."""

    least: float
    most: float
    """Bytes."""
    required: bool
    needed: bool
    """The app waits for it."""
    known: bool
    """Its size is."""


@dataclass(frozen=True)
class Forecast:
    title: str
    net: float
    """Bytes per second."""
    cores: int
    contents: list[Content]
    least: dict[str, eta.Span]
    most: dict[str, eta.Span]
    middle: history.History
    problems: list[str]

    def ready(self, key: str) -> tuple[float, float]:
        """Least and most seconds until it has ended."""
        return self.least[key].end, self.most[key].end

    def size(self, needed: bool = False) -> tuple[float, float]:
        """Least and most bytes of models; `needed`: those alone that the app waits for."""
        contents = [content for content in self.contents if content.needed or not needed]
        return sum(content.least for content in contents), sum(content.most for content in contents)

    @property
    def unknown(self) -> int:
        """Files whose size is not known."""
        return sum(not content.known for content in self.contents)

    @property
    def over(self) -> tuple[float, float]:
        """Least and most seconds until nothing is left to do."""
        least, most = (max((span.end for span in spans.values()), default=0.0) for spans in (self.least, self.most))
        return least, most


def forecast(plan: Plan, net: float, cores: int, environ: Mapping[str, str]) -> Forecast:
    """`net` in bytes per second; `environ` may choose model sets as it does in a container."""
    selected = selection.select(plan, environ)
    order = graph.of(plan)
    chosen = [
        stage for stage in plan.stages if isinstance(stage.spec, ModelsSpec) and stage.spec.set in selected.chosen
    ]
    contents = _contents(plan, chosen)
    durations = guess.of(plan)
    for each in plan.stages:
        if each.at == "build":
            durations[each.id] = guess.SHIPPED
        elif isinstance(each.spec, KernelSpec) and each.spec.arch:
            most = min(each.within, durations[each.id][1] * max(0.5, CORES / cores))
            durations[each.id] = durations[each.id][0] * max(0.5, CORES / cores), most
        elif isinstance(each.spec, ModelsSpec) and each.spec.set not in selected.chosen:
            order.ended(each.id, "skipped")
    ends = [_arrivals(contents, net * GOODPUT, most) for most in (False, True)]
    for each in chosen:
        keys = _keys(each)
        durations[each.id] = (
            max((ends[0][key] for key in keys), default=0),
            max((ends[1][key] for key in keys), default=0),
        )
    fastest = eta.simulate(order, {key: bounds[0] for key, bounds in durations.items()})
    slowest = eta.simulate(order, {key: bounds[1] for key, bounds in durations.items()})
    middle = eta.simulate(order, {key: eta.Bounds(*bounds).middle for key, bounds in durations.items()})
    past = _history(plan, middle)
    return Forecast(plan.title, net, cores, list(contents.values()), fastest, slowest, past, selected.problems)


def _keys(stage: Stage) -> dict[str, FileSpec]:
    """Files of a set by what they hold."""
    assert isinstance(stage.spec, ModelsSpec)
    return {file.sha256 or file.url: file for file in stage.spec.files}


def _contents(plan: Plan, chosen: list[Stage]) -> dict[str, Content]:
    """In the order in which the fetcher gives them the link."""
    waited = {need.id for service in plan.services for need in service.needs}
    found: dict[str, Content] = {}
    for required in (True, False):
        for stage in chosen:
            if not isinstance(stage.spec, ModelsSpec) or stage.spec.required is not required:
                continue
            fresh = {key: file for key, file in _keys(stage).items() if key not in found}
            for key, file in sorted(fresh.items(), key=lambda item: -(item[1].size or 0)):
                least, most = UNKNOWN if file.size is None else (file.size, file.size)
                found[key] = Content(least, most, required, stage.id in waited, file.size is not None)
    return found


def _arrivals(contents: Mapping[str, Content], net: float, most: bool) -> dict[str, float]:
    """Seconds until each content is here, when a few at a time share the link, in order."""
    left, ends, moving, now = list(contents), dict[str, float](), dict[str, float](), 0.0
    while left or moving:
        while left and len(moving) < AT_ONCE:
            content = contents[left[0]]
            if not content.required and any(contents[key].required for key in moving):
                break
            moving[left.pop(0)] = content.most if most else content.least
        step = min(moving.values())
        now += step * len(moving) / net
        ends |= {key: now for key, size in moving.items() if size <= step}
        moving = {key: size - step for key, size in moving.items() if size > step}
    return ends


def _history(plan: Plan, spans: Mapping[str, eta.Span]) -> history.History:
    needs = {stage.id: [need.id for need in stage.needs] for stage in plan.stages}
    needs |= {SERVICE + service.id: [need.id for need in service.needs] for service in plan.services}
    past = history.History("", plan.title, 0.0, needs)
    past.spans = [history.Span(key, span.start, span.end, "done") for key, span in spans.items()]
    past.last = max((span.end for span in spans.values()), default=0.0)
    past.critical = history.critical(past)
    return past


def run_plan(
    loaded: Loaded, lock: Lock, net: float, cores: int, environ: Mapping[str, str], *, env: Sequence[str], json: bool
) -> int:
    """Exit code: 1 when `env` is none. `net` is in bytes per second."""

    def foretell() -> int:
        found = forecast(planning.plan(loaded, lock), net, cores, given(env, environ))
        print(
            jsons.dumps(data(found), indent=1) if json else text(found, min(140, get_terminal_size((100, 24)).columns))
        )
        return 0

    return told(foretell)


def data(found: Forecast) -> dict[str, object]:
    services = {key: span for key, span in found.least.items() if key.startswith(SERVICE)}
    return {
        "title": found.title,
        "net_bps": round(found.net),
        "cores": found.cores,
        "services": {key.removeprefix(SERVICE): list(found.ready(key)) for key in services},
        "over": list(found.over),
        "bytes_needed": [round(size) for size in found.size(True)],
        "bytes_total": [round(size) for size in found.size()],
        "unknown_files": found.unknown,
        "critical": found.middle.critical,
        "spans": {key: {"least": [a.start, a.end], "most": [b.start, b.end]}
                  for key, a in found.least.items() if (b := found.most.get(key)) is not None},
        "problems": found.problems,
    }  # fmt: skip


def text(found: Forecast, width: int) -> str:
    """Sentences first, then the bars of a start between the fastest and the slowest."""
    speed = found.net * 8 / 1e9
    out = [f"{found.title}: a start on {found.cores} cores and a link of {speed:.3g} Gbit/s, as foreseen", ""]
    out.append("JupyterLab  within seconds")
    for key in found.least:
        if key.startswith(SERVICE):
            out.append(f"{key.removeprefix(SERVICE):<11} {_between(*found.ready(key))}")
    out.append(f"everything  {_between(*found.over)}")
    if found.contents:
        out.append(f"models      {_amount(*found.size())}, of which the app waits for {_amount(*found.size(True))}")
    if found.unknown:
        out.append(f"            the sizes of {found.unknown} files are not known: `lock` looks them up")
    if found.middle.spans:
        out += ["", timeline.bars(found.middle, width)]
    out += [f"note: {problem}" for problem in found.problems]
    return "\n".join(out).rstrip()


def _between(least: float, most: float) -> str:
    low, high = lines.about(least), lines.about(most)
    return f"in about {low}" if low == high else f"in {low} to {high}"


def _amount(least: float, most: float) -> str:
    low, high = lines.size(least), lines.size(most)
    return low if low == high else f"{low} to {high}"
