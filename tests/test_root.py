"""Tests that need root say so before the first of them runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import root

ROOT = Path(__file__).resolve().parent.parent
AS_USER = "import os\n\nos.geteuid = lambda: 1000\n"
"""A plugin, which workers load, too."""
NEEDY = ("tests/runner/test_store.py", "tests/fetch/test_space.py")


def run(programs: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """pytest's run for somebody who is not root, with only these programs."""
    (programs / "anybody.py").write_text(AS_USER)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "anybody", *words]
    environ = os.environ | {"PATH": str(programs), "PYTHONPATH": str(programs)}
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


def told(done: subprocess.CompletedProcess[str]) -> bool:
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout + done.stderr
    said = root.NEEDED.format(files="tests/fetch/test_space.py, tests/runner/test_store.py")
    return f"ERROR: {said}" in done.stdout + done.stderr and "INTERNALERROR" not in done.stdout


@pytest.mark.parametrize("sudo", ["", "exit 1", "exit 0"], ids=["without-sudo", "sudo-asks", "sudo-does-not-ask"])
def test_who_may_not_is_told_at_once(tmp_path: Path, sudo: str) -> None:
    if sudo:
        (tmp_path / "sudo").write_text(f"#!/bin/sh\n{sudo}\n")
        (tmp_path / "sudo").chmod(0o755)
    done = run(tmp_path, "--collect-only", *NEEDY, "tests/runner/test_graph.py")
    if sudo == "exit 0":
        assert done.returncode == 0, done.stdout
    else:
        assert told(done)


def test_so_do_workers(tmp_path: Path) -> None:
    done = run(tmp_path, "-n", "2", *NEEDY)
    assert told(done)
    assert "passed" not in done.stdout


def test_tests_that_do_not_need_it_run_without(tmp_path: Path) -> None:
    assert run(tmp_path, "--collect-only", "tests/runner/test_graph.py").returncode == 0
