"""Building a wheel on this machine, for the GPUs that are there, within its memory."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from init import memory
from init.failure import StageFailed
from init.kernel import toolkit
from init.process import OutOfMemory, gist
from init.specs import KernelSpec
from init.stages import uv
from init.stages.context import Context
from init.stages.environment import Environment

RESERVE = 0.1
"""Part of the free memory that a build leaves to everything else."""
_NINJA = re.compile(r"^\[(\d+)/(\d+)\]")
_OF_UV = re.compile(r"\s*(error: Failed to build|cause:|hint:|error: command )")
"""Lines that only say that something failed."""
_HINTS = (
    (r"Python\.h: No such file", "add the Python headers to `image.apt`: python3-dev"),
    (
        r"CUDA_HOME|nvcc(:)? (command )?not found|cannot find.*nvcc",
        "use a base image with the CUDA compiler (`-devel`)",
    ),
    (r"No module named '?([\w.]+)", "add the missing build requirement to the kernel's `packages`"),
    (
        r"(gcc|g\+\+|cc|c\+\+)\S*: (command )?not found|No such file or directory: '(gcc|g\+\+|cc)",
        "add build-essential",
    ),
    (r"unsupported GNU version", "this CUDA needs an older compiler: use a newer CUDA base image"),
    (r"detected CUDA version .* mismatches", "torch and the base image must be of the same CUDA major version"),
)


def jobs(memory_per_job: int, free: int, cores: int) -> int:
    """How many compilers may run at once."""
    return max(1, min(cores, free // max(1, memory_per_job)))


def build(context: Context, spec: KernelSpec, source: Path, arch: Sequence[str], environment: Environment) -> Path:
    """The wheel, below the source's `firstlight-dist`. Raises StageFailed, its subclass OutOfMemory for want of memory.

    What is compiled already is not compiled again where the project's build tool (ninja) sees it.
    """
    free = int(memory.available() * (1 - RESERVE))
    at_once = jobs(spec.memory_per_job, free, len(os.sched_getaffinity(0)))
    try:
        return _build(context, spec, source, arch, environment, at_once, free)
    except OutOfMemory:
        if at_once == 1 or context.cancel.is_set():
            raise
        context.report(message=f"the memory was full with {at_once} compilers; going on with one")
        return _build(context, spec, source, arch, environment, 1, free)


def _build(
    context: Context,
    spec: KernelSpec,
    source: Path,
    arch: Sequence[str],
    environment: Environment,
    at_once: int,
    limit: int,
) -> Path:
    project = source / (spec.subdirectory or ".")
    if not project.resolve().is_relative_to(source.resolve()) or not project.is_dir():
        raise StageFailed(f"{spec.name} has no folder {spec.subdirectory}", hint="correct `subdirectory`", retry=False)
    out = source / "firstlight-dist"
    shutil.rmtree(out, ignore_errors=True)
    env = {**environment.guards(), **_toolkit(context, environment, arch)}
    env |= {"MAX_JOBS": str(at_once), "CMAKE_BUILD_PARALLEL_LEVEL": str(at_once), **spec.environment}
    context.report(message=f"compiling{' for ' + ', '.join(arch) if arch else ''} with {at_once} jobs")
    argv: list[str | Path] = [
        uv.executable(context),
        "build",
        "--wheel",
        "--no-build-isolation",
        "--python",
        environment.python,
        "--out-dir",
        out,
        project,
    ]
    lines: list[str] = []

    def heard(line: str) -> None:
        lines.append(line)
        del lines[:-2000]
        if match := _NINJA.match(line):
            context.report(message=f"compiling, step {match[1]} of {match[2]}")

    try:
        context.run(argv, cwd=project, env=env, on_line=heard, memory=limit)
    except OutOfMemory:
        raise
    except StageFailed as failure:
        text = "\n".join(lines)
        advice = [hint for pattern, hint in _HINTS if re.search(pattern, text)]
        hint = "; ".join([*advice[:1], failure.hint or ""]).strip("; ")
        told = gist([line for line in lines if not _OF_UV.match(line)]) if "ended with" in failure.message else ""
        raise StageFailed(told or failure.message, hint=hint, retry=False) from None
    wheels = sorted(out.glob("*.whl"))
    if len(wheels) != 1:
        raise StageFailed(f"building {spec.name} made {len(wheels)} wheels instead of one", retry=False)
    return wheels[0]


def _toolkit(context: Context, environment: Environment, arch: Sequence[str]) -> dict[str, str]:
    """Variables that lead a build to the CUDA compiler and tell it the GPUs."""
    if not arch:
        return {}
    # Projects split the list on `;` only: a blank would make one unknown entry of it.
    env = {"TORCH_CUDA_ARCH_LIST": ";".join(arch)}
    links = Path(context.plan.paths.disk, "cache", "cuda")
    return env | toolkit.variables(context.environ, environment.packages, environment.guards()["PATH"], links)
