"""Kernels for a GPU, with the real nvcc that PyPI's CUDA 13 wheels carry: to compile takes no GPU."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from init.kernel import toolkit
from init.specs import Code, KernelSpec, PythonSpec
from tests.stages.bench import Bench, ran, write
from tests.stages.test_kernel import TOML, with_gpu

PACKAGES = [
    "cuda-toolkit[cccl,cudart,nvcc]==13.0.2",
    "nvidia-cuda-crt==13.0.88",
    "nvidia-nvvm==13.0.88",
    "setuptools",
]
KERNEL = """
#include <Python.h>
#include <cuda_runtime.h>
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define FENCE asm volatile("wgmma.fence.sync.aligned;")
#else
#define FENCE
#endif
__global__ void scale(float *x, float a) { FENCE; x[blockIdx.x * blockDim.x + threadIdx.x] *= a; }
static PyObject *runtime(PyObject *self, PyObject *none) {
    int version = 0;
    cudaRuntimeGetVersion(&version);
    return PyLong_FromLong(version);
}
static PyMethodDef methods[] = {{"runtime", runtime, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "scaling", "", -1, methods};
PyMODINIT_FUNC PyInit_scaling(void) { return PyModule_Create(&module); }
"""
SETUP = """
import os, subprocess, sysconfig
from setuptools import Extension, setup
home, archs = os.environ["CUDA_HOME"], os.environ["TORCH_CUDA_ARCH_LIST"].split(";")
targets = [text.replace(".", "") + ("a" if text in ("9.0", "12.0") else "") for text in archs]
flags = [f"-gencode=arch=compute_{target},code=sm_{target}" for target in targets]
include = sysconfig.get_path("include")
words = ["nvcc", *flags, "-I", include, "-Xcompiler", "-fPIC", "-c", "scaling.cu", "-o", "scaling.o"]
subprocess.run(words, check=True)
extension = Extension("scaling", [], extra_objects=["scaling.o"], libraries=["cudart", "stdc++"],
                      runtime_library_dirs=[f"{home}/lib"])
setup(name="scaling", version="1.0", ext_modules=[extension])
"""
PROBE = "import scaling; print('CUDA', scaling.runtime()); assert scaling.runtime() // 1000 == 13"
SPEC = KernelSpec(
    "scaling", "app", Code(path="scaling", digest="d1"), "probe.py", arch=["8.9", "9.0", "12.0"], exclusive=["9.0"]
)


@pytest.fixture
def app(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """An environment with a CUDA toolkit of its own, on a machine that has no other and an H100."""
    for name in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    write(bench.paths.files, {"scaling/scaling.cu": KERNEL, "scaling/setup.py": SETUP, "scaling/pyproject.toml": TOML})
    write(bench.paths.files, {"probe.py": PROBE})
    bench.run(PythonSpec("app", sys.executable, PACKAGES), "app", within=600)
    with_gpu(bench, "9.0")
    return bench


def targets(bench: Bench) -> set[str]:
    """The GPUs that the installed kernel holds code for, as its own compiler says."""
    (module,) = bench.paths.env("app").glob("lib/python*/site-packages/scaling*.so")
    held = module.read_bytes()
    return {target for target in ("sm_89", "sm_90a", "sm_120a") if f"-arch {target} ".encode() in held}


@pytest.mark.timeout(900)
def test_a_kernel_is_compiled_for_the_gpu_that_is_there_and_kept(app: Bench) -> None:
    outcome = app.run(SPEC, "scaling")
    assert (outcome.state, outcome.result["origin"]) == ("done", "built"), outcome.message
    assert targets(app) == {"sm_90a"} and "CUDA 13000" in app.log
    (folder,) = (app.paths.state / "wheels").glob("scaling-*")
    key = json.loads((folder / "wheel.json").read_text())["key"]
    assert (key["nvcc"], key["arch"]) == ("13.0", "9.0")

    again = app.run(SPEC, "scaling")
    assert again.result["origin"] == "cache" and len(ran(app.log, "uv build")) == 1
    with_gpu(app, "8.9")
    other = app.run(SPEC, "scaling")
    assert other.result["origin"] == "built" and targets(app) == {"sm_89"}
    assert len(list((app.paths.state / "wheels").glob("scaling-*"))) == 2


def test_the_environment_s_own_toolkit_comes_before_the_machine_s(tmp_path: Path) -> None:
    packages = write(
        tmp_path / "packages", {"nvidia/cu13/bin/nvcc": nvcc("13.0"), "nvidia/cu13/lib/libcudart.so.13": ""}
    )
    machine = write(tmp_path / "machine", {"bin/nvcc": nvcc("12.8"), "lib64/stubs/libcuda.so": ""})
    for folder in (packages / "nvidia/cu13", machine):
        (folder / "bin/nvcc").chmod(0o755)
    environ: Mapping[str, str] = {"CUDA_HOME": str(machine), "PATH": "/usr/bin:/bin", "LIBRARY_PATH": "/mine"}
    assert toolkit.release(environ, packages) == "13.0"
    assert toolkit.release(environ, tmp_path) == "12.8"
    own = toolkit.variables(environ, packages, "/env/bin", tmp_path / "links")
    assert own["CUDA_HOME"] == str(packages / "nvidia/cu13") and own["LIBRARY_PATH"] == f"/mine:{tmp_path}/links"
    assert (tmp_path / "links/libcudart.so").resolve() == packages / "nvidia/cu13/lib/libcudart.so.13"
    theirs = toolkit.variables(environ, tmp_path, "/env/bin", tmp_path / "links")
    assert theirs["LIBRARY_PATH"] == f"/mine:{machine}/lib64/stubs" and theirs["PATH"] == f"/env/bin:{machine}/bin"


def nvcc(release: str) -> str:
    return f"#!/bin/sh\necho 'Cuda compilation tools, release {release}, V{release}.88'\n"
