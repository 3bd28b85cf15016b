"""What an image is made of, as one checksum: its tag."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from images import context, shipped

LABEL = "io.firstlight.content"
DIGITS = 12


class Unseen(Exception):
    """What a registry has cannot be seen; the text says why."""


def checksum(folder: Path, files: Mapping[str, str], arguments: Mapping[str, str]) -> str:
    """SHA-256 over all that a build takes from its context in `folder`, and over its arguments.

    `files` are the rendered ones; the base image and when set-up runs stand in them. Whatever else lies in the folder
    is left out of the account.
    """
    parts: dict[str, Any] = {"arguments": dict(arguments)}
    for name in sorted({*files, *context.OWNED}):
        if (folder / name).exists():
            parts[name] = shipped.digest(folder / name)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def of(image: Mapping[str, Any]) -> tuple[list[str], str]:
    """The layers of an image (`docker image inspect`), unpacked, and its content's checksum; empty: it does not say."""
    return list(image["RootFS"]["Layers"]), _label(image.get("Config"))


def held(reference: str) -> tuple[list[str], str] | None:
    """The same of what a registry has under this name; None when it has nothing; nothing in common with any image when
    it has several (for other platforms). Raises Unseen."""
    argv = ["docker", "buildx", "imagetools", "inspect", "--format", "{{json .Image}}", reference]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        if re.search(r"not found|manifest unknown|name unknown|does not exist", done.stderr, re.IGNORECASE):
            return None
        raise Unseen("".join(done.stderr.strip().splitlines()[-1:]))
    data = json.loads(done.stdout)
    if not isinstance(data, dict) or "rootfs" not in data:
        return [], ""
    return list(data["rootfs"]["diff_ids"]), _label(data.get("config"))


def _label(config: Mapping[str, Any] | None) -> str:
    return str(((config or {}).get("Labels") or {}).get(LABEL, ""))
