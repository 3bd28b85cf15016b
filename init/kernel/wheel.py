"""Wheels by their file names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from init.specs import WheelSpec


def fits(wheel: WheelSpec, name: str, arch: Sequence[str], version: str) -> bool:
    """The wheel is for this GPU and for this Python."""
    if wheel.arch and not set(arch) <= set(wheel.arch):
        return False
    try:
        tags = parse_wheel_filename(name)[3]
    except InvalidWheelFilename:
        return False
    python = (int(version.split(".")[0]), int(version.split(".")[1]))
    supported = {*cpython_tags(python), *compatible_tags(python, f"cp{python[0]}{python[1]}")}
    return bool(tags & supported)


def package(wheel: Path) -> str:
    return canonicalize_name(wheel.name.split("-")[0])
