"""`./buildkit.py` as a user meets it: exit codes, and no traceback for what the user can mend."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = "manifest: 1\nname: mine\nimage: {base: debian:12}\ncommands: {a: {run: 'true', inputs: [here.txt]}}\n"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A manifest that does not lie in the repository, with a file beside it."""
    (tmp_path / "here.txt").touch()
    (tmp_path / "mine.yaml").write_text(MANIFEST)
    return tmp_path


def buildkit(folder: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, output, errors."""
    command = [sys.executable, str(ROOT / "buildkit.py"), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_manifest_anywhere(outside: Path) -> None:
    assert buildkit(outside, "check", "mine.yaml") == (0, "mine.yaml: fine\n", "")
    code, said, _ = buildkit(outside, "render", "mine.yaml", "-o", "made")
    assert (code, said.startswith("made: Caddyfile, Dockerfile, ")) == (0, True)
    assert {"Dockerfile", "supervisord.conf", "Caddyfile", "plan.json"} <= {
        p.name for p in (outside / "made").iterdir()
    }
    assert buildkit(outside, "render", "mine.yaml", "-o", "made", "--diff") == (0, "", "")
    (outside / "made" / "Caddyfile").unlink()
    assert buildkit(outside, "render", "mine.yaml", "-o", "made", "--diff")[0] == 1


def test_refused_is_78_and_usage_is_2(outside: Path) -> None:
    (outside / "here.txt").unlink()
    code, said, complaint = buildkit(outside, "render", "mine.yaml")
    assert (code, said) == (78, "")
    assert complaint.startswith("mine.yaml:4:38: error: here.txt does not exist\n")
    assert buildkit(outside, "render")[0] == 2
    assert buildkit(outside, "lock", "mine.yaml", "--check", "--update", "all")[0] == 2


def test_a_folder_that_cannot_be_written(outside: Path) -> None:
    code, said, complaint = buildkit(outside, "render", "mine.yaml", "-o", "here.txt")
    assert (code, said) == (1, "")
    assert complaint == "error: here.txt: File exists\n  hint: make it accessible, or give another place\n"


def test_the_repair_can_be_copied(outside: Path) -> None:
    code, said, _ = buildkit(outside, "lock", "mine.yaml", "--check")
    assert (code, said) == (1, "mine: pending lock: mine has none yet; run `./buildkit.py lock mine.yaml`\n")
