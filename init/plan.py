"""`plan.json`: everything the runner needs to know, and the only thing it is told by the host.

Standard library only, as everything that it is made of.
"""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from init.complaint import Complaint
from init.paths import Paths
from init.specs import SPECS, Spec

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
