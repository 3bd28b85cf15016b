"""How much memory there is, as the kernel will grant it: the machine's, or the container's when that is less."""

from __future__ import annotations

from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def available() -> int:
    """Bytes that can be taken before the kernel kills something."""
    free = _machine("MemAvailable")
    for folder in _folders():
        limit = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
        used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes")
        if limit is None or used is None or limit > _machine("MemTotal"):
            continue
        reclaimable = _field(folder / "memory.stat", "inactive_file") or 0
        free = min(free, max(0, limit - used + reclaimable))
    return free


def oom_kills() -> int:
    """How many processes the kernel has killed so far for want of memory, here or (without cgroups) on the machine."""
    for folder in _folders():
        for name in ("memory.events", "memory.oom_control"):
            count = _field(folder / name, "oom_kill")
            if count is not None:
                return count
    return _field(Path("/proc/vmstat"), "oom_kill") or 0


def resident(pids: list[int]) -> int:
    """Bytes that these processes hold and that are not pages of files."""
    total = 0
    for pid in pids:
        for name in ("RssAnon:", "RssShmem:"):
            total += 1024 * (_field(Path(f"/proc/{pid}/status"), name) or 0)
    return total


def _machine(name: str) -> int:
    return 1024 * (_field(Path("/proc/meminfo"), name + ":") or 0)


def _folders() -> list[Path]:
    """Memory cgroup folders of this process, the closest one first (version 2, then version 1)."""
    found = []
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root = _CGROUPS
        elif "memory" in controllers.split(","):
            root = _CGROUPS / "memory"
        else:
            continue
        # Inside a container the path may be the host's, while the mounted tree begins at the container's own group.
        own = root / path.strip("/")
        found.append(own if own.is_dir() else root)
    return found


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _field(file: Path, name: str) -> int | None:
    try:
        with file.open() as lines:
            for line in lines:
                words = line.split()
                if len(words) > 1 and words[0] == name:
                    return int(words[1])
    except (OSError, ValueError):
        return None
    return None
