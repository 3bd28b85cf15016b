"""Spellings that depend on their neighbours or on where they end up: versions, refs, commands, placeholders, ports."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from manifests import expand, offers
from manifests.addresses import is_ref, secret
from manifests.findings import Findings
from manifests.merge import Path
from manifests.model import Manifest
from manifests.origins import Origin

SERVICE_WORDS = ("port", "workspace", "models", "source", "files")
COMMAND_WORDS = ("workspace", "models", "files", "disk")
_VERSION = re.compile(r"3\.[0-9]{1,3}(\.[0-9]{1,3})?")
_CAPABILITY = re.compile(r"[0-9]{1,2}\.[0-9]")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_UNSHELLED = re.compile(r"(?<!\$)\{(" + "|".join(COMMAND_WORDS) + r")\}")
_ADDRESS_PATH = re.compile(r"/(?!/)[!-~]*")
_PORT = re.compile(r"([0-9]{1,5})/(http|tcp)")
_TEST = re.compile(r"[a-z0-9][a-z0-9_-]*")
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def check(manifest: Manifest, found: Findings) -> None:
    """Every spelling that cannot work, whatever else the manifest says."""
    _versions(manifest, found)
    for path, origin in _origins(manifest):
        if origin.ref is not None and not is_ref(origin.ref):
            found.add((*path, "ref"), f"{origin.ref!r} is no git ref", "write a branch, a tag or a commit")
    for name, model_set in manifest.models.sets.items():
        if not is_ref(model_set.revision):
            path = ("models", "sets", name, "revision")
            found.add(path, f"{model_set.revision!r} is no revision", "write a branch, a tag or a commit")
    _nodes(manifest, found)
    _services(manifest, found)
    _commands(manifest, found)
    _notebook(manifest, found)
    for index, text in enumerate(manifest.deploy.runpod.ports):
        match = _PORT.fullmatch(text)
        if match is None or not 1 <= int(match[1]) <= 65535:
            path = ("deploy", "runpod", "ports", index)
            found.add(path, f"{text!r} is no port", "write it as `8188/http` or `22/tcp`")
    for field, text in manifest.deploy.vast.filters.items():
        _filter(field, text, found)
    for index, text in enumerate(manifest.test):
        if not _TEST.fullmatch(text):
            found.add(("test", index), f"{text!r} is no name of a test", "small letters, digits, `-` and `_`")


def _filter(field: str, text: str, found: Findings) -> None:
    path: Path = ("deploy", "vast", "filters", field)
    if field not in offers.FIELDS:
        found.unknown(path, f"Vast.ai's offers have no field `{field}`", field, sorted(offers.FIELDS))
        return
    try:
        offers.condition(field, text)
    except ValueError:
        found.add(path, f"{text!r} is no condition", "write it as `>= 16`, `RTX_4090`, `true` or `in [US, CA]`")


def _notebook(manifest: Manifest, found: Findings) -> None:
    notebook = manifest.notebook
    for key in ("file", "path") if notebook is not None else ():
        name = getattr(notebook, key)
        if name is not None and (not name.endswith(".ipynb") or name.rpartition("/")[2].startswith(".")):
            found.add(("notebook", key), f"{name!r} is no notebook's name", "it ends in `.ipynb`")
    if notebook is not None and notebook.ref is not None and not is_ref(notebook.ref):
        found.add(("notebook", "ref"), f"{notebook.ref!r} is no git ref", "write a branch, a tag or a commit")


def _versions(manifest: Manifest, found: Findings) -> None:
    versions: list[tuple[Path, str | None]] = [(("python", "version"), manifest.python.version)]
    versions += [(("python", "envs", name, "version"), env.version) for name, env in manifest.python.envs.items()]
    for path, version in versions:
        if version is not None and version != "system" and not _VERSION.fullmatch(version):
            found.add(path, f"{version!r} is no Python version", "write it as `3.12`, or `system`")
    for name, kernel in manifest.kernels.items():
        here: Path = ("kernels", name)
        listed: list[tuple[Path, Sequence[str]]] = [
            ((*here, "arch"), kernel.arch),
            ((*here, "exclusive"), kernel.exclusive),
            *(((*here, "wheels", index, "arch"), wheel.arch) for index, wheel in enumerate(kernel.wheels)),
        ]
        for path, capabilities in listed:
            for index, capability in enumerate(capabilities):
                if not _CAPABILITY.fullmatch(capability):
                    found.add((*path, index), f"{capability!r} is no compute capability", "write it as `8.9`")


def _origins(manifest: Manifest) -> Iterator[tuple[Path, Origin]]:
    for name, source in manifest.sources.items():
        yield ("sources", name), source
    for index, node in enumerate(manifest.nodes.items if manifest.nodes else []):
        yield ("nodes", "list", index), node
    for name, kernel in manifest.kernels.items():
        yield ("kernels", name), kernel


def _nodes(manifest: Manifest, found: Findings) -> None:
    for index, node in enumerate(manifest.nodes.items if manifest.nodes else []):
        if not _FOLDER.fullmatch(expand.node_name(node)):
            found.add(
                ("nodes", "list", index), "the repository gives no name for the node's folder", "give it a `name`"
            )


def _services(manifest: Manifest, found: Findings) -> None:
    for name, service in manifest.services.items():
        here: Path = ("services", name)
        _words(found, (*here, "command"), service.command, SERVICE_WORDS)
        _placeholders(found, (*here, "environment"), service.environment, SERVICE_WORDS)
        asked = service.ready.http if service.ready is not None else None
        if asked is not None and not _ADDRESS_PATH.fullmatch(asked):
            found.add((*here, "ready", "http"), f"{asked!r} is no path", "write it as `/health`")
        if not _ADDRESS_PATH.fullmatch(service.open):
            found.add((*here, "open"), f"{service.open!r} is no path", "write it as `/`, in plain ASCII without spaces")
        elif (hidden := secret(urlsplit(service.open))) is not None:
            text = f"`{hidden[:40]}` in the path is a secret, and the image would hold it"
            found.add((*here, "open"), text, "leave it out: with `auth: portal` the portal asks for its own")
    for name, kernel in manifest.kernels.items():
        for service_name, words in kernel.adds.items():
            _words(found, ("kernels", name, "adds", service_name), words, SERVICE_WORDS)


def together(manifest: Manifest, found: Findings) -> None:
    """What a service's entries mean for one another; some of them may stand in a parent."""
    for name, service in manifest.services.items():
        here: Path = ("services", name)
        texts = [*([service.command] if isinstance(service.command, str) else service.command)]
        texts += service.environment.values()
        uses_port = any("{port}" in text for text in texts)
        if any("{source}" in text for text in texts) and expand.service_source(manifest, name) is None:
            found.add(
                (*here, "command"), "`{source}` has no meaning here: the service has no source", "give it a `cwd`"
            )
        if service.port is not None and not uses_port:
            hint = "put `{port}` into `command` or `environment`: the portal has the public one"
            found.add((*here, "port"), "the program is not told which port to listen on", hint)
        asked = service.ready is not None and service.ready.file is None
        if asked and not uses_port and found.written(*here, "port") is None:
            found.add((*here, "ready"), "the service has no port to ask", "give it a `port`, or wait for a `file`")


def _commands(manifest: Manifest, found: Findings) -> None:
    for name, command in manifest.commands.items():
        path: Path = ("commands", name, "run")
        if isinstance(command.run, str):
            if not command.run.strip():
                found.add(path, "the command is empty", "write what is to run")
            for name in _UNSHELLED.findall(command.run):
                text = f"`{{{name}}}` is not replaced in a shell line"
                found.add(path, text, f"write `$FIRSTLIGHT_{name.upper()}`, or the command as a list")
        else:
            _words(found, path, command.run, COMMAND_WORDS)


def _words(found: Findings, path: Path, words: Sequence[str] | str, known: Sequence[str]) -> None:
    if isinstance(words, str):
        try:
            parts = shlex.split(words)
        except ValueError as error:
            found.add(path, f"the command does not split into words: {str(error).lower()}", "write it as a list")
            return
        placed = [(path, part) for part in parts]
    else:
        placed = [((*path, index), part) for index, part in enumerate(words)]
    if not placed or not placed[0][1]:
        found.add(path, "the command is empty", "write what is to run")
    for where, part in placed:
        _placeholder(found, where, part, known)


def _placeholders(found: Findings, path: Path, values: Mapping[str, str], known: Sequence[str]) -> None:
    for name, text in values.items():
        _placeholder(found, (*path, name), text, known)


def _placeholder(found: Findings, path: Path, text: str, known: Sequence[str]) -> None:
    for name in _PLACEHOLDER.findall(text):
        if name not in known:
            found.unknown(path, f"the placeholder `{{{name}}}` is not known here", name, known)
