"""Names in a manifest that must exist: in `needs`, environments, sources, services, sets. And circles of needs."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from manifests import expand
from manifests.findings import Findings
from manifests.merge import Path
from manifests.model import Manifest


def check(manifest: Manifest, found: Findings) -> None:
    """Every name that is not there."""
    _environments(manifest, found)
    _sources(manifest, found)
    _services_and_sets(manifest, found)
    for path, text in _needs(manifest):
        _need(manifest, found, path, text)
    _too_early(manifest, found)


def _environments(manifest: Manifest, found: Findings) -> None:
    wanted: list[tuple[Path, str | None]] = [(("sources", n, "env"), s.env) for n, s in manifest.sources.items()]
    wanted += [(("kernels", name, "env"), kernel.env) for name, kernel in manifest.kernels.items()]
    wanted += [(("commands", name, "env"), command.env) for name, command in manifest.commands.items()]
    wanted += [(("services", name, "env"), service.env) for name, service in manifest.services.items()]
    if manifest.nodes is not None:
        wanted.append((("nodes", "env"), manifest.nodes.env))
    known = found.names("python", "envs")
    for path, env in wanted:
        if env is not None and env not in known:
            found.unknown(path, f"there is no environment `{env}`", env, known)


def _sources(manifest: Manifest, found: Findings) -> None:
    wanted: list[tuple[Path, str | None]] = [(("commands", n, "cwd"), c.cwd) for n, c in manifest.commands.items()]
    wanted += [(("services", name, "cwd"), service.cwd) for name, service in manifest.services.items()]
    if manifest.nodes is not None:
        wanted.append((("nodes", "into"), manifest.nodes.into))
    known = found.names("sources")
    for path, folder in wanted:
        if folder is not None and expand.root(folder) not in known:
            text = f"`{folder}` does not start with a source"
            found.unknown(path, text, expand.root(folder), known)


def _services_and_sets(manifest: Manifest, found: Findings) -> None:
    services, sets = found.names("services"), found.names("models", "sets")
    for name, kernel in manifest.kernels.items():
        for service in kernel.adds:
            if service not in services:
                path = ("kernels", name, "adds", service)
                found.unknown(path, f"there is no service `{service}`", service, services, key=True)
    for alias, chosen in manifest.models.select.aliases.items():
        here: Path = ("models", "select", "aliases", alias)
        for index, one in enumerate([chosen] if isinstance(chosen, str) else chosen):
            if one not in sets:
                found.unknown(
                    here if isinstance(chosen, str) else (*here, index), f"there is no set `{one}`", one, sets
                )


def _needs(manifest: Manifest) -> Iterator[tuple[Path, str]]:
    """Every written need with its path."""
    for section in ("sources", "kernels", "commands", "services"):
        for name, entry in getattr(manifest, section).items():
            for index, text in enumerate(entry.needs):
                yield (section, name, "needs", index), text
    if manifest.nodes is not None:
        for index, text in enumerate(manifest.nodes.needs):
            yield ("nodes", "needs", index), text


def _need(manifest: Manifest, found: Findings, path: Path, text: str) -> None:
    try:
        expand.need(manifest, text)
    except expand.UnknownNeed as unknown:
        name = str(unknown)
        section = {"models": ("models", "sets"), "service": ("services",)}.get(name.partition(":")[0], ())
        refused = found.names(*section) if section else []
        refused += [n for s in (("python", "envs"), ("sources",), ("kernels",), ("commands",)) for n in found.names(*s)]
        if name.rpartition(":")[2] in refused or (name == "nodes" and found.written("nodes") is not None):
            return
        if name in found.names("services"):
            found.add(path, f"nothing called `{name}` can be needed", f"a service is `service:{name}`")
        elif name.startswith("service:desktop") and found.written("desktop") is not None:
            return  # the model has refused the desktop, and has said why
        elif name == "service:desktop":
            found.add(path, "there is no desktop to open windows on", "add `desktop: {}` to the manifest")
        elif name in found.names("models", "sets"):
            found.add(path, f"nothing called `{name}` can be needed", f"a set of models is `models:{name}`")
        else:
            found.unknown(path, f"nothing called `{name}` can be needed", name, expand.needable(manifest))


def circles(manifest: Manifest, found: Findings) -> None:
    """Every circle of needs: no parent, which can only add to them, takes one away."""
    graph = {stage.id: {need.id for need in stage.needs} for stage in expand.stages(manifest)}
    for name in expand.services(manifest):
        graph[f"service:{name}"] = {need.id for need in expand.service_needs(manifest, name)}
    written: dict[tuple[str, str], Path] = {}
    for path, text in _needs(manifest):
        who = "nodes" if path[0] == "nodes" else f"service:{path[1]}" if path[0] == "services" else str(path[1])
        try:
            for need in expand.need(manifest, text):
                written.setdefault((who, need.id), path)
        except expand.UnknownNeed:
            continue
    while True:
        try:
            TopologicalSorter(graph).prepare()
            return
        except CycleError as error:
            ring = list(reversed(error.args[1]))
            turn = min(range(len(ring) - 1), key=lambda index: ring[index])
            ring = [*ring[turn:-1], *ring[:turn], ring[turn]]
            pairs = list(pairwise(ring))
            pair = next((p for p in pairs if p in written), pairs[0])
            way = " → ".join(ring)
            found.add(
                written.get(pair, ()), f"needs go in a circle: {way}", f"take `{pair[1]}` out of what `{pair[0]}` needs"
            )
            same = {need for (who, need), path in written.items() if who == pair[0] and path == written.get(pair)}
            graph[pair[0]] -= same | {pair[1]}


def _too_early(manifest: Manifest, found: Findings) -> None:
    """What says `at: build` itself cannot wait for the container's start."""
    stages = {stage.id: stage for stage in expand.stages(manifest)}
    for stage in stages.values():
        path = (*stage.where, "at")
        if found.written(*path) == "build":
            late = [
                n.id
                for n in stage.needs
                if n.id.startswith("service:") or (n.id in stages and stages[n.id].at == "start")
            ]
            if late:
                text = f"`{stage.id}` cannot be built into the image: `{late[0]}` is only there at start"
                found.add(path, text, "let that one say `at: build` too, if it can, or let this one say `at: start`")
