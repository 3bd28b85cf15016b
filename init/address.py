"""Under which address a user reaches a port of this machine, and where the plan is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from init.complaint import Complaint
from init.paths import Paths

if TYPE_CHECKING:
    from init.plan import Plan

PLAN = str(Path(Paths().home, "plan.json"))


class NoPlan(Complaint):
    """The plan is not there: what that means, and what to do."""


def text(environ: Mapping[str, str] = os.environ) -> str:
    """The plan of this machine as it stands there. Raises NoPlan."""
    path = Path(environ.get("FIRSTLIGHT_PLAN") or PLAN)
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise NoPlan(
            f"{path}: {error.strerror}\n  this is not a Firstlight machine, or FIRSTLIGHT_PLAN does not name its plan"
        ) from None


def plan(environ: Mapping[str, str] = os.environ) -> Plan:
    """The plan of this machine. Raises PlanError, NoPlan."""
    from init.plan import load

    return load(text(environ))


def prefix(environ: Mapping[str, str]) -> str:
    """Path below which JupyterLab answers, with slashes at both ends: `/`, or what `NB_PREFIX` says."""
    inner = environ.get("NB_PREFIX", "").strip().strip("/")
    return f"/{inner}/" if inner else "/"


def base(port: int, environ: Mapping[str, str]) -> str:
    """Scheme, host and port of `port` as seen from outside, as far as the platform says."""
    if pod := environ.get("RUNPOD_POD_ID"):
        return f"https://{pod}-{port}.proxy.runpod.net"
    host, mapped = environ.get("PUBLIC_IPADDR", "").strip(), environ.get(f"VAST_TCP_PORT_{port}", "")
    if host and mapped:
        return f"http://{host}:{mapped}"
    return f"http://localhost:{port}"


def url(port: int, path: str, environ: Mapping[str, str], token: str = "") -> str:
    """Full address of `path` on `port`, with the token when there is one."""
    if not token:
        return base(port, environ) + path
    from urllib.parse import quote

    secret = quote(token.encode("utf-8", "surrogateescape"), safe="")
    return f"{base(port, environ)}{path}{'&' if '?' in path else '?'}token={secret}"


def outside(ports: list[int], environ: Mapping[str, str]) -> str:
    """What the portal's pages need to make links, as JSON: the ports' outside numbers where they differ."""
    mapped = {str(port): int(value) for port in ports if (value := environ.get(f"VAST_TCP_PORT_{port}", "")).isdigit()}
    return json.dumps({"ports": mapped, "base_url": prefix(environ)}, sort_keys=True)
