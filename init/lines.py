"""Events as plain lines: the runner's log, and `status --follow` where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

LEVEL = {"failed": "ERROR ", "degraded": "WARNING ", "blocked": "WARNING "}
PHASES = {
    "degraded": "ready, with something missing",
    "failed": "nothing but JupyterLab can be used",
}
HINTS = {"degraded": "`firstlight status` says what", "failed": "`firstlight status` says why"}


def line(event: Mapping[str, Any]) -> str | None:
    """One line for an event (several when it has a consequence); None for one that only machines care for."""
    clock = time.strftime("%H:%M:%S", time.localtime(event["at"]))
    name, state, message = event.get("event"), str(event.get("state", "")), str(event.get("message", ""))
    if name == "boot":
        return f"{clock} {event.get('image')}: start {event.get('boot')}"
    if name == "phase":
        phase = str(event.get("phase"))
        return f"{clock} {LEVEL.get(phase, '')}{PHASES.get(phase, phase)}{_after(message or HINTS.get(phase, ''))}"
    if name == "file" and state != "failed":
        return None
    if name == "file":
        return f"{clock} WARNING {event.get('path')}: {state}{_after(message)}"
    if name not in ("stage", "service") or state == "waiting":
        return None
    who = f"service {event.get('id')}" if name == "service" else str(event.get("id"))
    where = f" at {event['url']}" if state == "ready" and event.get("url") else ""
    lines = [f"{clock} {LEVEL.get(state, '')}{who}: {state}{where}{_after(message)}"]
    if event.get("consequence"):
        lines.append(f"{'':9}{event['consequence']}")
    if event.get("repair"):
        lines.append(f"{'':9}to repair: {event['repair']}")
    return "\n".join(lines)


def _after(message: str) -> str:
    return f": {message}" if message else ""


def size(count: float | None) -> str:
    """Bytes for people: `4.2 GB`."""
    if count is None:
        return "?"
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or abs(count) >= 99.95 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} TB"


def span(seconds: float | None) -> str:
    """Seconds for people: `3.2 s`, `2 min 05 s`, `1 h 12 min`, `3 d 02 h`."""
    if seconds is None:
        return "?"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def about(seconds: float) -> str:
    """Seconds as one says them: `20 s`, `6 min`, `1 h 20 min`."""
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    if seconds < 55:
        return f"{5 * round(seconds / 5)} s"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(5 * round(minutes / 5), 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"
