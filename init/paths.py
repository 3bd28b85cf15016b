"""Where things are on this machine. Its own module: the container's first program needs no more of the plan."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """Absolute roots. In an image the defaults; `run --local` puts all of them below one folder."""

    home: str = "/opt/firstlight"
    """Baked: the runner, the plan, the control environment, shipped files."""
    disk: str = "/opt"
    """Lives as long as the container: environments, sources and their completion records."""
    workspace: str = "/workspace"
    """Outlives the container: models, wheels, user data, state."""
    logs: str = "/var/log/supervisor"
    run: str = "/run/firstlight"
    """Sockets and process records of this boot."""

    @property
    def control(self) -> Path:
        return Path(self.home, "control")

    @property
    def lab(self) -> Path:
        """Holds the package `firstlight_lab` alone, for the kernels of other environments."""
        return Path(self.home, "lab")

    @property
    def files(self) -> Path:
        """Files shipped with the manifest: probes, inputs of commands, `path` sources."""
        return Path(self.home, "files")

    @property
    def state(self) -> Path:
        return Path(self.workspace, ".firstlight")

    def env(self, name: str) -> Path:
        return Path(self.disk, "envs", name)

    def source(self, name: str) -> Path:
        return Path(self.disk, "src", name)


def rescue(text: str) -> tuple[str, Paths]:
    """Image and roots that a plan names, whatever else is wrong with it; defaults for what it does not name."""
    try:
        data = json.loads(text)
        known = {field.name for field in fields(Paths)}
        roots = {name: path for name, path in data["paths"].items() if name in known and isinstance(path, str)}
        return str(data.get("image", "unknown image")), Paths(**roots)
    except (ValueError, KeyError, TypeError, AttributeError):
        return "unknown image", Paths()
