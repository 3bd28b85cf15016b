"""What the host's code takes from the runner's is what docs/extend.md says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def taken(file: Path) -> set[str]:
    """Modules of `init/` that a file imports, wherever it does."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "init":
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("init."):
            found.add(str(node.module).removeprefix("init."))
        elif isinstance(node, ast.Import):
            found |= {name.name.removeprefix("init.") for name in node.names if name.name.startswith("init")}
    return found


def test_images_takes_of_the_runner_what_the_page_names() -> None:
    page = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith("| `images/` |"))
    named = set(re.findall(r"`(\w+)`", row.partition("of `init/`")[2]))
    assert named == set().union(*(taken(file) for file in (ROOT / "images").glob("*.py")))
