"""Manifests for the tests of the lock."""

from __future__ import annotations

import textwrap
from pathlib import Path

from manifests.load import Loaded, load

BASE = "registry.invalid/base:1"


def manifest(folder: Path, body: str = "", *, base: str = BASE, name: str = "case") -> Loaded:
    """A manifest with `body` below its first lines."""
    path = folder / f"{name}.yaml"
    path.write_text(f"manifest: 1\nname: {name}\nimage: {{base: '{base}'}}\n{textwrap.dedent(body)}")
    return load(str(path))


def sets(*files: str, repo: str = "owner/name", revision: str = "main", more: str = "") -> str:
    """A model set `weights` of these paths of one Hugging Face repository."""
    lines = [
        "models:",
        "  sets:",
        "    weights:",
        f"      hf: {repo}",
        f"      revision: {revision}",
        f"      files: [{', '.join(files)}]",
    ]
    return "\n".join(lines) + "\n" + more
