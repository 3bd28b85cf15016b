"""Python environments, made by the real uv from tiny packages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from init.failure import StageFailed
from init.specs import PythonSpec
from init.stages import layers
from init.stages.context import Outcome
from init.stages.environment import Environment
from tests.stages import wheels
from tests.stages.bench import Bench, kill, ran, until_there, write

Index = tuple[Path, str]


def spec(index: Index, *packages: str, **more: object) -> PythonSpec:
    return PythonSpec("app", sys.executable, list(packages), index={"local": index[1]}, **more)  # type: ignore[arg-type]


def of_source(index: Index, **more: object) -> PythonSpec:
    return PythonSpec("app", None, source="web", requirements=["requirements.txt"], index={"local": index[1]}, **more)  # type: ignore[arg-type]


def installed(bench: Bench) -> dict[str, str]:
    found = Environment(bench.context(PythonSpec("app")), "app").installed()
    return {name: version for name, version in found.items() if name != "pip"}


def run_in(bench: Bench, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    argv = [str(bench.paths.env("app") / "bin/python"), *words]
    return subprocess.run(argv, env={**os.environ, **environ}, capture_output=True, text=True, check=False)


@pytest.fixture
def torch(index: Index) -> Index:
    """An index where `fake-torch` has two versions."""
    folder, _ = index
    for version in ("1.0", "2.0+cu128"):
        wheels.add(folder, "fake-torch", version, ["fake-cuda"])
    wheels.add(folder, "fake-cuda", "12.8")
    wheels.add(folder, "vision", "1.0", ["fake-torch"])
    wheels.add(folder, "old-app", "1.0", ["fake-torch<2"])
    wheels.add(folder, "shadow", "1.0")
    wheels.add(folder, "wants-shadow", "1.0", ["shadow"])
    return index


def test_it_makes_an_environment(bench: Bench, torch: Index) -> None:
    outcome = bench.run(spec(torch, "fake-torch==2.0+cu128", "vision", freeze=["fake_torch", "absent"]), "app")
    assert installed(bench) == {"fake-torch": "2.0+cu128", "fake-cuda": "12.8", "vision": "1.0"}
    assert (bench.paths.env("app") / "freeze.txt").read_text() == "fake-torch==2.0+cu128\n"
    assert outcome.result["frozen"] == {"fake-torch": "2.0+cu128"}
    assert outcome.message.startswith("Python 3.") and "4 packages" in outcome.message
    assert all(path.exists() for path in outcome.made)
    assert run_in(bench, "-m", "pip", "--version").returncode == 0
    assert any("resolved" in message for message in bench.messages)


def test_again_it_changes_nothing_and_another_spec_starts_anew(bench: Bench, torch: Index) -> None:
    bench.run(spec(torch, "fake-torch"), "app")
    bench.run(spec(torch, "fake-torch"), "app")
    assert len(ran(bench.log, " venv ")) == 1
    bench.run(spec(torch, "fake-torch<2", freeze=["fake-torch"]), "app")
    assert installed(bench)["fake-torch"] == "1.0"
    bench.run(spec(torch, "vision", freeze=["fake-torch"]), "app")
    assert installed(bench)["fake-torch"] == "2.0+cu128"


def test_a_source_cannot_move_what_is_frozen(bench: Bench, torch: Index) -> None:
    bench.run(spec(torch, "fake-torch", freeze=["fake-torch"]), "app")
    write(
        bench.paths.source("web"),
        {
            "requirements.txt": "# what it needs\nfake-torch==1.0  # too old\n-r more.txt\n",
            "more.txt": "vision\nfake-torch>=1",
        },
    )
    outcome = bench.run(of_source(torch), "web:packages")
    assert installed(bench) == {"fake-torch": "2.0+cu128", "fake-cuda": "12.8", "vision": "1.0"}
    assert outcome.result["remarks"] == ["asks for fake-torch==1.0, kept 2.0+cu128"]
    assert "asks for fake-torch==1.0, kept 2.0+cu128" in outcome.message
    write(bench.paths.source("web"), {"requirements.txt": "old-app"})
    with pytest.raises(StageFailed, match=r"do not fit together: .*old-app.*fake-torch<2") as failure:
        bench.run(of_source(torch), "web:packages")
    assert not failure.value.retry and failure.value.hint


def test_pip_in_the_environment_obeys_too(bench: Bench, torch: Index) -> None:
    bench.run(spec(torch, "fake-torch", freeze=["fake-torch"], forbid=["shadow"]), "app")
    pip = ["-m", "pip", "install", "--index-url", torch[1]]
    moved = run_in(bench, *pip, "fake-torch==1.0")
    assert moved.returncode != 0 and "fake-torch==2.0+cu128" in moved.stdout + moved.stderr
    assert run_in(bench, *pip, "shadow").returncode != 0
    assert run_in(bench, *pip, "vision").returncode == 0
    assert "shadow" not in installed(bench)


def test_forbidden_packages_are_left_out(bench: Bench, torch: Index) -> None:
    bench.run(spec(torch, "wants-shadow", forbid=["Shadow"]), "app")
    assert installed(bench) == {"wants-shadow": "1.0"}
    write(bench.paths.source("web"), {"requirements.txt": "shadow\nvision"})
    bench.run(of_source(torch), "web:packages")
    assert "shadow" not in installed(bench) and "vision" in installed(bench)


def test_requirement_files_that_do_not_exist_are_passed_over(bench: Bench, torch: Index) -> None:
    bench.run(spec(torch, "vision"), "app")
    assert bench.run(of_source(torch), "web:packages").state == "done"


def test_a_source_without_its_environment(bench: Bench, torch: Index) -> None:
    with pytest.raises(StageFailed, match="the environment app does not exist") as failure:
        bench.run(of_source(torch), "web:packages")
    assert failure.value.hint == "firstlight retry app"


@pytest.mark.parametrize(
    ("package", "message", "retry"),
    [
        ("no-such-package-of-ours", "no-such-package-of-ours was not found in the package registry", False),
        ("vision==9", r"there is no version of vision==9", False),
        ("unbuildable", "unbuildable.* could not be built", False),
    ],
)
def test_requirements_that_cannot_be_met(
    bench: Bench, torch: Index, tmp_path: Path, package: str, message: str, retry: bool
) -> None:
    if package == "unbuildable":
        setup = "raise SystemExit('error: no compiler here')"
        toml = '[project]\nname="unbuildable"\nversion="1"\n'
        toml += '[build-system]\nrequires=[]\nbuild-backend="back"\nbackend-path=["."]\n'
        package = str(write(tmp_path / "unbuildable", {"back.py": setup, "pyproject.toml": toml}))
    bench.environ = {"UV_DEFAULT_INDEX": torch[1]}
    seeded(bench, torch)
    with pytest.raises(StageFailed, match=message) as failure:
        bench.run(spec(torch, package), "app")
    assert failure.value.retry is retry


def seeded(bench: Bench, index: Index) -> None:
    """pip, which environments get, from the local index."""
    wheels.add(index[0], "pip", "99.0")


def test_a_dead_index(bench: Bench) -> None:
    bench.environ = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0"}
    with pytest.raises(StageFailed, match=r"cannot reach 127\.0\.0\.1:9: Connection refused") as failure:
        bench.run(PythonSpec("app", sys.executable, ["vision"]), "app")
    assert failure.value.retry and failure.value.hint == "check the network"


def test_a_python_that_is_not_there(bench: Bench) -> None:
    bench.environ = {"UV_PYTHON_DOWNLOADS": "never"}
    with pytest.raises(
        StageFailed, match=r"Python 3\.61 is not on this machine and could not be downloaded"
    ) as failure:
        bench.run(PythonSpec("app", "3.61"), "app")
    assert "image.apt" in (failure.value.hint or "")


def test_what_a_kill_left_half_installed_is_put_right(bench: Bench, torch: Index) -> None:
    bench.run(spec(torch, "vision", "fake-torch", freeze=["fake-torch"]), "app")
    environment = Environment(bench.context(PythonSpec("app")), "app")
    note = environment.notes / "installing.json"
    note.write_text(json.dumps(environment.installed()))
    site = environment.packages
    (site / "vision/__init__.py").unlink()
    record = site / "fake_cuda-12.8.dist-info/RECORD"
    record.write_text("\n".join(line for line in record.read_text().splitlines() if "INSTALLER" not in line))
    shutil.rmtree(site / "fake_torch-2.0+cu128.dist-info")
    assert {folder.name for folder in environment.unfinished()} == {"vision-1.0.dist-info", "fake_cuda-12.8.dist-info"}
    write(bench.paths.source("web"), {"requirements.txt": ""})
    bench.run(of_source(torch), "web:packages")
    assert installed(bench) == {"fake-torch": "2.0+cu128", "fake-cuda": "12.8", "vision": "1.0"}
    assert environment.unfinished() == [] and not note.exists()
    assert run_in(bench, "-c", "import vision; assert vision.__version__").returncode == 0


def test_kill_while_it_is_made(bench: Bench, torch: Index) -> None:
    for number in range(30):
        files = {f"many{number}/m{n}.py": f"x = {n}\n" for n in range(60)}
        wheels.add(torch[0], f"many{number}", "1.0", files=files)
    packages = [f"many{number}" for number in range(30)]
    script = (
        "import sys; from pathlib import Path; from init.specs import PythonSpec; from tests.stages.bench import Bench;"
        "bench = Bench(Path(sys.argv[1]), Path(sys.argv[2]));"
        "bench.run(PythonSpec('app', sys.executable, sys.argv[4:], index={'local': sys.argv[3]}), 'app')"
    )
    words = [sys.executable, "-c", script, str(bench.root), str(bench.cache), torch[1], *packages]
    env = bench.paths.env("app")
    for moment in ("pyvenv.cfg", "lib/python3*/site-packages/many*"):
        runner = subprocess.Popen(words)
        until_there(runner, env, moment)
        kill(bench, runner)
    bench.run(spec(torch, *packages), "app")
    assert len(installed(bench)) == 30
    assert Environment(bench.context(PythonSpec("app")), "app").unfinished() == []


def test_a_notebook_kernel(bench: Bench, torch: Index) -> None:
    wheels.add(torch[0], "ipykernel", "7.0")
    outcome = bench.run(spec(torch, "vision", kernel="Demo (GPU)"), "app")
    file = Path(bench.paths.disk, "share/jupyter/kernels/app/kernel.json")
    kernel = json.loads(file.read_text())
    assert kernel["display_name"] == "Demo (GPU)"
    assert kernel["argv"][0] == str(bench.paths.env("app") / "bin/python")
    assert installed(bench)["ipykernel"] == "7.0"
    assert file in outcome.made


def test_baking_in_parts(bench: Bench, torch: Index) -> None:
    wheels.add(torch[0], "large", "1.0", files={"large/data.txt": "x" * 50_000})
    wanted = spec(torch, "large", "vision", freeze=["fake-torch"])
    found: list[set[str]] = []
    outcome = Outcome()
    for part in (1, 2, 3):
        outcome = bench.run(wanted, "app", part=(part, 3), baking=True)
        found.append(set(installed(bench)))
    assert found[:2] == [set(), {"large"}], "the largest ones, pip before all, fill their parts"
    assert found[2] == {"large", "vision", "fake-torch", "fake-cuda"}
    assert outcome.result["frozen"] == {"fake-torch": "2.0+cu128"}
    assert list(bench.paths.env("app").glob("lib/python3*/site-packages/large/__pycache__/*.pyc"))
    other = Bench(bench.root / "other", bench.cache)
    with pytest.raises(StageFailed, match="part 1 of 3 was not installed before part 2"):
        other.run(wanted, "app", part=(2, 3), baking=True)


def test_parts_are_even_and_always_the_same() -> None:
    sizes = {"a": 100, "b": 60, "c": 50, "d": 10, "e": 10}
    assert layers.partition(sizes, 3) == [["a"], ["b", "e"], ["c", "d"]]
    assert layers.partition(dict(reversed(sizes.items())), 3) == layers.partition(sizes, 3)
    assert layers.partition({}, 2) == [[], []]


def test_a_folder_with_blanks_in_its_name(bench: Bench, torch: Index) -> None:
    bench.root = bench.root / "with blanks"
    bench.run(spec(torch, "fake-torch", freeze=["fake-torch"], forbid=["shadow"]), "app")
    assert run_in(bench, "-m", "pip", "install", "--index-url", torch[1], "fake-torch==1.0").returncode != 0
    guards = Environment(bench.context(PythonSpec("app")), "app").guards()
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--index", torch[1]]
    done = subprocess.run(
        [*uv, "fake-torch==1.0"], env={**os.environ, **guards}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0 and "fake-torch==2.0+cu128" in done.stderr
    done = subprocess.run(
        [*uv, "wants-shadow"], env={**os.environ, **guards}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "shadow" not in installed(bench)
