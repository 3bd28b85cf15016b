"""Which GPUs there are: asked of a driver library, here a tiny one with the same interface."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from init.failure import StageFailed
from init.kernel import driver, gpu
from init.kernel.driver import Driver, Gpu
from init.plan import Stage
from init.specs import GpuSpec
from init.stages.gpu import judge
from tests.runner.support import House, command
from tests.stages.bench import write

GPUS = (Gpu("NVIDIA L4", 24 << 30, "8.9"),)
DRIVER = """
#include <string.h>
static int major[] = {9, 8, 8}, minor[] = {0, 9, 9};
int cuInit(unsigned flags) { return FAILS; }
int cuDeviceGetCount(int *count) { *count = 3; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuDriverGetVersion(int *version) { *version = 12040; return 0; }
int cuDeviceGetName(char *name, int length, int device) {
    strncpy(name, device ? "NVIDIA L4" : "NVIDIA H100", length);
    return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (device ? 24ul : 80ul) << 30; return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? major[device] : attribute == 76 ? minor[device] : -1;
    return 0;
}
"""


def library(folder: Path, fails: int) -> dict[str, str]:
    write(folder, {"driver.c": DRIVER})
    words = ["gcc", "-shared", "-fPIC", f"-DFAILS={fails}", "-o", "libcuda.so.1", "driver.c"]
    subprocess.run(words, cwd=folder, check=True)
    return {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(folder)}


def test_the_driver_is_asked(tmp_path: Path) -> None:
    assert gpu.capabilities(library(tmp_path, fails=0)) == ["9.0", "8.9"]


def test_nvidia_smi_answers_where_the_driver_does_not(tmp_path: Path) -> None:
    environ = library(tmp_path, fails=100)
    tool = write(tmp_path / "bin", {"nvidia-smi": "#!/bin/sh\necho 12.0\necho 12.0\n"}) / "nvidia-smi"
    tool.chmod(0o755)
    assert gpu.capabilities({**environ, "PATH": f"{tool.parent}:/usr/bin:/bin"}) == ["12.0"]


@pytest.mark.parametrize("script", ["echo 'No devices were found'", "echo 8.9; exit 9", "echo '[N/A]'"])
def test_what_is_no_answer_is_no_gpu(tmp_path: Path, script: str) -> None:
    tool = write(tmp_path / "bin", {"nvidia-smi": f"#!/bin/sh\n{script}\n"}) / "nvidia-smi"
    tool.chmod(0o755)
    environ = library(tmp_path, fails=100)
    assert gpu.capabilities({**environ, "PATH": f"{tool.parent}:/usr/bin:/bin"}) == []


@pytest.mark.parametrize(
    ("found", "cuda", "said"),
    [
        (None, "12.8", "no NVIDIA driver answers in this container"),
        (Driver("11.8", GPUS), "12.8", "the driver is too old: it supports CUDA 11.8, and this image needs 12.8"),
        (Driver("12.8", ()), "12.8", "the driver answers and shows no GPU"),
    ],
)
def test_a_machine_that_does_not_fit_is_said_to_be_so(found: Driver | None, cuda: str, said: str) -> None:
    with pytest.raises(StageFailed) as failed:
        judge(found, cuda)
    assert failed.value.message.startswith(said)
    assert failed.value.hint and not failed.value.retry


@pytest.mark.parametrize("cuda", ["12.8", "13.0", "13.2"])
def test_a_driver_runs_what_is_older(cuda: str) -> None:
    assert judge(Driver(cuda, GPUS), "12.8") == f"NVIDIA L4 (25.8 GB); the driver supports CUDA {cuda}"


def test_an_older_minor_release_is_no_failure_and_is_said() -> None:
    said = judge(Driver("12.4", GPUS), "12.8")
    assert "the driver supports CUDA 12.4, this image was made for 12.8: if the app complains" in said


def test_the_driver_tells_what_it_supports(tmp_path: Path) -> None:
    found = driver.driver(library(tmp_path, fails=0))
    assert found == Driver("12.4", (Gpu("NVIDIA H100", 80 << 30, "9.0"), *GPUS, *GPUS))
    assert driver.driver({"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": "/nonexistent"}) is None
    (tmp_path / "broken").mkdir()
    assert driver.driver(library(tmp_path / "broken", fails=100)) == Driver("12.4", ())


def test_a_start_on_a_machine_that_does_not_fit(tmp_path: Path) -> None:
    """JupyterLab's machine goes on without; the state says what is wrong, what it means and what to do."""
    stage = Stage(
        "gpu", "gpu", "GPU", [], GpuSpec("12.8"), attempts=1, on_failure="degrade", consequence="No pictures."
    )
    house = House(tmp_path / "house", [stage, command("after", "true", "gpu")])
    with house.running(LD_LIBRARY_PATH="/nonexistent", PATH=os.environ["PATH"]):
        house.until({"gpu": "degraded", "after": "done"})
    shown = house.stage("gpu")
    assert "no NVIDIA driver answers in this container" in shown.message and "--gpus all" in shown.message
    assert (shown.consequence, shown.repair) == ("No pictures.", "firstlight retry gpu")
    with house.running(**library(tmp_path, fails=0)):
        house.until({"gpu": "done"})
        assert "the driver supports CUDA 12.4" in house.stage("gpu").message, "another machine is looked at again"
