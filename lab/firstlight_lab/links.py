"""Where a browser reaches services whose ports have other numbers outside this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def links(state: Mapping[str, Any] | None, environ: Mapping[str, str]) -> dict[str, str]:
    """`:PORT/path` by service id, for those ports that the platform (Vast.ai: `VAST_TCP_PORT_8188`) gave another
    number. All others are reached as the state says, and all behind RunPod's proxy."""
    found: dict[str, str] = {}
    if environ.get("RUNPOD_POD_ID"):
        return found
    services = state.get("services") if state else None
    for service in services if isinstance(services, list) else []:
        if not isinstance(service, dict):
            continue
        place = re.fullmatch(r":(\d{1,5})(/.*)?", str(service.get("url") or ""), re.DOTALL)
        mapped = environ.get(f"VAST_TCP_PORT_{place[1]}", "") if place else ""
        if place and mapped.isdigit():
            found[str(service.get("id"))] = f":{mapped}{place[2] or ''}"
    return found
