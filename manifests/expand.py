"""What a manifest's short forms mean: stages and their needs, files of a set, ports. Pure; the checks and the planner
share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from manifests import desktop
from manifests.addresses import hub_address
from manifests.environments import Conda
from manifests.model import Manifest, Service
from manifests.modelsets import ModelFile, ModelSet
from manifests.origins import Node

MICROMAMBA = "https://github.com/mamba-org/micromamba-releases/releases/download"
"""Where its authors put the program that makes conda environments, for each release."""

Kind = Literal["python", "git", "nodes", "kernel", "models", "command", "notebook"]
Where = tuple[str | int, ...]


class Need(NamedTuple):
    """A stage id, or `service:ID`; a soft one must only have ended."""

    id: str
    soft: bool = False


class UnknownNeed(Exception):
    """`needs` names what is not there."""


@dataclass(frozen=True)
class StageEntry:
    """A stage, and the manifest entry that it stands for."""

    id: str
    kind: Kind
    needs: list[Need]
    at: Literal["start", "build"]
    where: Where
    """Path of the entry in the manifest."""


class File(NamedTuple):
    """One model file. `destination` is below the models folder; `revision` only for `hf://owner/repo/path`."""

    url: str
    revision: str | None
    destination: str
    size: int | None
    sha256: str | None


def micromamba(conda: Conda) -> str:
    """Address of the program that makes conda environments, of the release that the manifest names."""
    return f"{MICROMAMBA}/{conda.micromamba}/micromamba-linux-64"


def stages(manifest: Manifest) -> list[StageEntry]:
    """Every stage with the ids it needs, in the manifest's order. Unknown needs are passed over (see `checks`)."""
    made: list[StageEntry] = []

    def add(name: str, kind: Kind, needs: list[Need], at: str | None, where: Where) -> None:
        bakes = (at or manifest.at) == "build" and kind not in ("models", "notebook")
        when: Literal["start", "build"] = "build" if bakes else "start"
        made.append(StageEntry(name, kind, needs, when, where))

    for name, env in manifest.python.envs.items():
        add(name, "python", [], env.at, ("python", "envs", name))
    for name, source in manifest.sources.items():
        add(name, "git", needs(manifest, source.needs), source.at, ("sources", name))
        if source.env is not None:
            add(f"{name}:packages", "python", [Need(name), Need(source.env)], source.at, ("sources", name))
    if (nodes := manifest.nodes) is not None and nodes.items:
        implied = [*_source(manifest, root(nodes.into)), nodes.env]
        add("nodes", "nodes", needs(manifest, nodes.needs, implied), nodes.at, ("nodes",))
    for name, kernel in manifest.kernels.items():
        add(name, "kernel", needs(manifest, kernel.needs, [kernel.env]), kernel.at, ("kernels", name))
    for name in manifest.models.sets:
        add(f"models:{name}", "models", [], None, ("models", "sets", name))
    for name, command in manifest.commands.items():
        implied = [*([command.env] if command.env else []), *_source(manifest, root(command.cwd or ""))]
        add(name, "command", needs(manifest, command.needs, implied), command.at, ("commands", name))
    if manifest.notebook is not None:
        add("guide", "notebook", [], None, ("notebook",))
    return made


def services(manifest: Manifest) -> dict[str, Service]:
    """Every service: the manifest's own, the first of which is the app, and the desktop's, which nobody writes."""
    return {**manifest.services, **desktop.services(manifest)}


def ports(manifest: Manifest) -> list[int]:
    """Every public port but sshd's: JupyterLab's first, the portal's last."""
    own = [service.port for service in services(manifest).values() if service.port is not None]
    return list(dict.fromkeys([manifest.jupyter.port, *manifest.jupyter.also, *own, manifest.portal.port]))


def service_needs(manifest: Manifest, name: str) -> list[Need]:
    """What a service waits for: what it names, its environment, its source, and (however they end) the kernels that
    add arguments to it."""
    service = services(manifest)[name]
    implied = [service.env] if service.env else []
    if (source := service_source(manifest, name)) is not None:
        implied.append(source)
    implied += [f"{kernel}?" for kernel, spec in manifest.kernels.items() if name in spec.adds]
    return needs(manifest, service.needs, implied)


def needs(manifest: Manifest, written: Sequence[str], implied: Sequence[str] = ()) -> list[Need]:
    """What a manifest wrote and what goes without saying, each stage once, hard if either says so.

    A written `name?` softens an implied need of the same name: the author knows better. Unknown names are passed over.
    """
    softened = {name.removesuffix("?") for name in written if name.endswith("?")}
    hard: dict[str, bool] = {}
    for text in [*(name for name in implied if name not in softened), *written]:
        try:
            expanded = need(manifest, text)
        except UnknownNeed:
            continue
        for one in expanded:
            hard[one.id] = hard.get(one.id, False) or not one.soft
    return [Need(name, not is_hard) for name, is_hard in hard.items()]


def service_source(manifest: Manifest, service_id: str) -> str | None:
    """The source that a service runs in: its `cwd`'s, else the one with its own name."""
    service: Service = services(manifest)[service_id]
    name = root(service.cwd) if service.cwd is not None else service_id
    return name if name in manifest.sources else None


def need(manifest: Manifest, text: str) -> list[Need]:
    """The ids that one entry of `needs` stands for. Raises UnknownNeed."""
    soft = text.endswith("?")
    name = text.removesuffix("?")
    sets = manifest.models.sets
    if name == "models":
        return [Need(f"models:{one}", soft) for one in sets]
    if name == "models:required":
        return [Need(f"models:{one}", soft) for one, spec in sets.items() if spec.required]
    if name in manifest.sources:
        packages = packages_stage(manifest, name)
        return [Need(name, soft), *([Need(packages, soft)] if packages else [])]
    if name == "nodes" and manifest.nodes is not None:
        return [Need(name, soft)] if manifest.nodes.items else []
    known = (
        name in manifest.python.envs
        or name in manifest.kernels
        or name in manifest.commands
        or (name.startswith("models:") and name.removeprefix("models:") in sets)
        or (name.startswith("service:") and name.removeprefix("service:") in services(manifest))
        or (name.endswith(":packages") and packages_stage(manifest, name.removesuffix(":packages")) is not None)
    )
    if not known:
        raise UnknownNeed(name)
    return [Need(name, soft)]


def needable(manifest: Manifest) -> list[str]:
    """Everything that `needs` may name."""
    sets = manifest.models.sets
    return [
        *manifest.python.envs,
        *manifest.sources,
        *(["nodes"] if manifest.nodes is not None else []),
        *manifest.kernels,
        *manifest.commands,
        *(["models", "models:required"] if sets else []),
        *(f"models:{name}" for name in sets),
        *(f"service:{name}" for name in services(manifest)),
    ]


def packages_stage(manifest: Manifest, source: str) -> str | None:
    """The stage that installs a source's requirements, if it has one."""
    found = manifest.sources.get(source)
    return f"{source}:packages" if found is not None and found.env is not None else None


def root(path: str) -> str:
    """First part of a relative path."""
    return path.partition("/")[0]


def node_name(node: Node) -> str:
    """Folder name of a custom node: its own, else the repository's or the folder's."""
    if node.name:
        return node.name
    return (
        unquote(urlsplit(node.git).path if node.git else str(node.path))
        .rstrip("/")
        .rpartition("/")[2]
        .removesuffix(".git")
    )


def files(model_set: ModelSet) -> list[File]:
    """The set's files with full addresses and destinations, in the manifest's order."""
    return [_file(model_set, ModelFile(path=one) if isinstance(one, str) else one) for one in model_set.files]


def _file(spec: ModelSet, file: ModelFile) -> File:
    folder = f"{spec.to}/" if spec.to else ""
    if file.path is not None:
        inner = f"{spec.under}/{file.path}" if spec.under else file.path
        destination = file.to or folder + file.path
        if spec.hf is not None:
            return File(f"hf://{spec.hf}/{inner}", spec.revision, destination, file.size, file.sha256)
        return File(f"{(spec.url or '').rstrip('/')}/{quote(inner)}", None, destination, file.size, file.sha256)
    url, revision = hub_address(file.url or "")
    name = unquote(url if revision else urlsplit(url).path).rstrip("/").rpartition("/")[2]
    return File(url, revision, file.to or folder + name, file.size, file.sha256)


def _source(manifest: Manifest, name: str) -> list[str]:
    return [name] if name in manifest.sources else []
