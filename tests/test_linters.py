"""The linters, as tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    "command", [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]], ids=["ruff", "format", "mypy"]
)
def test_linter_finds_nothing(command: list[str]) -> None:
    program = Path(sys.executable).with_name(command[0])
    assert program.exists(), f"{command[0]} is not installed: `make setup` does it"
    found = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_mypy_checks_every_python_file() -> None:
    read = "from mypy.main import process_options; print(*(s.path for s in process_options([])[0]), sep='\\n')"
    checked = subprocess.run([sys.executable, "-c", read], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = ["git", "ls-files", "*.py", ":!tests/manifests/refused/"]
    ours = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {ROOT / name for name in ours.split()} <= {ROOT / name for name in checked.split()}
