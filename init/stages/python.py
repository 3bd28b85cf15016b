"""Python environments: made by uv, then never moved in what is frozen."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict
from pathlib import Path

from init import activation
from init.failure import StageFailed
from init.plan import PythonSpec
from init.stages import layers
from init.stages.context import Context, Outcome
from init.stages.environment import Environment
from init.stages.requirements import Kept, Requirements, parse, read, without_frozen


def run(context: Context) -> Outcome:
    """Make the environment, or install a source's requirements into it. Raises StageFailed."""
    spec = context.stage.spec
    assert isinstance(spec, PythonSpec)
    environment = Environment(context, spec.env, spec.index, spec.index_strategy, spec.forbid)
    with environment.installing():
        if spec.source is None:
            environment.create(spec.python, _identity(spec), spec.conda)
        elif not environment.exists():
            raise StageFailed(
                f"the environment {spec.env} does not exist", hint=f"firstlight retry {spec.env}", retry=False
            )
        wanted = _requirements(context, spec)
        lines, kept = without_frozen(wanted.lines, environment.frozen() if spec.source is not None else {})
        texts = [line.text for line in lines]
        if context.part is not None and context.part[1] > 1:
            layers.install(environment, texts, wanted.options, context.part)
            if context.part[0] < context.part[1]:
                return Outcome(message=f"part {context.part[0]} of {context.part[1]}")
        else:
            environment.install(texts, *wanted.options)
        return _finish(context, spec, environment, kept, wanted.problems)


def abi(context: Context) -> dict[str, str]:
    return {"machine": platform.machine(), "libc": "-".join(platform.libc_ver())}


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
        made.append(_kernelspec(context, spec, environment))
    done = environment.notes / f"{context.stage.id.replace(':', '.')}.done"
    done.write_text("")
    remarks = [f"{line}" for line in kept] + problems
    return Outcome(
        message="; ".join([f"Python {environment.version}, {len(installed)} packages", *remarks[:3]]),
        result={"python": environment.version, "packages": len(installed), "frozen": frozen, "remarks": remarks},
        made=[*made, done],
    )


def _kernelspec(context: Context, spec: PythonSpec, environment: Environment) -> Path:
    """Show the environment as a notebook kernel."""
    folder = Path(context.plan.paths.disk, "share", "jupyter", "kernels", spec.env)
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "argv": [str(environment.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": spec.kernel,
        "language": "python",
        "env": activation.variables(environment.path, {**context.environ, "PATH": "${PATH}"}),
        "metadata": {"debugger": True},
    }
    # At the end of the kernel's path, where it hides nothing: `from firstlight_lab import progress`.
    (environment.packages / "firstlight.pth").write_text(f"{context.plan.paths.lab}\n")
    file = folder / "kernel.json"
    file.write_text(json.dumps(content, indent=1) + "\n")
    return file


def _identity(spec: PythonSpec) -> str:
    """What makes the environment anew when it changes."""
    fields = asdict(spec)
    for name in ("kernel", "layers", "freeze"):
        del fields[name]
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
