"""The layers of an image that has been built: those that are too large to be pulled well, and what to do about them."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from manifests.environments import MOST_LAYERS

LARGEST = 2_000_000_000
"""Bytes, unpacked. One layer is one transfer: a larger one makes a pull wait for a single connection."""
BAKES = re.compile(r"firstlight bake (?P<stage>\S+)(?: --part \d+/(?P<parts>\d+))?")
INSTALLS = re.compile(r"apt-get .*install [^;]*|uv pip install [^;#]*")
OURS = ("/run/secrets/ca", "/opt/firstlight")
"""What stands in the instructions of our Dockerfile, and in no base image's."""
SHOWN = 80


def large(history: Iterable[Mapping[str, Any]], envs: Collection[str]) -> list[str]:
    """A sentence for each layer over `LARGEST`: its size, the instruction that made it, the remedy.

    `history` is Docker's (`Size` in bytes, `CreatedBy`), newest first; `envs` are the manifest's Python environments.
    """
    return [
        f"layer of {entry['Size'] / 1e9:.1f} GB: {_instruction(entry['CreatedBy'])}\n"
        f"  hint: {_remedy(entry['CreatedBy'], entry['Size'], envs)}"
        for entry in reversed(list(history))
        if entry["Size"] > LARGEST
    ]


def _instruction(made_by: str) -> str:
    if found := BAKES.search(made_by):
        return f"RUN {found[0]}"
    if found := INSTALLS.search(made_by):
        made_by = f"RUN {found[0]}"
    words = " ".join(made_by.replace("# buildkit", "").split()) or "the base image"
    return words if len(words) <= SHOWN else f"{words[: SHOWN - 1]}…"


def _remedy(made_by: str, size: int, envs: Collection[str]) -> str:
    if found := BAKES.search(made_by):
        stage = found["stage"].strip("'")
        if stage in envs:
            parts = min(MOST_LAYERS, int(found["parts"] or 1) * math.ceil(size / LARGEST))
            return f"`layers: {parts}` of `python.envs.{stage}` divides it"
        return f"`at: start` of {stage} leaves it to the first start"
    if not any(mark in made_by for mark in OURS):
        return "it comes with the base image: take a smaller `image.base`"
    if "apt-get" in made_by:
        return "ask for fewer packages in `image.apt`"
    if "uv pip install" in made_by:
        return "ask for fewer packages in `jupyter.packages`"
    return "ship less with the manifest"
