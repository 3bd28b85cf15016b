"""From a manifest, its lock and a layout to the plan: what the runner is told.

Pure, but for the hashes of the files that are shipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from images import shipped, specs
from images.layout import IMAGE, Layout
from init.plan import JupyterSpec, Need, Plan, ReadySpec, Resource, SelectSpec, ServiceSpec, Stage
from init.specs import GpuSpec, Spec
from manifests import cuda, desktop, expand
from manifests.model import Manifest, Service

if TYPE_CHECKING:
    from manifests.load import Loaded
    from manifests.lock import Lock

LOOPBACK = 10_000
"""How far from its public port the program behind it listens."""
SPARE = 20_000
"""Where the search for a loopback port begins when the usual one is taken."""
SCREEN = f"service:{desktop.NAME}"
USES: dict[str, Resource] = {
    "python": "disk",
    "git": "net",
    "nodes": "disk",
    "kernel": "cpu",
    "models": "net",
    "command": "cpu",
    "notebook": "net",
}


def plan(loaded: Loaded, lock: Lock, layout: Layout = IMAGE) -> Plan:
    """The plan. Raises FileNotFoundError for a shipped file that is not there."""
    manifest = loaded.manifest
    models = manifest.models
    return Plan(
        image=manifest.name,
        title=manifest.title or manifest.name,
        revision=lock.revision,
        paths=layout.paths,
        stages=_stages(loaded, lock),
        services=_services(manifest, layout),
        models_into=models.into,
        select=SelectSpec(
            models.select.env,
            {name: [sets] if isinstance(sets, str) else list(sets) for name, sets in models.select.aliases.items()},
        ),
        jupyter=JupyterSpec(layout.port(manifest.jupyter.port), [layout.port(port) for port in manifest.jupyter.also]),
        portal_port=layout.port(manifest.portal.port),
        ssh=manifest.ssh and not layout.local,
        local=layout.local,
    )


def baked(plan: Plan) -> list[Stage]:
    """The stages that the image is built with, each after what it needs."""
    order: list[Stage] = []
    rest = [stage for stage in plan.stages if stage.at == "build"]
    while rest:
        names = {stage.id for stage in rest}
        ready = next((s for s in rest if not names & {need.id for need in s.needs}), None)
        if ready is None:
            raise ValueError(f"a cycle of needs among {', '.join(sorted(names))}")
        order.append(ready)
        rest.remove(ready)
    return order


def excerpt(plan: Plan, stage: Stage) -> Plan:
    """What decides the result of `stage`, and nothing else: whatever else changes, its image layer stays."""
    wanted = [stage.id]
    for name in wanted:
        wanted += [need.id for need in plan.stage(name).needs if need.id not in wanted]
    stages = [other for other in plan.stages if other.id in wanted]
    return Plan(image="", title="", revision="", paths=plan.paths, stages=stages, services=[])


def _stages(loaded: Loaded, lock: Lock) -> list[Stage]:
    manifest = loaded.manifest
    made = specs.Specs(manifest, lock, shipped.origins(loaded))
    stages = _gpu(manifest)
    for entry in expand.stages(manifest):
        name = str(entry.where[-1])
        spec, title, consequence = _content(made, entry, name)
        stage = Stage(
            id=entry.id,
            kind=entry.kind,
            title=title,
            needs=_needs(entry.needs),
            spec=spec,
            at=entry.at,
            uses=USES[entry.kind],
            consequence=consequence,
        )
        if entry.kind == "kernel":
            kernel = manifest.kernels[name]
            stage = replace(stage, attempts=2, within=kernel.within, on_failure=kernel.on_failure)
        elif entry.kind == "command":
            command = manifest.commands[name]
            stage = replace(
                stage,
                uses=command.uses,
                attempts=command.attempts,
                within=command.within,
                on_failure=command.on_failure,
            )
        elif entry.kind == "notebook":
            stage = replace(stage, attempts=1, within=120.0, on_failure="degrade")
        stages.append(stage)
    sets = manifest.models.sets
    stages.sort(key=lambda stage: stage.kind == "models" and not sets[stage.id.removeprefix("models:")].required)
    return _bakeable(stages)


def _gpu(manifest: Manifest) -> list[Stage]:
    """First of all, whether the machine is one that the image was made for."""
    release = cuda.release(manifest)
    if release is None:
        return []
    missing = "What runs on the GPU may not start; JupyterLab and all that is set up do not need it."
    look = GpuSpec(release)
    return [
        Stage(
            "gpu", "gpu", "GPU and driver", [], look, attempts=1, within=90, on_failure="degrade", consequence=missing
        )
    ]


def _content(made: specs.Specs, entry: expand.StageEntry, name: str) -> tuple[Spec, str, str | None]:
    """Spec, title and consequence of a stage."""
    manifest = made.manifest
    match entry.kind:
        case "python" if entry.where[0] == "sources":
            return made.packages(name), f"Packages of {name}", manifest.sources[name].consequence
        case "python":
            return made.python(name), f"Python environment {name}", manifest.python.envs[name].consequence
        case "git":
            return made.source(name), f"Source {name}", manifest.sources[name].consequence
        case "nodes":
            return made.nodes(), "Custom nodes", "Custom nodes are missing: workflows that use them do not load."
        case "kernel":
            return made.kernel(name), f"Kernel {name}", manifest.kernels[name].consequence
        case "models":
            chosen = manifest.models.sets[name]
            return made.models(name), chosen.title or f"Models {name}", chosen.consequence
        case "command":
            return made.command(name), name, manifest.commands[name].consequence
        case "notebook":
            return made.notebook(), "Notebook update", "The notebook that is in the image is used."


def _needs(needs: Iterable[expand.Need]) -> list[Need]:
    return [Need(need.id, need.soft) for need in needs]


def _bakeable(stages: list[Stage]) -> list[Stage]:
    """What needs something of the start (a model, a service) cannot be done before it either."""
    late = {stage.id for stage in stages if stage.at == "start"}
    size = -1
    while size != len(late):
        size = len(late)
        late |= {s.id for s in stages if any(n.id in late or n.id.startswith("service:") for n in s.needs)}
    return [replace(stage, at="start") if stage.id in late else stage for stage in stages]


def _services(manifest: Manifest, layout: Layout) -> list[ServiceSpec]:
    taken = set(expand.ports(manifest))
    found = []
    for name, service in expand.services(manifest).items():
        words = specs.words(service.command)
        needs = _needs(expand.service_needs(manifest, name))
        listen = None
        if service.port is not None or any("{port}" in text for text in [*words, *service.environment.values()]):
            listen = _loopback(service.port, taken)
            taken.add(listen)
        found.append(
            ServiceSpec(
                id=name,
                title=service.title or name,
                command=words,
                needs=needs,
                env=service.env,
                cwd=service.cwd or expand.service_source(manifest, name),
                environment={**_display(needs), **service.environment},
                port=layout.port(service.port) if service.port is not None else None,
                listen=layout.port(listen) if listen is not None else None,
                open=service.open,
                auth=service.auth,
                ready=_ready(service),
                restarts=service.restarts,
            )
        )
    return found


def _display(needs: list[Need]) -> dict[str, str]:
    """Where a service that needs the desktop opens its windows."""
    return {"DISPLAY": desktop.DISPLAY} if any(need.id == SCREEN for need in needs) else {}


def _loopback(public: int | None, taken: set[int]) -> int:
    """A port that nothing else of this image has; the same one whenever the manifest is the same."""
    port = SPARE
    if public is not None:
        port = public + LOOPBACK if public + LOOPBACK < 65_536 else public - LOOPBACK
    while port in taken:
        port = SPARE if port < SPARE else port + 1
    return port


def _ready(service: Service) -> ReadySpec | None:
    ready = service.ready
    return ReadySpec(ready.http, ready.tcp, ready.file, ready.within) if ready is not None else None
