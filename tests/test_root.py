"""Tests that need root say so before the first of them runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import root

ROOT = Path(__file__).resolve().parent.parent
AS_USER = "import os, sys; os.geteuid = lambda: 1000; import pytest; sys.exit(pytest.main(sys.argv[1:]))"


def selected(programs: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """pytest's run for somebody who is not root, with only these programs."""
    command = [sys.executable, "-c", AS_USER, "-q", "--collect-only", *tests]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PATH": str(programs)}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("sudo", ["", "exit 1", "exit 0"], ids=["without-sudo", "sudo-asks", "sudo-does-not-ask"])
def test_who_may_not_is_told_at_once(tmp_path: Path, sudo: str) -> None:
    if sudo:
        (tmp_path / "sudo").write_text(f"#!/bin/sh\n{sudo}\n")
        (tmp_path / "sudo").chmod(0o755)
    done = selected(tmp_path, "tests/runner/test_store.py", "tests/runner/test_graph.py", "tests/fetch/test_space.py")
    if sudo == "exit 0":
        assert done.returncode == 0, done.stdout
        return
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    said = root.NEEDED.format(files="tests/fetch/test_space.py, tests/runner/test_store.py")
    assert f"ERROR: {said}" in done.stdout + done.stderr


def test_tests_that_do_not_need_it_run_without(tmp_path: Path) -> None:
    assert selected(tmp_path, "tests/runner/test_graph.py").returncode == 0
