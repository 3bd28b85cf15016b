"""One content to fetch, and who wants it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from init.fetch import space
from init.fetch.sources import Address
from init.fetch.trouble import Trouble
from init.specs import FileSpec

State = Literal["new", "checking", "queued", "resolving", "fetching", "verifying", "done", "failed", "dropped"]
ENDED = ("done", "failed", "dropped")
Transport = Literal["aria2", "stream", "hub", "plain"]


@dataclass
class Progress:
    """How far a set is. Bytes; `rate` in bytes per second; `total` None while a size is unknown."""

    done: int
    total: int | None
    rate: float
    files_left: int
    verifying: bool
    waiting_for: str | None = None
    """The host that fetches on this volume, while it is another one."""
    failed: list[str] = field(default_factory=list)
    setback: str | None = None
    """What keeps a file from coming, while it is tried again."""


@dataclass
class FetchResult:
    """A complete, verified set."""

    files: int = 0
    bytes_total: int = 0
    bytes_fetched: int = 0
    """Of this call; 0 when all was there."""
    seconds: float = 0.0
    unverified: list[str] = field(default_factory=list)
    """Paths of files for which no hash is known anywhere: only their size was compared."""
    resolved: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the lock did not know, by path: `revision`, `size`, `sha256`."""


@dataclass
class Want:
    """A set that somebody waits for."""

    set: str
    required: bool
    cancel: threading.Event
    report: Callable[[Progress], None] | None
    rank: int = 0
    """Among sets that are as urgent, lower ones come first."""
    jobs: list[Job] = field(default_factory=list)
    specs: dict[str, FileSpec] = field(default_factory=dict)
    """By path."""
    admitted: bool = False
    """There is room for all of it."""
    ended: threading.Event = field(default_factory=threading.Event)
    trouble: Trouble | None = None
    began: float = field(default_factory=time.monotonic)


@dataclass
class Job:
    """One content: fetched once, however many paths and sets want it."""

    number: int
    url: str
    revision: str | None
    size: int | None
    sha256: str | None
    paths: list[str]
    """Destinations below the models folder; the partial file stands beside the first."""
    wants: list[Want] = field(default_factory=list)
    blob: str | None = None
    commit: str | None = None
    state: State = "new"
    message: str = ""
    done: int = 0
    rate: float = 0.0
    address: Address | None = None
    present: set[str] = field(default_factory=set)
    """Paths that are verified and in place."""
    trouble: Trouble | None = None
    transport: Transport = "aria2"
    worker: Any = None
    """The aria2 that fetches it."""
    gid: str = ""
    stop: threading.Event = field(default_factory=threading.Event)
    """Ends the work of a thread on it."""
    tries: int = 0
    """Since bytes last arrived."""
    high: int = 0
    """Most bytes ever there."""
    moved: float = 0.0
    """When bytes last arrived, by the monotonic clock."""
    wrong: int = 0
    """How often its content was not what it should be."""
    not_before: float = 0.0
    setback: str = ""
    """What went wrong last."""
    fetched: int = 0
    """Bytes that came over the network, not counting what a partial file had."""
    base: int | None = None
    """Bytes that the partial file had when the transport began."""
    told: float = 0.0

    @property
    def required(self) -> bool:
        return any(want.required for want in self.wants)

    @property
    def path(self) -> str:
        return self.paths[0]

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def unknown(self) -> bool:
        """Whether the origin has to be asked before it is clear what the file should be."""
        hashed = self.sha256 or self.blob or not self.url.startswith(("hf:", "civitai:"))
        return self.size is None or not hashed

    @property
    def identity(self) -> str:
        """What a partial file must be a part of, to be of use."""
        tag = self.address.tag if self.address and not self.commit else self.commit
        return self.sha256 or self.blob or f"{self.url}@{tag}:{self.size}"

    @property
    def order(self) -> tuple[bool, int, int, int]:
        """Required ones first, then set by set; in a set big ones, so that the last verification is short."""
        rank = min((want.rank for want in self.wants), default=0)
        return (not self.required, rank, -(self.size or 0), self.number)

    def partial(self, root: Path) -> Path:
        final = root / self.path
        return final.with_name(f"{final.name}.part")


def control(partial: Path) -> Path:
    """aria2's own file beside a partial one: which pieces are there."""
    return partial.with_name(f"{partial.name}.aria2")


def lacking(job: Job, root: Path) -> int:
    """Bytes that a job will still take on the volume."""
    if job.state in ENDED or job.present:
        return 0
    return max(0, (job.size or 0) - space.taken(job.partial(root)))


def discard(partial: Path) -> None:
    """Remove a partial file and aria2's own beside it. Raises OSError."""
    partial.unlink(missing_ok=True)
    forget(partial)


def forget(partial: Path) -> None:
    """Remove aria2's own file beside a partial one, and what it leaves when it is killed while writing it."""
    beside = control(partial)
    beside.unlink(missing_ok=True)
    beside.with_name(f"{beside.name}__temp").unlink(missing_ok=True)
