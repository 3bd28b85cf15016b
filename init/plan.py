"""`plan.json`: everything the runner needs to know, and the only thing it is told by the host.

Standard library only. Paths inside specs are relative to a root of `Paths` unless their docstring says otherwise.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from init.complaint import Complaint
from init.paths import Paths

SCHEMA = "firstlight.plan/1"

DESKTOP = ("desktop", "desktop-session", "desktop-web")
"""Services of the desktop itself: no manifest's own is called so."""

Kind = Literal["gpu", "python", "git", "nodes", "kernel", "models", "command", "notebook"]
Resource = Literal["cpu", "net", "disk"]


class PlanError(Complaint):
    """The plan cannot be read: another version, or damaged. The text says which, and what to do."""


@dataclass(frozen=True)
class Need:
    """A stage id (or `service:ID`) that must be done; a soft one must only have ended."""

    id: str
    soft: bool = False


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


@dataclass(frozen=True)
class Stage:
    """One node of the graph."""

    id: str
    kind: Kind
    title: str
    needs: list[Need]
    spec: Spec
    at: Literal["start", "build"] = "start"
    uses: Resource = "cpu"
    attempts: int = 3
    within: float = 3600.0
    """Seconds of one attempt; models are watched by their bytes instead."""
    on_failure: Literal["fail", "degrade"] = "fail"
    consequence: str | None = None


@dataclass(frozen=True)
class ReadySpec:
    http: str | None = None
    tcp: bool = False
    file: str | None = None
    within: float = 300.0


@dataclass(frozen=True)
class ServiceSpec:
    """A supervisor program `id`, started when its needs hold."""

    id: str
    title: str
    command: list[str]
    """Words with `{port}`, `{workspace}`, `{models}`, `{source}`, `{files}` to replace."""
    needs: list[Need]
    env: str | None = None
    cwd: str | None = None
    """Relative to `Paths.disk/src`; None: the workspace."""
    environment: dict[str, str] = field(default_factory=dict)
    port: int | None = None
    """Public port, the portal's."""
    listen: int | None = None
    """Loopback port of the program itself."""
    open: str = "/"
    auth: Literal["portal", "none"] = "portal"
    ready: ReadySpec | None = None
    restarts: int = 3

    @property
    def draws(self) -> bool:
        """Whether it opens windows on the desktop."""
        return any(need.id == "service:desktop" for need in self.needs)


@dataclass(frozen=True)
class SelectSpec:
    env: str = "MODEL_SETS"
    aliases: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class JupyterSpec:
    port: int = 8888
    also: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    image: str
    title: str
    revision: str
    """Checksum of the lock that this plan was made from."""
    paths: Paths
    stages: list[Stage]
    services: list[ServiceSpec]
    models_into: str = "models"
    """Below the workspace."""
    select: SelectSpec = SelectSpec()
    jupyter: JupyterSpec = JupyterSpec()
    portal_port: int = 1111
    ssh: bool = False
    """sshd runs on port 22, for whoever has a key."""
    local: bool = False
    """Made by `run --local`: nothing is baked, so stages with `at: build` run at start."""

    @property
    def models(self) -> Path:
        return Path(self.paths.workspace, self.models_into)

    @property
    def desktop(self) -> ServiceSpec | None:
        """The service that shows the desktop in a browser; None where there is no desktop."""
        return next((s for s in self.services if s.id in DESKTOP and s.port is not None), None)

    @property
    def windows(self) -> list[ServiceSpec]:
        """The services whose windows are on the desktop, and that have no page of their own."""
        return [s for s in self.services if s.draws and s.port is None and s.id not in DESKTOP]

    def stage(self, stage_id: str) -> Stage:
        """The stage with this id; KeyError when there is none."""
        return next((s for s in self.stages if s.id == stage_id), None) or _missing(stage_id)


def _missing(stage_id: str) -> Stage:
    raise KeyError(stage_id)


def dump(plan: Plan) -> str:
    """The plan as JSON, byte-stable."""
    return json.dumps({"schema": SCHEMA, **asdict(plan)}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def load(text: str) -> Plan:
    """The plan from JSON. Raises PlanError."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise PlanError(f"plan.json is not JSON ({error}); build the image again") from None
    found = data.pop("schema", None) if isinstance(data, dict) else None
    if found != SCHEMA:
        raise PlanError(f"plan.json has the schema {found!r} and this runner reads {SCHEMA!r}; build the image again")
    try:
        plan: Plan = _build(Plan, data)
        return plan
    except (KeyError, TypeError, ValueError) as error:
        raise PlanError(f"plan.json is damaged ({error!r}); build the image again") from None


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _build(kind: Any, data: Any) -> Any:
    """`data` (from JSON) as `kind`: a dataclass, a container of them, or a plain value."""
    origin, args = get_origin(kind), get_args(kind)
    if kind is Stage:
        hints = {**_hints(Stage), "spec": SPECS[data["kind"]]}
        return Stage(**{name: _build(hints[name], value) for name, value in data.items()})
    if is_dataclass(kind):
        make: Any = kind
        hints = _hints(make)
        unknown = set(data) - {f.name for f in fields(kind)}
        if unknown:
            raise ValueError(f"unknown {sorted(unknown)} in {getattr(kind, '__name__', kind)}")
        return make(**{name: _build(hints[name], value) for name, value in data.items()})
    if origin is list:
        return [_build(args[0], item) for item in data]
    if origin is dict:
        return {key: _build(args[1], value) for key, value in data.items()}
    if origin in (Union, UnionType):
        return None if data is None else _build(next(a for a in args if a is not type(None)), data)
    return data
