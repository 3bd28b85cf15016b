"""What JupyterLab offers to run a notebook with: Python environments as kernels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from init.paths import Paths


def write(paths: Paths, name: str, title: str, python: Path, env: Mapping[str, str], debugger: bool = True) -> Path:
    """Offer `python` as the kernel `name`; the file that says so."""
    folder = Path(paths.disk, "share", "jupyter", "kernels", name)
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": title,
        "language": "python",
        "env": env,
        "metadata": {"debugger": debugger},
    }
    file, part = folder / "kernel.json", folder / ".kernel.json.new"
    part.write_text(json.dumps(content, indent=1) + "\n")
    with suppress(FileNotFoundError):
        part.replace(file)
    return file
