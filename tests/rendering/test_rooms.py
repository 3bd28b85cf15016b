"""What each room takes from the others is what docs/extend.md says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("manifests", "images", "init", "lab", "targets")


def taken(file: Path) -> set[str]:
    """Modules that a file imports, wherever it does, with their packages."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found


def allowed(room: str) -> str:
    page = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith(f"| `{room}/` |"))
    return row.split("|")[3]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_takes_what_the_page_names(room: str) -> None:
    files = [file for file in (ROOT / room).rglob("*.py") if "node_modules" not in file.parts]
    assert files
    modules = set().union(*(taken(file) for file in files))
    others = {name for name in (*ROOMS, "tests", "buildkit") if name != room and any(
        module.split(".")[0] == name for module in modules)}  # fmt: skip
    assert others <= set(re.findall(r"`(\w+)/`", allowed(room)))


def test_images_takes_of_the_runner_what_the_page_names() -> None:
    named = set(re.findall(r"`(\w+)`", allowed("images").partition("of `init/`")[2]))
    modules = set().union(*(taken(file) for file in (ROOT / "images").glob("*.py")))
    assert named == {module.split(".")[1] for module in modules if module.startswith("init.")}
