"""SageAttention itself, compiled by the nvcc of PyPI's CUDA 13 wheels for one kind of GPU: what `make prove` runs.

FIRSTLIGHT_SAGEATTENTION names a git repository to take it from, for machines that do not reach GitHub.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from images import planning
from init.kernel.cache import WheelCache
from init.kernel.key import make
from init.specs import KernelSpec, PythonSpec
from init.stages.environment import Environment
from manifests import load, lock
from tests.stages.bench import Bench, ran, write
from tests.stages.repositories import git, repositories
from tests.stages.test_kernel import with_gpu

REPOSITORY = os.environ.get("FIRSTLIGHT_SAGEATTENTION", "https://github.com/thu-ml/SageAttention")
GPU = "8.9"
PROBE = "from sageattention import core; from sageattention import _fused; assert core.SM89_ENABLED; print('SM89')"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    for name in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    return Bench(tmp_path / "root", tmp_path / "uv-cache")


@pytest.mark.timeout(10_800)
def test_sageattention_itself_is_compiled_and_kept(bench: Bench, tmp_path: Path) -> None:
    """With what comfyui-current says, but for the address of the source and a probe that needs no GPU."""
    loaded = load.load("comfyui-current")
    stages = {stage.id: stage.spec for stage in planning.plan(loaded, lock.read(loaded)).stages}
    app, kernel = stages["app"], stages["sageattention"]
    assert isinstance(app, PythonSpec) and isinstance(kernel, KernelSpec)
    with repositories(tmp_path / "git") as remotes:
        source = tmp_path / "SageAttention"
        git("clone", "--quiet", "--no-checkout", REPOSITORY, str(source))
        git("checkout", "--quiet", kernel.code.ref or "HEAD", cwd=source)
        shutil.rmtree(source / ".git")  # its files; the remote here has them in a single commit
        commit = remotes.commit("SageAttention", {}, folder=source)
        code = replace(kernel.code, git=remotes.smart("SageAttention"), ref="main", commit=commit)
        spec = replace(kernel, code=code, probe="probe.py")
        write(bench.paths.files, {"probe.py": PROBE})
        began = time.monotonic()
        bench.run(replace(app, python=sys.executable, kernel=None), "app", within=3600)
        print(f"environment: {time.monotonic() - began:.0f} s")
        with_gpu(bench, GPU)
        outcome = bench.run(spec, "sageattention", within=9000)
        print(outcome.message, bench.messages[-5:])
        assert (outcome.state, outcome.result["origin"]) == ("done", "built"), outcome.message

        began = time.monotonic()
        again = bench.run(spec, "sageattention", within=600)
        print(f"again: {again.message}, {time.monotonic() - began:.0f} s")
        assert again.result["origin"] == "cache" and len(ran(bench.log, "uv build")) == 1

        context = bench.context(spec, "sageattention")
        key = make(spec, commit, [GPU], Environment(context, "app"), context.environ)
        cache = WheelCache(bench.paths.state / "wheels")
        assert cache.find(key) is not None
        for name in asdict(key):
            assert cache.find(replace(key, **{name: "other"})) is None, name
