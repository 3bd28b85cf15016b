"""What each kind of stage is told by the plan.

Paths inside specs are relative to a root of `Paths` unless their docstring says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Code:
    """Where source code comes from: a git repository at a commit, or a folder below `Paths.files`."""

    git: str | None = None
    ref: str | None = None
    commit: str | None = None
    """Full commit hash; None when the lock does not know it: `ref` is then resolved at start and recorded."""
    path: str | None = None
    digest: str | None = None
    """SHA-256 over the files of `path`."""
    submodules: bool = False


@dataclass(frozen=True)
class GpuSpec:
    """Look at the GPU and its driver."""

    cuda: str
    """The CUDA release that the image was made for, `12.8`."""


@dataclass(frozen=True)
class CondaSpec:
    """Make the environment from conda channels."""

    channels: list[str]
    packages: list[str]
    url: str
    """micromamba itself."""
    sha256: str | None = None
    """None when the lock does not know it: it is then not run."""


@dataclass(frozen=True)
class PythonSpec:
    """Make environment `env` and install into it."""

    env: str
    python: str | None = None
    """Version such as `3.12`; None: the `python3` on PATH."""
    packages: list[str] = field(default_factory=list)
    requirements: list[str] = field(default_factory=list)
    """Requirement files, relative to `Paths.source(source)`; missing ones are passed over."""
    source: str | None = None
    """Source whose requirements these are; the environment then exists already."""
    index: dict[str, str] = field(default_factory=dict)
    index_strategy: str = "first-index"
    freeze: list[str] = field(default_factory=list)
    forbid: list[str] = field(default_factory=list)
    layers: int = 1
    """Image layers that it is spread over when baked."""
    kernel: str | None = None
    """Display name as a notebook kernel."""
    conda: CondaSpec | None = None
    requirements_from: str | None = None
    """The user's own requirement file, relative to the workspace."""


@dataclass(frozen=True)
class InsteadSpec:
    """The user's own code in place of a source: a folder below the workspace that holds the file `holds`."""

    folder: str
    holds: str


@dataclass(frozen=True)
class GitSpec:
    """Put source `source` into place."""

    source: str
    code: Code
    persist: list[str] = field(default_factory=list)
    """Folders of the source that become links to `workspace/<source>/<folder>`."""
    instead: InsteadSpec | None = None
    uploads: list[str] = field(default_factory=list)
    """Folders of the source that become links to `workspace/<folder>`."""


@dataclass(frozen=True)
class NodeSpec:
    name: str
    code: Code
    packages: list[str] = field(default_factory=list)
    optional: bool = False
    consequence: str | None = None


@dataclass(frozen=True)
class NodesSpec:
    """Install custom nodes below source folder `into` (its first part is the source's id)."""

    into: str
    env: str
    freeze: list[str]
    forbid: list[str]
    index: dict[str, str]
    index_strategy: str
    nodes: list[NodeSpec]


@dataclass(frozen=True)
class WheelSpec:
    url: str
    sha256: str
    arch: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class KernelSpec:
    """Compile, install and probe an extension."""

    name: str
    env: str
    code: Code
    probe: str
    """Python file, relative to `Paths.files`."""
    freeze: list[str] = field(default_factory=list)
    index: dict[str, str] = field(default_factory=dict)
    subdirectory: str | None = None
    packages: list[str] = field(default_factory=list)
    arch: list[str] = field(default_factory=list)
    exclusive: list[str] = field(default_factory=list)
    wheels: list[WheelSpec] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    memory_per_job: int = 4_000_000_000
    adds: dict[str, list[str]] = field(default_factory=dict)
    """Arguments by service id, in force while the stage is `done`."""


@dataclass(frozen=True)
class FileSpec:
    """One model file."""

    path: str
    """Below the models folder."""
    url: str
    """`hf://owner/repo/path`, `https://…` or `civitai://VERSION`."""
    revision: str | None = None
    """Hugging Face commit, or the branch when the lock does not know the commit."""
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class ModelsSpec:
    """Fetch one set."""

    set: str
    files: list[FileSpec]
    default: bool = False
    required: bool = False
    license: str | None = None


@dataclass(frozen=True)
class CommandSpec:
    run: list[str]
    """Arguments; a shell line stands as `sh -euc LINE`. `{workspace}`, `{models}`, `{files}`, `{disk}` are replaced
    in a list, and are environment variables (`FIRSTLIGHT_WORKSPACE`, …) for a shell line."""
    env: str | None = None
    cwd: str | None = None
    """Relative to `Paths.disk/src`; None: the workspace."""
    environment: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    """SHA-256 by path below `Paths.files`."""


@dataclass(frozen=True)
class NotebookSpec:
    """Put a notebook at the workspace's top, the newest of a repository where there is one."""

    file: str
    """The image's own, relative to `Paths.files`."""
    digest: str
    git: str | None = None
    ref: str | None = None
    path: str | None = None
    """Its place in the repository; None: the name of `file`."""


Spec = GpuSpec | PythonSpec | GitSpec | NodesSpec | KernelSpec | ModelsSpec | CommandSpec | NotebookSpec

SPECS: Mapping[str, type[Any]] = {
    "gpu": GpuSpec,
    "python": PythonSpec,
    "git": GitSpec,
    "nodes": NodesSpec,
    "kernel": KernelSpec,
    "models": ModelsSpec,
    "command": CommandSpec,
    "notebook": NotebookSpec,
}
