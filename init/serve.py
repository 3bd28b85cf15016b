"""`firstlight serve ID`: becomes a service's program, the portal, or sshd. What supervisord starts.

The command line comes from the plan and from what the runner found out (a kernel's arguments once it works), not from
supervisord's configuration: values of the manifest's author never meet supervisord's syntax.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from init import access, activation, address, control, desktop, state
from init.complaint import Complaint
from init.paths import rescue
from init.plan import Plan, PlanError, ServiceSpec, load
from init.specs import KernelSpec

MISSING = 127
ANSWERS_WITHIN = 3.0
"""Seconds for the runner to say which kernels work."""


def main(argv: Sequence[str]) -> int:
    """Does not return when all is well. 2: usage; 127: the program is not there."""
    if len(argv) != 1:
        print("usage: firstlight serve ID", file=sys.stderr)
        return 2
    try:
        if argv[0] == "portal":
            return portal(os.environ)
        if argv[0] == "sshd":
            return sshd(os.environ)
        plan = address.plan()
    except Complaint as error:
        return _refuse(argv[0], str(error))
    service = next((s for s in plan.services if s.id == argv[0]), None)
    if service is None:
        known = ", ".join(s.id for s in plan.services) or "none"
        return _refuse(argv[0], "no such service", f"services of this image: {known}")
    return become(plan, service, os.environ)


def portal(environ: Mapping[str, str]) -> int:
    """Become Caddy, which tells what is wrong even with a plan that cannot be read. Raises NoPlan."""
    from init import portal

    text, plan = address.text(environ), None
    paths = rescue(text)[1]
    with suppress(PlanError):
        plan = load(text)
    config = Path(paths.home, "etc", "Caddyfile")
    env = {**environ, **portal.environment(plan, paths, environ, config)}
    return _exec("portal", portal.command("run", config), env, "install caddy")


def sshd(environ: Mapping[str, str]) -> int:
    """Become OpenSSH's server. Raises NoPlan, NoKey."""
    from init import ssh

    words = ssh.serve(rescue(address.text(environ))[1], environ)
    return _exec("sshd", words, environ, "install openssh-server")


def become(plan: Plan, service: ServiceSpec, environ: Mapping[str, str]) -> int:
    """Replace this process with the service's program."""
    folder = directory(plan, service)
    env = environment(plan, service, environ)
    words = command(plan, service, _snapshot(plan))
    if service.draws and not desktop.there(env):
        return _refuse(service.id, "the desktop has no screen to draw on", "firstlight retry service:desktop")
    try:
        os.chdir(folder)
    except OSError as error:
        return _refuse(service.id, f"{folder}: {error.strerror}", _repair(service))
    return _exec(service.id, words, env, _repair(service))


def directory(plan: Plan, service: ServiceSpec) -> Path:
    return plan.paths.source(service.cwd) if service.cwd else Path(plan.paths.workspace)


def command(plan: Plan, service: ServiceSpec, snapshot: state.Snapshot | None) -> list[str]:
    """The command line: the plan's words, and the arguments of the kernels that work."""
    words = [_fill(word, _values(plan, service)) for word in service.command]
    done = {s.id for s in snapshot.stages if s.state == "done"} if snapshot else set()
    for stage in plan.stages:
        if isinstance(stage.spec, KernelSpec) and stage.id in done:
            words += [_fill(word, _values(plan, service)) for word in stage.spec.adds.get(service.id, [])]
    return words


def environment(plan: Plan, service: ServiceSpec, environ: Mapping[str, str]) -> dict[str, str]:
    """The user's environment without what opens the portal, the service's Python environment first on PATH."""
    env = {k: v for k, v in environ.items() if k not in access.PRIVATE and not k.startswith("SUPERVISOR_")}
    env.pop("PYTHONHOME", None)
    env.setdefault("PYTHONUNBUFFERED", "1")
    if service.env is not None:
        env |= activation.variables(plan.paths.env(service.env), env)
    values = _values(plan, service)
    env |= {name: _fill(value, values) for name, value in service.environment.items()}
    return env


def _values(plan: Plan, service: ServiceSpec) -> dict[str, str]:
    source = (service.cwd or service.id).partition("/")[0]
    return {
        "port": str(service.listen if service.listen is not None else service.port or ""),
        "workspace": plan.paths.workspace,
        "models": str(plan.models),
        "source": str(plan.paths.source(source)),
        "files": str(plan.paths.files),
        "run": plan.paths.run,
    }


def _fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with `{name}` replaced for the names of `values`. In one pass: what was filled in stays as it is."""
    return re.sub(r"\{(" + "|".join(values) + r")\}", lambda found: values[found[1]], text)


def _snapshot(plan: Plan) -> state.Snapshot | None:
    """As the runner knows it now, else as it last wrote it down."""
    with suppress(control.NotRunning, control.Refused, ValueError):
        return state.load(control.ask(Path(plan.paths.run), {"do": "state"}, timeout=ANSWERS_WITHIN)["state"])
    try:
        return state.latest(Path(plan.paths.run), plan.paths.state)
    except (OSError, ValueError):
        return None


def _repair(service: ServiceSpec) -> str:
    stages = " ".join(need.id for need in service.needs if not need.id.startswith("service:"))
    return f"firstlight retry {stages.split(' ')[0]}" if stages else "see `firstlight status`"


def _exec(name: str, words: list[str], env: Mapping[str, str], remedy: str) -> int:
    try:
        os.execvpe(words[0], words, env)
    except OSError as error:
        return _refuse(name, f"{words[0]}: {error.strerror}", remedy)


def _refuse(name: str, text: str, remedy: str = "") -> int:
    print(f"firstlight serve {name}: {text}" + (f"\n  {remedy}" if remedy else ""), file=sys.stderr, flush=True)
    return MISSING
