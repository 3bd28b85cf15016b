"""Python environments: made by uv, then never moved in what is frozen."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict
from pathlib import Path

from init import activation
from init.failure import StageFailed
from init.specs import PythonSpec
from init.stages import kernelspec, layers, upload, uv
from init.stages.context import Context, Outcome
from init.stages.environment import Environment
from init.stages.requirements import Kept, Requirements, parse, read, without_frozen
from init.stages.upload import Upload


def run(context: Context) -> Outcome:
    """Make the environment, or install a source's requirements into it. Raises StageFailed."""
    spec = context.stage.spec
    assert isinstance(spec, PythonSpec)
    environment = Environment(context, spec.env, spec.index, spec.index_strategy, spec.forbid)
    with environment.installing():
        mine = Upload() if context.baking or spec.source is not None else upload.requirements(context.plan.paths, spec)
        if spec.source is None:
            environment.create(spec.python, _identity(spec, mine), spec.conda)
        elif not environment.exists():
            raise StageFailed(
                f"the environment {spec.env} does not exist", hint=f"firstlight retry {spec.env}", retry=False
            )
        wanted = _requirements(context, spec)
        if mine.found is not None and _install_mine(environment, mine, wanted):
            return mine.told(_finish(context, spec, environment, [], wanted.problems))
        lines, kept = without_frozen(wanted.lines, environment.frozen() if spec.source is not None else {})
        texts = [line.text for line in lines]
        if context.part is not None and context.part[1] > 1:
            layers.install(environment, texts, wanted.options, context.part)
            if context.part[0] < context.part[1]:
                return Outcome(message=f"part {context.part[0]} of {context.part[1]}")
        else:
            environment.install(texts, *wanted.options)
        return mine.told(_finish(context, spec, environment, kept, wanted.problems))


def abi(context: Context) -> dict[str, str]:
    """Requirements of the user's come and change."""
    spec = context.stage.spec
    assert isinstance(spec, PythonSpec)
    found = {"machine": platform.machine(), "libc": "-".join(platform.libc_ver())}
    digest = "" if context.baking else upload.digest(context.plan.paths, spec)
    return {**found, "upload": digest} if digest else found


def _install_mine(environment: Environment, mine: Upload, wanted: Requirements) -> bool:
    """Install what the user asks for, and of the image's own list what that does not name. False when it cannot be
    installed; the reason is noted."""
    assert mine.found is not None
    named = {line.name for line in mine.found.lines}
    lines = [*mine.found.lines, *(line for line in wanted.lines if line.name not in named)]
    try:
        environment.install([line.text for line in lines], *wanted.options, *mine.found.options)
    except uv.Unfit as refused:
        mine.refuse(refused.message)
    return not mine.refused


def _requirements(context: Context, spec: PythonSpec) -> Requirements:
    own = list(spec.packages) + (["ipykernel"] if spec.kernel is not None else [])
    if spec.source is None:
        # Install scripts and users call pip.
        return Requirements(parse([*own, "pip"], "manifest"))
    found = Requirements(parse(own, "manifest"))
    root = context.plan.paths.source(spec.source)
    for name in spec.requirements:
        if (root / name).is_file():
            more = read(root / name, root)
            found.lines += more.lines
            found.options += more.options
            found.problems += more.problems
    return found


def _finish(
    context: Context, spec: PythonSpec, environment: Environment, kept: list[Kept], problems: list[str]
) -> Outcome:
    frozen = environment.freeze(spec.freeze)
    installed = environment.installed()
    made = [environment.python, environment.freeze_file]
    if spec.kernel is not None:
        made.append(_kernel(context, spec.env, spec.kernel, environment))
    done = environment.notes / f"{context.stage.id.replace(':', '.')}.done"
    done.write_text("")
    remarks = [f"{line}" for line in kept] + problems
    return Outcome(
        message="; ".join([f"Python {environment.version}, {len(installed)} packages", *remarks[:3]]),
        result={
            "python": environment.version,
            "packages": len(installed),
            "frozen": frozen,
            "remarks": remarks,
            "path": str(environment.path),
            **({"requirements_from": spec.requirements_from} if spec.requirements_from else {}),
        },
        made=[*made, done],
    )


def _kernel(context: Context, name: str, title: str, environment: Environment) -> Path:
    """Show the environment as a notebook kernel."""
    paths = context.plan.paths
    # At the end of the kernel's path, where it hides nothing: `from firstlight_lab import progress`.
    (environment.packages / "firstlight.pth").write_text(f"{paths.lab}\n")
    env = activation.variables(environment.path, {**context.environ, "PATH": "${PATH}"})
    return kernelspec.write(paths, name, title, environment.python, env)


def _identity(spec: PythonSpec, mine: Upload) -> str:
    """What makes the environment anew when it changes."""
    fields = asdict(spec) | ({"upload": mine.digest} if mine.digest else {})
    for name in ("kernel", "layers", "freeze"):
        del fields[name]
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
