"""Under which address a user reaches a port of this machine, and where the plan is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
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


def base(port: int, environ: Mapping[str, str], https: bool = False) -> str:
    """Scheme, host and port of `port` as seen from outside, as far as the platform says. `https`: this machine itself
    speaks it."""
    if pod := environ.get("RUNPOD_POD_ID"):
        return f"https://{pod}-{port}.proxy.runpod.net"
    host, mapped = environ.get("PUBLIC_IPADDR", "").strip(), environ.get(f"VAST_TCP_PORT_{port}", "")
    scheme = "https" if https else "http"
    if host and mapped:
        return f"{scheme}://{host}:{mapped}"
    return f"{scheme}://localhost:{port}"


def url(port: int, path: str, environ: Mapping[str, str], token: str = "", https: bool = False) -> str:
    """Full address of `path` on `port`, with the token when there is one."""
    if not token:
        return base(port, environ, https) + path
    from urllib.parse import quote

    secret = quote(token.encode("utf-8", "surrogateescape"), safe="")
    return f"{base(port, environ, https)}{path}{'&' if '?' in path else '?'}token={secret}"


def vast(environ: Mapping[str, str]) -> bool:
    """Whether this is an instance of Vast.ai, where a port is open only when a `VAST_TCP_PORT_…` says so."""
    return bool(environ.get("VAST_CONTAINERLABEL") or environ.get("CONTAINER_ID"))


def mapped(ports: Iterable[int], environ: Mapping[str, str]) -> dict[str, int]:
    """The outside numbers of those ports that have another one there, by the number here."""
    return {str(port): int(value) for port in ports if (value := environ.get(f"VAST_TCP_PORT_{port}", "")).isdecimal()}
