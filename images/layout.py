"""Where things lie and which ports they get: in an image, or below one folder of this host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from init.paths import Paths


def same(port: int) -> int:
    return port


@dataclass(frozen=True)
class Layout:
    """What planning and rendering have to know about the place where it will run."""

    paths: Paths = field(default_factory=Paths)
    port: Callable[[int], int] = same
    """The port to use for one that the manifest (or planning, for loopback) chose."""
    local: bool = False
    """On this host, without Docker: nothing is baked."""


IMAGE = Layout()
