"""What each stage is to do, from its entry in the manifest and what the lock knows of it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from images import shipped
from init.specs import (
    Code,
    CommandSpec,
    CondaSpec,
    FileSpec,
    GitSpec,
    InsteadSpec,
    KernelSpec,
    ModelsSpec,
    NodeSpec,
    NodesSpec,
    NotebookSpec,
    PythonSpec,
    WheelSpec,
)
from manifests import expand
from manifests.environments import Conda, PythonEnv
from manifests.model import Manifest
from manifests.origins import Origin

if TYPE_CHECKING:
    from manifests.lock import Lock


class Specs:
    def __init__(self, manifest: Manifest, lock: Lock, files: Mapping[str, Path]):
        self.manifest = manifest
        self._lock = lock
        self._files = files
        """Shipped files and folders of this host, by path below `Paths.files`."""

    def python(self, name: str) -> PythonSpec:
        env = self.manifest.python.envs[name]
        version = env.version or self.manifest.python.version
        return replace(
            self._into(name, env),
            python=None if version == "system" else version,
            packages=list(env.packages),
            layers=env.layers,
            kernel=env.kernel,
            conda=self._conda(env.conda) if env.conda is not None else None,
            requirements_from=env.requirements_from,
        )

    def _conda(self, conda: Conda) -> CondaSpec:
        url = expand.micromamba(conda)
        return CondaSpec(list(conda.channels), list(conda.packages), url, self._lock.file(url).sha256)

    def packages(self, name: str) -> PythonSpec:
        """Requirements of source `name`."""
        source = self.manifest.sources[name]
        env = source.env or ""
        into = self._into(env, self.manifest.python.envs[env])
        return replace(into, requirements=list(source.requirements), source=name)

    def _into(self, name: str, env: PythonEnv) -> PythonSpec:
        return PythonSpec(
            env=name,
            index=dict(env.index),
            index_strategy=env.index_strategy,
            freeze=list(env.freeze),
            forbid=list(env.forbid),
        )

    def source(self, name: str) -> GitSpec:
        source = self.manifest.sources[name]
        instead = InsteadSpec(source.instead.folder, source.instead.holds) if source.instead is not None else None
        return GitSpec(name, self._code(source), list(source.persist), instead, list(source.uploads))

    def nodes(self) -> NodesSpec:
        nodes = self.manifest.nodes
        assert nodes is not None
        env = self.manifest.python.envs[nodes.env]
        return NodesSpec(
            into=nodes.into,
            env=nodes.env,
            freeze=list(env.freeze),
            forbid=list(env.forbid),
            index=dict(env.index),
            index_strategy=env.index_strategy,
            nodes=[
                NodeSpec(expand.node_name(node), self._code(node), list(node.packages), node.optional, node.consequence)
                for node in nodes.items
            ],
        )

    def kernel(self, name: str) -> KernelSpec:
        kernel = self.manifest.kernels[name]
        env = self.manifest.python.envs[kernel.env]
        return KernelSpec(
            name=name,
            env=kernel.env,
            code=self._code(kernel),
            probe=kernel.probe,
            freeze=list(env.freeze),
            index=dict(env.index),
            subdirectory=kernel.subdirectory,
            packages=list(kernel.packages),
            arch=list(kernel.arch),
            exclusive=list(kernel.exclusive),
            wheels=[WheelSpec(wheel.url, wheel.sha256, list(wheel.arch)) for wheel in kernel.wheels],
            environment=dict(kernel.environment),
            memory_per_job=kernel.memory_per_job,
            adds={service: words(added) for service, added in kernel.adds.items()},
        )

    def models(self, name: str) -> ModelsSpec:
        chosen = self.manifest.models.sets[name]
        files = [self._file(file) for file in expand.files(chosen)]
        return ModelsSpec(name, files, chosen.default, chosen.required, chosen.license)

    def _file(self, file: expand.File) -> FileSpec:
        known = self._lock.file(file.url, file.revision)
        return FileSpec(
            path=file.destination,
            url=file.url,
            revision=known.revision or file.revision,
            size=file.size if file.size is not None else known.size,
            sha256=file.sha256 or known.sha256,
        )

    def command(self, name: str) -> CommandSpec:
        command = self.manifest.commands[name]
        return CommandSpec(
            run=["sh", "-euc", command.run] if isinstance(command.run, str) else list(command.run),
            env=command.env,
            cwd=command.cwd,
            environment=dict(command.environment),
            inputs={path: shipped.digest(self._files[path]) for path in command.inputs},
        )

    def notebook(self) -> NotebookSpec:
        notebook = self.manifest.notebook
        assert notebook is not None
        digest = shipped.digest(self._files[notebook.file])
        return NotebookSpec(notebook.file, digest, notebook.git, notebook.ref, notebook.path)

    def _code(self, origin: Origin) -> Code:
        if origin.path is not None:
            return Code(path=origin.path, digest=shipped.digest(self._files[origin.path]))
        url, ref = origin.git or "", origin.ref or ""
        return Code(git=url, ref=ref, commit=self._lock.commit(url, ref), submodules=origin.submodules)


def words(written: Sequence[str] | str) -> list[str]:
    """The words of a command line; no shell."""
    return shlex.split(written) if isinstance(written, str) else list(written)
