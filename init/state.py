"""`state.json` and `events.ndjson`: the only thing the runner tells, and all that any view reads.

`state.json` is a snapshot, replaced by rename; `events.ndjson` has one line per transition. Neither ever holds a token
or a URL's query string. Times are Unix seconds, sizes bytes, rates bytes per second.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

SCHEMA = "firstlight.state/1"
EVENT_SCHEMA = "firstlight.event/1"

StageStatus = Literal["waiting", "running", "verifying", "done", "skipped", "degraded", "failed", "blocked"]
ServiceStatus = Literal["waiting", "starting", "ready", "failed", "stopped"]
FileStatus = Literal["queued", "fetching", "verifying", "done", "failed", "skipped", "waiting"]
Tone = Literal["busy", "ready", "warning", "error"]
Phase = Literal["starting", "ready", "degraded", "failed"]

ENDED: frozenset[str] = frozenset({"done", "skipped", "degraded", "failed", "blocked"})
"""States of a stage that it does not leave by itself."""


@dataclass
class StageState:
    id: str
    kind: str
    title: str
    needs: list[str]
    state: StageStatus = "waiting"
    started: float | None = None
    ended: float | None = None
    bytes_done: int | None = None
    bytes_total: int | None = None
    rate_bps: float | None = None
    message: str = ""
    """What happens or happened, one sentence."""
    consequence: str | None = None
    """What it means for the user; set when the stage degraded, failed or is blocked."""
    repair: str | None = None
    """The command that repairs it, such as `firstlight retry nodes`."""
    waits_for: list[str] = field(default_factory=list)
    """Needs that do not hold yet, while it waits."""
    predicted: list[float] | None = None
    """Start and end in seconds since the boot, as they were foreseen when this boot began."""
    attempt: int = 0
    result: dict[str, Any] = field(default_factory=dict)
    """What the stage found out: commits, the compute capability, the wheel's origin…"""


@dataclass
class ServiceState:
    id: str
    title: str
    needs: list[str]
    state: ServiceStatus = "waiting"
    url: str | None = None
    """Path with port as `:8188/`, for views to complete with the host; of the desktop where its window is there."""
    port: int | None = None
    started: float | None = None
    ready_at: float | None = None
    restarts: int = 0
    waits_for: list[str] = field(default_factory=list)
    predicted: list[float] | None = None
    message: str = ""
    consequence: str | None = None
    repair: str | None = None


@dataclass
class FileState:
    path: str
    """Below the models folder."""
    set: str
    state: FileStatus = "queued"
    bytes_done: int = 0
    bytes_total: int | None = None
    rate_bps: float | None = None
    message: str = ""


@dataclass
class SetState:
    """A model set: what it is, what of it is here, and whether it is wanted."""

    name: str
    stage: str
    files: int
    bytes_total: int | None
    bytes_have: int = 0
    verified: int = 0
    """Files that are in place and are what their hashes say."""
    default: bool = False
    required: bool = False
    selected: bool = False
    paused: bool = False
    license: str | None = None
    problem: str | None = None
    """Why fetching it now would not work, one sentence."""


@dataclass
class Headline:
    """The one line that every view shows first."""

    text: str
    tone: Tone = "busy"
    repair: str | None = None
    """The command that repairs what it tells about."""
    service: str | None = None
    """Id of the service that it is about, when that can be opened."""


@dataclass
class Boot:
    id: str
    started: float
    runner_started: float | None = None


@dataclass
class Snapshot:
    image: str
    title: str
    boot: Boot
    revision: str = ""
    phase: Phase = "starting"
    eta_s: float | None = None
    """Seconds until every service is ready; None: not known yet."""
    eta_range: list[float] | None = None
    """The least and the most seconds until then; wide while little is known."""
    progress: float = 0.0
    """Share of the way to ready that is done, from 0 to 1."""
    critical: list[str] = field(default_factory=list)
    """Ids of the chain that is waited for now, in order."""
    headline: Headline = field(default_factory=lambda: Headline("Starting"))
    message: str = ""
    updated: float = 0.0
    stages: list[StageState] = field(default_factory=list)
    services: list[ServiceState] = field(default_factory=list)
    sets: list[SetState] = field(default_factory=list)
    files: list[FileState] = field(default_factory=list)
    disk: dict[str, int] = field(default_factory=dict)
    """`free` and `needed` bytes of the workspace."""


def dump(snapshot: Snapshot) -> str:
    return json.dumps({"schema": SCHEMA, **asdict(snapshot)}, indent=1, ensure_ascii=False) + "\n"


def load(text: str) -> Snapshot:
    """A snapshot from JSON. Raises ValueError with what is wrong: not JSON, or another version."""
    data = json.loads(text)
    if not isinstance(data, dict) or data.pop("schema", None) != SCHEMA:
        raise ValueError(f"not a {SCHEMA} file: written by another version of Firstlight")
    try:
        data["boot"] = Boot(**data["boot"])
        data["stages"] = [StageState(**item) for item in data["stages"]]
        data["services"] = [ServiceState(**item) for item in data["services"]]
        data["files"] = [FileState(**item) for item in data["files"]]
        data["sets"] = [SetState(**item) for item in data.get("sets", [])]
        if "headline" in data:
            data["headline"] = Headline(**data["headline"])
        return Snapshot(**data)
    except (KeyError, TypeError) as error:
        raise ValueError(f"damaged state file: {error!r}") from None


def read(state_folder: Path) -> Snapshot | None:
    """The snapshot in `<workspace>/.firstlight`; None when there is none yet. Raises ValueError."""
    try:
        return load((state_folder / "state.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def latest(run: Path, state_folder: Path) -> Snapshot | None:
    """The snapshot of this container (`Paths.run`), else what the workspace has; None when there is none yet.

    A full workspace, or another container on it, does not touch the one in `run`. Raises ValueError, OSError.
    """
    return read(run) or read(state_folder)
