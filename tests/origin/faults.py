"""Bad days on order."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

Kind = Literal["status", "expire", "reset", "stall", "truncate", "corrupt", "length", "no-range", "redirect", "slow"]


@dataclass
class Fault:
    """One thing that goes wrong.

    A file's `key` is `owner/repo/path` for the hub, `civitai/VERSION` for CivitAI, and the path without its leading
    slash for everything else.

    - `status`: answers `status`, with `code` as X-Error-Code and `retry_after` as Retry-After
    - `expire`: the signed addresses given out so far become invalid (403), running transfers are cut; happens once
    - `reset`: the connection is reset; `truncate`: closed as if all were sent; `stall`: stays open without a byte
    - `corrupt`: the byte at `at` is wrong; `length`: the file is `by` bytes longer (or shorter) than announced
    - `no-range`: ranges are ignored, the answer is always the whole file
    - `redirect`: 302 to `to`
    - `slow`: `latency` seconds before the answer, at most `rate` bytes per second on each connection
    """

    kind: Kind
    key: str = "*"
    """Glob over keys."""
    server: Literal["hub", "cdn"] | None = None
    method: str | None = None
    agent: str = "*"
    """Glob over User-Agent."""
    after: int = 0
    """Begins when this many bytes of the file were sent, over all connections, since the fault was set."""
    times: int | None = None
    """Number of requests that it meets; None: all."""
    status: int = 503
    code: str | None = None
    retry_after: str | None = None
    at: int = 0
    by: int = 0
    to: str | None = None
    latency: float = 0.0
    rate: float | None = None
    sent: dict[str, int] = field(default_factory=dict)
    met: int = 0
    gone: bool = False

    def matches(self, key: str, server: str, method: str, agent: str) -> bool:
        return (
            not self.gone
            and (self.times is None or self.met < self.times)
            and fnmatchcase(key, self.key)
            and fnmatchcase(agent, self.agent)
            and self.server in (None, server)
            and self.method in (None, method)
        )

    def left(self, key: str) -> int:
        """Bytes of the file that may still pass before it begins."""
        return self.after - self.sent.get(key, 0)
