"""Where a browser reaches services whose ports have other numbers outside this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def links(state: Mapping[str, Any] | None, environ: Mapping[str, str]) -> dict[str, str]:
    """`:PORT/path` by service id, for those ports that the platform (Vast.ai: `VAST_TCP_PORT_8188`) gave another
    number. All others are reached as the state says."""
    found = {}
    services = state.get("services") if state else None
    for service in services if isinstance(services, list) else []:
        if not isinstance(service, dict):
            continue
        port, url = service.get("port"), str(service.get("url") or "")
        mapped = environ.get(f"VAST_TCP_PORT_{port}", "")
        if mapped.isdigit() and url.startswith(f":{port}"):
            found[str(service.get("id"))] = f":{mapped}{url.removeprefix(f':{port}')}"
    return found
