"""Things in a manifest that must differ: ids, ports, nodes, packages, folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from manifests import expand
from manifests.findings import Findings
from manifests.merge import Path
from manifests.model import Manifest
from manifests.origins import Source

STAGE_IDS = frozenset({"gpu", "guide", "models", "nodes", "service", "init", "control"})
"""Not for environments, sources, kernels and commands."""
SERVICE_IDS = frozenset({"jupyterlab", "portal", "init", "aria2", "sshd", "supervisord"})
"""Programs of Firstlight's own."""
SET_IDS = frozenset({"all", "none", "required"})
"""Words of `MODEL_SETS` and of `needs`."""
SSH_PORT = 22
WORKSPACE = frozenset({".firstlight", ".cache"})
"""Folders of the workspace that Firstlight keeps for itself."""


def check(manifest: Manifest, found: Findings) -> None:
    """Everything that meets where it must not."""
    _ids(manifest, found)
    _ports(manifest, found)
    _nodes(manifest, found)
    _packages(manifest, found)
    _folders(manifest, found)


def _ids(manifest: Manifest, found: Findings) -> None:
    sections: list[tuple[Path, Iterable[str], frozenset[str]]] = [
        (("python", "envs"), manifest.python.envs, STAGE_IDS),
        (("sources",), manifest.sources, STAGE_IDS),
        (("kernels",), manifest.kernels, STAGE_IDS),
        (("commands",), manifest.commands, STAGE_IDS),
        (("services",), manifest.services, SERVICE_IDS),
        (("models", "sets"), manifest.models.sets, SET_IDS),
    ]
    stages: dict[str, Path] = {}
    for section, names, reserved in sections:
        for name in names:
            path = (*section, name)
            if name in reserved:
                found.add(path, f"the name `{name}` is Firstlight's own", "choose another one", key=True)
            if reserved is STAGE_IDS:
                if name in stages:
                    other = ".".join(map(str, stages[name][:-1]))
                    text = f"`{name}` is a name in `{other}` already"
                    found.add(path, text, "stages are known by these names: choose another one", key=True)
                stages.setdefault(name, path)


def _ports(manifest: Manifest, found: Findings) -> None:
    taken: dict[int, str] = {}
    # Defaults first: they stand nowhere, and the one that is written can be changed.
    for path, port, who in sorted(_public(manifest), key=lambda one: one[0] in found.plain.where):
        if port in taken:
            found.add(path, f"port {port} is taken by {taken[port]}", f"give {who} another one")
        taken.setdefault(port, who)


def _public(manifest: Manifest) -> Iterator[tuple[Path, int, str]]:
    yield ("jupyter", "port"), manifest.jupyter.port, "JupyterLab (`jupyter.port`)"
    yield ("portal", "port"), manifest.portal.port, "the portal (`portal.port`)"
    if manifest.ssh:
        yield ("ssh",), SSH_PORT, "sshd (`ssh`)"
    for index, port in enumerate(manifest.jupyter.also):
        yield ("jupyter", "also", index), port, "JupyterLab (`jupyter.also`)"
    if manifest.desktop is not None:
        yield ("desktop", "port"), manifest.desktop.port, "the desktop (`desktop.port`)"
    for name, service in manifest.services.items():
        if service.port is not None:
            yield ("services", name, "port"), service.port, f"the service `{name}`"


def _nodes(manifest: Manifest, found: Findings) -> None:
    taken: dict[str, str] = {}
    for index, node in enumerate(manifest.nodes.items if manifest.nodes else []):
        name = expand.node_name(node)
        path: Path = ("nodes", "list", index)
        if name.casefold() in taken:
            found.add(path, f"two nodes are called `{name}`", "give one of them a `name`, or remove it")
        taken[name.casefold()] = name


def _packages(manifest: Manifest, found: Findings) -> None:
    for name, env in manifest.python.envs.items():
        here: Path = ("python", "envs", name)
        forbidden = {canonicalize_name(package) for package in env.forbid}
        for index, package in enumerate(env.freeze):
            if canonicalize_name(package) in forbidden:
                found.add((*here, "freeze", index), f"`{package}` is both frozen and forbidden", "keep one of the two")
        for index, requirement in enumerate(env.packages):
            if canonicalize_name(Requirement(requirement).name) in forbidden:
                found.add((*here, "packages", index), f"{requirement!r} is forbidden here", "take it out of `forbid`")


def _folders(manifest: Manifest, found: Findings) -> None:
    into = expand.root(manifest.models.into)
    if into == ".":
        found.add(("models", "into"), "the workspace itself holds more than models", "name a folder in it")
    if into in WORKSPACE:
        found.add(("models", "into"), f"the folder `{into}` is Firstlight's own", "choose another one")
    for name, source in manifest.sources.items():
        here: Path = ("sources", name, "persist")
        if source.persist and name == into:
            text = f"`{name}` of the workspace would hold both models and what this source keeps"
            found.add(here, text, "choose another `models.into`, or rename the source")
        _uploads(found, name, source, into)
        for index, folder in enumerate(source.persist):
            if folder == ".":
                found.add((*here, index), "the source itself cannot live on the workspace", "name folders in it")
            for other in source.persist[:index]:
                if f"{folder}/".startswith(f"{other}/") or f"{other}/".startswith(f"{folder}/"):
                    found.add((*here, index), f"`{folder}` and `{other}` lie in one another", "keep the outer one")


def _uploads(found: Findings, name: str, source: Source, into: str) -> None:
    """Folders in which users put their files: nobody else's."""
    here: Path = ("sources", name)
    placed: list[tuple[Path, str]] = [((*here, "uploads", index), text) for index, text in enumerate(source.uploads)]
    if source.instead is not None:
        placed.append(((*here, "instead", "folder"), source.instead.folder))
    for path, folder in placed:
        root = expand.root(folder)
        if root in {*WORKSPACE, ".", into}:
            who = "models lie there" if root == into else "Firstlight needs it itself"
            found.add(path, f"the folder `{folder}` is no place for a user's files: {who}", "choose another one")
        if folder in source.persist:
            found.add(path, f"`{folder}` stands in `persist` as well", "keep one of the two")
        if path[2] == "uploads" and source.persist and root == name:
            found.add(path, f"`{folder}` would lie among what this source keeps", "choose another one")
