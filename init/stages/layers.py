"""Spreading an environment over several image layers of about the same size.

The first part resolves everything once and measures it; the list it writes is what the later parts install from, so
that they agree however long after it they run.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from init.failure import StageFailed
from init.stages import uv
from init.stages.environment import Environment
from init.stages.requirements import name_of


def install(
    environment: Environment, requirements: Sequence[str], options: Sequence[str], part: tuple[int, int]
) -> None:
    """Install part I of N (`part`, I from 1). Raises StageFailed."""
    index, count = part
    file = environment.notes / "layers.json"
    if index == 1:
        sizes = _measure(environment, requirements, options)
        file.write_text(json.dumps(partition(sizes, count), indent=1))
    try:
        parts: list[list[str]] = json.loads(file.read_text())
    except (OSError, ValueError):
        parts = []
    if len(parts) != count:
        raise StageFailed(f"part 1 of {count} was not installed before part {index}", hint="build again", retry=False)
    environment.install(parts[index - 1], *options, "--no-deps")


def partition(sizes: Mapping[str, int], count: int) -> list[list[str]]:
    """Requirements in `count` groups of sizes (bytes) as even as the largest one allows; always the same ones."""
    groups: list[tuple[int, list[str]]] = [(0, []) for _ in range(count)]
    for name, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        at = min(range(count), key=lambda number: (groups[number][0], number))
        groups[at] = (groups[at][0] + size, [*groups[at][1], name])
    return [sorted(names) for _, names in groups]


def _measure(environment: Environment, requirements: Sequence[str], options: Sequence[str]) -> dict[str, int]:
    """Installed size by pinned requirement, found by installing them into a folder beside uv's cache, as links."""
    context = environment.context
    wanted, resolved = environment.notes / "layers.in", environment.notes / "layers.txt"
    wanted.write_text("".join(f"{line}\n" for line in requirements))
    words: list[str | Path] = ["pip", "compile", "--quiet", "--no-header", "--no-annotate", "--output-file", resolved]
    uv.run(context, *words, *environment.target(), *options, wanted)
    pins = [line.strip() for line in resolved.read_text().splitlines() if line.strip()]
    scratch = Path(uv.environment(context)["UV_CACHE_DIR"], "firstlight-measure")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        into: list[str | Path] = [
            "--target",
            scratch,
            "--no-deps",
            "--link-mode",
            "hardlink",
            "--requirements",
            resolved,
        ]
        uv.run(context, "pip", "install", *environment.target(), *options, *into, env={"UV_COMPILE_BYTECODE": "0"})
        sizes = {}
        for folder in scratch.glob("*.dist-info"):
            name = folder.name.removesuffix(".dist-info").rpartition("-")[0]
            sizes[name_of(name)] = _size(folder / "RECORD")
        return {pin: sizes.get(name_of(pin), 0) for pin in pins}
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _size(record: Path) -> int:
    with record.open(newline="") as lines:
        return sum(int(row[2]) for row in csv.reader(lines) if len(row) > 2 and row[2].isdigit())
