"""Compiled extensions, with a real compiler."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from init import attempt
from init.failure import StageFailed
from init.kernel import gpu
from init.kernel.build import jobs
from init.kernel.cache import WheelCache
from init.kernel.key import Key, make, torch_facts
from init.redact import Redactor
from init.specs import Code, KernelSpec, PythonSpec, WheelSpec
from init.stages import HANDLERS
from init.stages.context import Outcome
from init.stages.environment import Environment
from tests.stages.bench import Bench, ran, write

C = """
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(ANSWER); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "tiny", "", -1, methods};
PyMODINIT_FUNC PyInit_tiny(void) { return PyModule_Create(&module); }
"""
SETUP = """
import os
from setuptools import Extension, setup
{extra}
macros = [("ANSWER", os.environ.get("ANSWER", "42"))]
print("built for", os.environ.get("TORCH_CUDA_ARCH_LIST", "host"))
setup(name="tiny", version="1.0", ext_modules=[Extension("tiny", ["tiny.c"], define_macros=macros)])
"""
TOML = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
PROBE = "import sys, tiny\nprint('answer:', tiny.answer())\nsys.exit({42: 0, 7: 2}.get(tiny.answer(), 1))\n"


@pytest.fixture
def app(bench: Bench) -> Bench:
    bench.run(PythonSpec("app", sys.executable, ["setuptools"], freeze=["setuptools"]), "app")
    ship(bench)
    return bench


def ship(bench: Bench, extra: str = "", source: str = C) -> None:
    files = {"tiny/tiny.c": source, "tiny/setup.py": SETUP.format(extra=extra), "tiny/pyproject.toml": TOML}
    write(bench.paths.files, {**files, "probe.py": PROBE})


def spec(**more: Any) -> KernelSpec:
    return replace(KernelSpec("tiny", "app", Code(path="tiny", digest="d1"), "probe.py"), **more)


def with_gpu(bench: Bench, *capabilities: str) -> None:
    """A driver tool that tells of these GPUs."""
    tool = write(
        bench.root / "-".join(["gpu", *capabilities]),
        {"nvidia-smi": "#!/bin/sh\n" + "".join(f"echo {c}\n" for c in capabilities)},
    )
    (tool / "nvidia-smi").chmod(0o755)
    bench.environ = {"PATH": f"{tool}:/usr/local/bin:/usr/bin:/bin"}


def builds(bench: Bench) -> int:
    return len(ran(bench.log, "uv build"))


def works(bench: Bench) -> bool:
    return _runs(bench, "import tiny; assert tiny.answer() == 42")


def _runs(bench: Bench, code: str) -> bool:
    """The environment's Python runs this line without an error."""
    argv = [str(bench.paths.env("app") / "bin/python"), "-c", code]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def folders(bench: Bench) -> list[Path]:
    found = bench.paths.state / "wheels"
    return [path for path in found.iterdir() if not path.name.startswith(".")] if found.is_dir() else []


def another_container(bench: Bench) -> Bench:
    """The same workspace with a new disk."""
    shutil.rmtree(bench.paths.disk)
    shutil.rmtree(bench.paths.logs)
    bench.run(PythonSpec("app", sys.executable, ["setuptools"], freeze=["setuptools"]), "app")
    return bench


def test_compiled_once_then_from_the_cache(app: Bench) -> None:
    outcome = app.run(spec(), "tiny")
    assert (outcome.state, outcome.result["origin"]) == ("done", "built") and outcome.message.startswith("compiled in")
    assert works(app) and builds(app) == 1 and all(path.exists() for path in outcome.made)
    again = another_container(app).run(spec(), "tiny")
    assert again.message == "from the wheel cache" and again.result["origin"] == "cache"
    assert works(app) and builds(app) == 0
    assert ran(app.log, "probe.py"), "what comes from the cache is tried as well"
    app.run(spec(code=Code(path="tiny", digest="d2")), "tiny")
    assert builds(app) == 1 and len(folders(app)) == 2


def test_a_cached_wheel_that_does_not_work_is_built_again(app: Bench) -> None:
    app.run(spec(environment={"ANSWER": "41"}), "tiny")
    assert folders(app) == [], "what failed its probe does not stay in the cache"
    app.run(spec(), "tiny")
    (folder,) = folders(app)
    wheel = Path(shutil.copy(next(folder.glob("*.whl")), app.root))
    environment = Environment(app.context(PythonSpec("app")), "app")
    key = make(spec(), "d1", [], environment, app.context(spec()).environ)
    cache = WheelCache(app.paths.state / "wheels")
    cache.throw_away(key)
    # Whole by its checksum, and of no use: as if made by a compiler that was wrong.
    cache.insert(key, _without_module(wheel))
    outcome = app.run(spec(), "tiny")
    assert outcome.state == "done" and outcome.result["origin"] == "built"
    assert "the cached wheel did not work (" in outcome.message and "was thrown away" in outcome.message
    assert works(app)


def _without_module(wheel: Path) -> Path:
    """The wheel with a module that does not load."""
    changed = wheel.with_name("new-" + wheel.name)
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            if name.endswith("RECORD"):
                record = "\n".join(line.split(",")[0] + ",," for line in old.read(name).decode().splitlines())
                new.writestr(name, record + "\n")
            else:
                new.writestr(name, b"no library" if name.endswith(".so") else old.read(name))
    changed.rename(wheel)
    return wheel


def test_a_damaged_wheel_in_the_cache_is_not_used(app: Bench) -> None:
    app.run(spec(), "tiny")
    (folder,) = folders(app)
    next(folder.glob("*.whl")).write_bytes(b"half")
    assert app.run(spec(), "tiny").result["origin"] == "built"
    (folder,) = folders(app)
    (folder / "wheel.json").unlink()
    assert app.run(spec(), "tiny").result["origin"] == "built"


@pytest.mark.parametrize(
    ("answer", "message"), [("7", "does not support this machine"), ("8", "but does not work: answer: 8")]
)
def test_the_probe_decides(app: Bench, answer: str, message: str) -> None:
    outcome = app.run(spec(environment={"ANSWER": answer}), "tiny", degrade=True)
    assert outcome.state == "degraded" and message in outcome.message
    assert outcome.consequence == "all goes without tiny"
    assert _runs(app, "pass") and not _runs(app, "import tiny"), "what does not work is not left installed"
    with pytest.raises(StageFailed, match=message) as failure:
        app.run(spec(environment={"ANSWER": answer}), "tiny", degrade=False)
    assert not failure.value.retry


def test_compiling_that_fails(app: Bench) -> None:
    ship(app, source=C.replace("Python.h", "Nothing.h"))
    outcome = app.run(spec(), "tiny", degrade=True)
    assert outcome.state == "degraded" and "tiny could not be compiled" in outcome.message
    assert "Nothing.h: No such file" in outcome.message and "tiny.log" in outcome.message
    ship(app, extra="import nothing_like_it")
    outcome = app.run(spec(code=Code(path="tiny", digest="d2")), "tiny", degrade=True)
    assert "add the missing build requirement to the kernel's `packages`" in outcome.message
    for folder in ("nowhere", "../../../../.."):
        outcome = app.run(spec(subdirectory=folder, code=Code(path="tiny", digest="d3")), "tiny", degrade=True)
        assert f"tiny has no folder {folder}" in outcome.message


def test_a_compile_that_finds_the_memory_full_goes_on_with_one_job_and_then_gives_up(
    app: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("init.memory.available", lambda: 300_000_000)
    ship(app, extra="import os, time\nif os.environ['MAX_JOBS'] != '1': x = bytearray(400_000_000); time.sleep(4101)")
    outcome = app.run(spec(memory_per_job=100_000_000), "tiny", degrade=True)
    assert outcome.state == "done", "with one job it fits"
    assert "the memory was full with 2 compilers; going on with one" in app.messages
    ship(app, extra="import time\nx = bytearray(400_000_000); time.sleep(4101)")
    outcome = app.run(spec(code=Code(path="tiny", digest="d2")), "tiny", degrade=True)
    assert outcome.state == "degraded" and "only 270 MB were free for it" in outcome.message


def test_jobs_are_bounded_by_memory_and_cores() -> None:
    assert jobs(4_000_000_000, 64_000_000_000, 8) == 8
    assert jobs(4_000_000_000, 9_000_000_000, 8) == 2
    assert jobs(4_000_000_000, 1_000_000_000, 8) == 1


def test_without_a_gpu_it_is_not_used(app: Bench) -> None:
    outcome = app.run(spec(arch=["8.9"]), "tiny", degrade=True)
    assert outcome.state == "degraded" and outcome.message.startswith("no GPU was found; start on a machine with")
    assert builds(app) == 0


def test_it_is_compiled_for_the_gpu_that_is_there(app: Bench) -> None:
    with_gpu(app, "8.9")
    outcome = app.run(spec(arch=["8.0", "8.9", "9.0"], exclusive=["9.0"]), "tiny")
    assert outcome.result["arch"] == ["8.9"] and outcome.message.endswith("for compute capability 8.9")
    assert "built for 8.9" in app.log
    with_gpu(app, "7.5")
    outcome = app.run(spec(arch=["8.0", "8.9"]), "tiny", degrade=True)
    assert "tiny does not support this GPU (compute capability 7.5; it supports 8.0, 8.9)" in outcome.message


def test_a_finished_kernel_counts_on_the_same_gpu_only(app: Bench) -> None:
    def facts(arch: list[str]) -> dict[str, str]:
        return HANDLERS["kernel"].abi(app.context(spec(arch=arch), "tiny"))

    with_gpu(app, "8.9")
    ada, host = facts(["8.9", "9.0"]), facts([])
    with_gpu(app, "9.0")
    assert ada["gpu"] == "8.9" and facts(["8.9", "9.0"]) == {**ada, "gpu": "9.0"}
    assert facts([]) == host, "one that does not depend on a GPU"


@pytest.mark.parametrize(
    ("found", "chosen"),
    [
        (["8.9"], ["8.9"]),
        (["12.0", "8.9", "8.9"], ["8.9", "12.0"]),
        (["9.0"], ["9.0"]),
        (["9.0", "8.9"], ["9.0"]),
        (["8.9", "9.0"], ["8.9"]),
        (["8.7"], ["8.6"]),
        (["7.5"], []),
        (["12.1"], ["12.0"]),
        (["10.0", "8.0"], ["8.0"]),
        ([], []),
    ],
)
def test_exclusive_capabilities_stand_alone(found: list[str], chosen: list[str]) -> None:
    assert gpu.targets(found, ["8.0", "8.6", "8.9", "9.0", "12.0"], ["9.0"]) == chosen


def test_baking_builds_one_wheel_for_each_gpu_and_a_start_chooses(app: Bench) -> None:
    wanted = spec(arch=["8.9", "9.0"], exclusive=["9.0"])
    outcome = app.run(wanted, "tiny", baking=True)
    assert outcome.state == "skipped" and builds(app) == 2
    assert folders(app) == [], "an image has no workspace"
    with_gpu(app, "9.0")
    started = app.run(wanted, "tiny")
    assert started.result["origin"] == "cache" and started.result["arch"] == ["9.0"] and builds(app) == 2


def test_what_was_compiled_for_one_gpu_does_not_get_into_the_wheel_of_another(app: Bench) -> None:
    ship(app, extra="os.environ['ANSWER'] = {'8.9': '42'}.get(os.environ['TORCH_CUDA_ARCH_LIST'], '8')")
    wanted = spec(arch=["8.9", "9.0"], exclusive=["9.0"])
    app.run(wanted, "tiny", baking=True)
    with_gpu(app, "8.9")
    assert app.run(wanted, "tiny").message == "from the wheel cache for compute capability 8.9"


class Shop:
    """Gives out one prebuilt wheel."""

    def __init__(self, wheels: Mapping[str, Path]):
        self.wheels, self.asked = wheels, list[str]()

    def fetch_file(self, url: str, path: Path, sha256: str | None, cancel: threading.Event) -> None:
        self.asked.append(url)
        if url not in self.wheels:
            raise StageFailed(f"{url} is not there (404)")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.wheels[url], path)


def test_prebuilt_wheels_come_first(app: Bench) -> None:
    app.run(spec(), "tiny")
    wheel = next(folders(app)[0].glob("*.whl"))
    good, bad = app.root / wheel.name, app.root / "bad" / wheel.name
    bad.parent.mkdir()
    shutil.copy(wheel, good)
    _without_module(Path(shutil.copy(wheel, bad)))
    another_container(app)
    shutil.rmtree(app.paths.state)
    base = "https://example.org/"
    names = [
        f"other-gpu/{wheel.name}",
        "tiny-1.0-cp27-cp27mu-linux_x86_64.whl",
        f"gone/{wheel.name}",
        f"bad/{wheel.name}",
    ]
    shop = Shop({f"{base}{names[3]}": bad, f"{base}good/{wheel.name}": good})
    wheels = [
        WheelSpec(base + name, str(n) * 64, ["9.0"] if n == 0 else [])
        for n, name in enumerate([*names, f"good/{wheel.name}"])
    ]
    with_gpu(app, "8.9")
    outcome = app.run(spec(arch=["8.9"], wheels=wheels), "tiny", fetcher=shop)
    assert outcome.result["origin"] == "prebuilt" and builds(app) == 0 and works(app)
    assert shop.asked == [base + names[2], base + names[3], base + f"good/{wheel.name}"], "others do not fit"
    assert "is not there (404)" in outcome.message and "does not work here" in outcome.message
    outcome = app.run(spec(arch=["8.9"], wheels=wheels[:4]), "tiny", fetcher=shop)
    assert outcome.result["origin"] == "built", "no wheel works: it is compiled"


def test_without_its_environment(bench: Bench) -> None:
    with pytest.raises(StageFailed, match="the environment app does not exist"):
        bench.run(spec(), "tiny")


KEY = Key("sage", "c0", "", "cp312", "linux-x86_64", "2.39", "2.11.0+cu128", "1", "12", "8.9", "12.8", "{}")


@pytest.mark.parametrize("part", [part for part in KEY.__dataclass_fields__ if part != "name"])
def test_every_part_of_the_key_makes_another_wheel(tmp_path: Path, part: str) -> None:
    wheel = write(tmp_path, {"sage-1-py3-none-any.whl": "wheel"}) / "sage-1-py3-none-any.whl"
    cache = WheelCache(tmp_path / "cache")
    cache.insert(KEY, wheel)
    assert cache.find(replace(KEY)) is not None
    assert cache.find(replace(KEY, **{part: getattr(KEY, part) + "x"})) is None


def test_the_key_of_a_machine(app: Bench) -> None:
    environment = Environment(app.context(PythonSpec("app")), "app")
    write(
        environment.packages / "torch",
        {
            "version.py": "__version__ = '2.11.0+cu128'\ndebug = False\ncuda: Optional[str] = '12.8'\n",
            "share/cmake/Torch/TorchConfig.cmake": 'set(TORCH_CXX_FLAGS "-D_GLIBCXX_USE_CXX11_ABI=1")\n',
        },
    )
    key = make(spec(arch=["8.9"]), "d1", ["8.9"], environment, {"CFLAGS": "-O3", "PATH": "/usr/bin", "HF_TOKEN": "x"})
    version = environment.version.split(".")
    assert key.python == f"cp{version[0]}{version[1]}" and key.glibc and key.platform.startswith("linux-")
    assert (key.torch, key.cuda, key.cxx11_abi) == ("2.11.0+cu128", "12", "1")
    assert key.flags == '{"CFLAGS": "-O3"}'
    compiler = write(
        app.root / "cuda", {"bin/nvcc": "#!/bin/sh\necho 'Cuda compilation tools, release 12.8, V12.8.93'\n"}
    )
    (compiler / "bin/nvcc").chmod(0o755)
    wanted = spec(arch=["8.9", "9.0"], subdirectory="sub", environment={"ANSWER": "1"})
    key = make(wanted, "d1", ["8.9", "9.0"], environment, {"CUDA_HOME": str(compiler)})
    assert (key.arch, key.nvcc, key.subdirectory, key.flags) == ("8.9;9.0", "12.8", "sub", '{"ANSWER": "1"}')
    assert make(wanted, "d1", [], environment, {"CUDA_HOME": str(compiler)}).nvcc == "", "it compiles for the host only"
    assert torch_facts(app.root) == {"version": "", "cuda": "", "abi": ""}


def test_two_pods_insert_the_same_wheel(tmp_path: Path) -> None:
    wheel = write(tmp_path, {"sage-1-py3-none-any.whl": "wheel"}) / "sage-1-py3-none-any.whl"
    cache = WheelCache(tmp_path / "cache")
    with ThreadPoolExecutor(4) as pool:
        places = set(pool.map(lambda _: cache.insert(KEY, wheel), range(4)))
    assert places == {cache.find(KEY)}
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [KEY.folder()]


def test_another_pod_that_compiles_without_end_is_not_waited_for_for_ever(
    app: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "LATE", 0.2)
    context = app.context(spec(), "tiny")
    key = make(spec(), "d1", [], Environment(context, "app"), context.environ)
    theirs = {"me": "x", "host": "pod-b", "pid": 1, "kernel": "another", "beat": 1.0}
    write(app.paths.state / "wheels/.leases" / key.folder(), {"fetch.lease": json.dumps(theirs)})
    told: list[str] = []
    end = attempt.Attempt(
        plan=context.plan,
        stage=replace(context.stage, within=1.0, attempts=1),
        handler=HANDLERS["kernel"],
        environ=context.environ,
        redactor=Redactor(),
        tell=lambda **changes: told.append(changes.get("message", "")),
        marks={},
        results={},
    ).run()
    assert "pod-b is compiling it for both" in told
    assert (end.state, end.message) == ("degraded", "did not end within 1.0 s and was stopped")


def test_two_pods_compile_once(app: Bench) -> None:
    other = Bench(app.root.parent / "other", app.cache)
    other.root.mkdir()
    Path(app.paths.workspace).mkdir()
    Path(other.paths.workspace).symlink_to(app.paths.workspace)
    other.run(PythonSpec("app", sys.executable, ["setuptools"], freeze=["setuptools"]), "app")
    ship(other)
    outcomes: list[Outcome] = []
    work = [threading.Thread(target=lambda b=b: outcomes.append(b.run(spec(), "tiny"))) for b in (app, other)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert sorted(outcome.result["origin"] for outcome in outcomes) == ["built", "cache"]
    assert builds(app) + builds(other) == 1 and works(app) and works(other)
