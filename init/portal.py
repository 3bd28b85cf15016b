"""What the portal is started with: its environment holds what the image cannot know.

The secrets that it compares requests with, whether it speaks HTTPS, and what `PORTAL_CONFIG` adds. Its configuration
takes these in where it names them, so that nothing of them lies in a file."""

from __future__ import annotations

import errno
import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

from init import access, address, portalconfig, redact, tls
from init.paths import Paths
from init.plan import Plan
from init.portalconfig import Settled

VALIDATED_WITHIN = 20.0


def command(verb: str, config: Path) -> list[str]:
    return ["caddy", verb, "--config", str(config), "--adapter", "caddyfile"]


def environment(plan: Plan | None, paths: Paths, environ: Mapping[str, str], config: Path) -> dict[str, str]:
    """What comes to Caddy's environment. Without a plan that can be read, only what opens it."""
    https = tls.on(paths)
    env = {
        **access.credentials(access.current(paths), environ),
        "FIRSTLIGHT_POD": environ.get("RUNPOD_POD_ID", "").lower(),
        "FIRSTLIGHT_SECURE": "import secure" if https else "",
        "FIRSTLIGHT_LAB_FORWARD": "forward_secure" if https else "forward",
        "FIRSTLIGHT_LAB_PATH": address.prefix(environ) + "lab",
        "XDG_DATA_HOME": str(Path(paths.run, "caddy")),
        "XDG_CONFIG_HOME": str(Path(paths.run, "caddy")),
    }
    settled, ports = Settled(), []
    if plan is not None:
        ports = [plan.jupyter.port, plan.portal_port, *(s.port for s in plan.services if s.port is not None)]
        settled = portalconfig.read(environ.get("PORTAL_CONFIG", ""), plan, environ)
        settled = _served(settled, plan, {**environ, **env}, config)
        lab = plan.jupyter.port
        env["FIRSTLIGHT_LAB_PORT"] = str(address.mapped([lab], environ).get(str(lab), lab))
    safe = redact.Redactor(redact.secrets(environ))
    problems = [safe.text(problem) for problem in settled.problems]
    for problem in problems:
        print(f"firstlight serve portal: {problem}", file=sys.stderr, flush=True)
    ports += [place.port for place in settled.places if place.port is not None]
    outside = {
        "base_url": address.prefix(environ),
        "places": [asdict(place) for place in settled.places],
        "ports": address.mapped(ports, environ),
        "problems": problems,
    }
    return env | {"FIRSTLIGHT_ENTRIES": sites(settled), "FIRSTLIGHT_OUTSIDE": json.dumps(outside, sort_keys=True)}


def sites(settled: Settled) -> str:
    """What the configuration takes in: numbers, and nothing else of what was given."""
    return "\n".join(f":{port:d} {{\n\timport entry {to:d}\n}}\n" for port, to in sorted(settled.forwards.items()))


def _served(settled: Settled, plan: Plan, environ: Mapping[str, str], config: Path) -> Settled:
    """Without the ports that cannot be served: a portal that cannot have one of its ports does not start at all."""
    for port in sorted(settled.forwards):
        if reason := _occupied(port, plan.local):
            settled = _without(settled, [port], f"PORTAL_CONFIG: port {port} {reason}; choose another port.")
    if settled.forwards:
        env = {**environ, "FIRSTLIGHT_ENTRIES": sites(settled)}
        try:
            done = subprocess.run(
                command("validate", config), env=env, capture_output=True, text=True, timeout=VALIDATED_WITHIN
            )
            reason = done.stderr.strip().rpartition("\n")[2] if done.returncode else ""
        except (OSError, subprocess.SubprocessError) as error:
            reason = str(error)
        if reason:
            text = f"PORTAL_CONFIG: none of its ports can be served, Caddy says: {reason}; choose other ports."
            settled = _without(settled, list(settled.forwards), text)
    return settled


def _without(settled: Settled, ports: list[int], problem: str) -> Settled:
    return replace(
        settled,
        places=[place for place in settled.places if place.port not in ports],
        forwards={port: to for port, to in settled.forwards.items() if port not in ports},
        problems=[*settled.problems, problem],
    )


def _occupied(port: int, local: bool) -> str:
    """Why this port cannot be listened on; empty when it can."""
    for family in (socket.AF_INET,) if local else (socket.AF_INET6, socket.AF_INET):
        try:
            with closing(socket.socket(family)) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1" if local else "", port))
                probe.listen()
            return ""
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "is another program's already"
            reason = f"cannot be listened on ({error.strerror})"
    return reason
