"""How much memory there is, as cgroups of both versions tell it."""

from __future__ import annotations

from pathlib import Path

import pytest

from init import memory
from init.process import OutOfMemory, Runner
from tests.stages.bench import write


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "cgroup")
    return tmp_path / "cgroup"


def test_the_machines_memory(cgroups: Path) -> None:
    assert memory.available() > 100_000_000


def test_version_2(cgroups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"memory.max": "8000000\n", "memory.current": "5000000\n", "memory.stat": "anon 1\ninactive_file 1000000\n"}
    write(cgroups, {**files, "memory.events": "low 0\noom 3\noom_kill 2\n"})
    monkeypatch.setattr(memory, "_folders", lambda: [cgroups])
    assert memory.available() == 4_000_000
    assert memory.oom_kills() == 2
    write(cgroups, {"memory.max": "max\n"})
    assert memory.available() > 100_000_000


def test_version_1(cgroups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "memory.limit_in_bytes": "8000000",
        "memory.usage_in_bytes": "9000000",
        "memory.oom_control": "oom_kill 7\n",
    }
    write(cgroups / "memory", files)
    monkeypatch.setattr(memory, "_folders", lambda: [cgroups / "memory"])
    assert memory.available() == 0
    assert memory.oom_kills() == 7
    write(cgroups / "memory", {"memory.limit_in_bytes": str(2**63 - 4096)})
    assert memory.available() > 100_000_000


def test_the_kernels_kill_is_told_from_others(cgroups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(cgroups, {"memory.events": "oom_kill 0\n"})
    monkeypatch.setattr(memory, "_folders", lambda: [cgroups])
    runner = Runner(tmp_path / "log", tmp_path / "run", {"PATH": "/usr/bin:/bin"})
    count = f"echo oom_kill 1 > {cgroups}/memory.events"
    with pytest.raises(OutOfMemory, match="sh was killed because the memory was full") as failure:
        runner(["sh", "-c", f"{count}; kill -9 $$"])
    assert failure.value.hint == f"use a machine with more memory; see {tmp_path / 'log'}"
    write(cgroups, {"memory.events": "oom_kill 0\n"})
    with pytest.raises(OutOfMemory):
        runner(["sh", "-c", f"{count}; echo 'g++: fatal error: Killed signal terminated program cc1plus'; exit 1"])
