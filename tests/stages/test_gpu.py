"""Which GPUs there are: asked of a driver library, here a tiny one with the same interface."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from init.kernel import gpu
from tests.stages.bench import write

DRIVER = """
static int major[] = {9, 8, 8}, minor[] = {0, 9, 9};
int cuInit(unsigned flags) { return FAILS; }
int cuDeviceGetCount(int *count) { *count = 3; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? major[device] : attribute == 76 ? minor[device] : -1;
    return 0;
}
"""


def driver(folder: Path, fails: int) -> dict[str, str]:
    write(folder, {"driver.c": DRIVER})
    words = ["gcc", "-shared", "-fPIC", f"-DFAILS={fails}", "-o", "libcuda.so.1", "driver.c"]
    subprocess.run(words, cwd=folder, check=True)
    return {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(folder)}


def test_the_driver_is_asked(tmp_path: Path) -> None:
    assert gpu.capabilities(driver(tmp_path, fails=0)) == ["9.0", "8.9"]


def test_nvidia_smi_answers_where_the_driver_does_not(tmp_path: Path) -> None:
    environ = driver(tmp_path, fails=100)
    tool = write(tmp_path / "bin", {"nvidia-smi": "#!/bin/sh\necho 12.0\necho 12.0\n"}) / "nvidia-smi"
    tool.chmod(0o755)
    assert gpu.capabilities({**environ, "PATH": f"{tool.parent}:/usr/bin:/bin"}) == ["12.0"]


@pytest.mark.parametrize("script", ["echo 'No devices were found'", "echo 8.9; exit 9", "echo '[N/A]'"])
def test_what_is_no_answer_is_no_gpu(tmp_path: Path, script: str) -> None:
    tool = write(tmp_path / "bin", {"nvidia-smi": f"#!/bin/sh\n{script}\n"}) / "nvidia-smi"
    tool.chmod(0o755)
    environ = driver(tmp_path, fails=100)
    assert gpu.capabilities({**environ, "PATH": f"{tool.parent}:/usr/bin:/bin"}) == []
