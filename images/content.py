"""What an image is made of, as one checksum: its tag."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from images import render, shipped

LABEL = "io.firstlight.content"
DIGITS = 12


def checksum(folder: Path, files: Mapping[str, str], arguments: Mapping[str, str]) -> str:
    """SHA-256 over all that a build takes from its context in `folder`, and over its arguments.

    `files` are the rendered ones; the base image and when set-up runs stand in them. Whatever else lies in the folder
    is left out of the account.
    """
    parts: dict[str, Any] = {"arguments": dict(arguments)}
    for name in sorted({*files, *render.OWNED}):
        if (folder / name).exists():
            parts[name] = shipped.digest(folder / name)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def of(image: Mapping[str, Any]) -> tuple[list[str], str]:
    """The layers of an image (`docker image inspect`), unpacked, and its content's checksum; empty: it does not say."""
    return list(image["RootFS"]["Layers"]), _label(image.get("Config"))


def held(reference: str) -> tuple[list[str], str] | None:
    """The same of what a registry has under this name; None when it has nothing, or no single image."""
    argv = ["docker", "buildx", "imagetools", "inspect", "--format", "{{json .Image}}", reference]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    data = json.loads(done.stdout) if done.returncode == 0 else {}
    if not isinstance(data, dict) or "rootfs" not in data:
        return None
    return list(data["rootfs"]["diff_ids"]), _label(data.get("config"))


def _label(config: Mapping[str, Any] | None) -> str:
    return str(((config or {}).get("Labels") or {}).get(LABEL, ""))
