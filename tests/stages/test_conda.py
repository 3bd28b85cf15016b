"""Environments from conda channels.

micromamba itself is on none of the package registries: `tests/stages/micromamba.py` stands in for it, or the real one
where MICROMAMBA names its file. Both pass every test.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from init import activation, serve
from init.failure import StageFailed
from init.plan import ServiceSpec
from init.specs import CommandSpec, CondaSpec, PythonSpec
from init.stages import conda, python
from init.stages.environment import Environment
from tests.stages import channel, wheels
from tests.stages.bench import Bench, kill, ran, until_there, write

STANDS_IN = Path(__file__).with_name("micromamba.py")
ACTIVATE = """
export STUDIO_HOME="${CONDA_PREFIX}/share/studio"
export XDG_DATA_DIRS="${CONDA_PREFIX}/share${XDG_DATA_DIRS:+:${XDG_DATA_DIRS}}"
"""


@dataclass
class Channels:
    """Two channels over http, with micromamba beside them."""

    folder: Path
    url: str

    def spec(self, *packages: str, **more: Any) -> PythonSpec:
        program = self.folder / "micromamba"
        chosen = CondaSpec(
            [f"{self.url}/cuda", f"{self.url}/forge"],
            list(packages),
            f"{self.url}/micromamba",
            hashlib.sha256(program.read_bytes()).hexdigest(),
        )
        return PythonSpec("viso_env", channel.PYTHON, conda=chosen, **more)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("channels")
    forge, cuda = channel.make(folder / "forge"), channel.make(folder / "cuda")
    channel.add_python(forge)
    channel.add_pip(forge)
    channel.add_module(forge, "fromconda", "1.5")
    studio = {
        "etc/conda/activate.d/studio.sh": ACTIVATE,
        "etc/conda/env_vars.d/studio.json": '{"studio_data": "/data"}',
    }
    channel.add(forge, "studio", "2.0", {**studio, "lib/libz.so.1": "not CUDA"})
    channel.add(cuda, "cudart", "12.4.99", {"lib/libcudart.so.12": "a library"})
    channel.add(cuda, "cuda-runtime", "12.4.1", {"share/cuda/version": "12.4.1\n"}, ["cudart 12.4.99"])
    channel.add(forge, "gone", "1.0", {"share/gone": "x"}).unlink()
    torn = channel.add(forge, "torn", "1.0", {"share/torn": "x"})
    torn.write_bytes(bytes(reversed(torn.read_bytes())))
    channel.add(forge, "hungry", "1.0", {"share/hungry": "x"}, ["no-such-library >=3"])
    channel.add(forge, "for-gpu", "1.0", {"share/for-gpu": "x"}, ["__cuda >=99"])
    real = os.environ.get("MICROMAMBA")
    program = f"#!{sys.executable}\n{STANDS_IN.read_text()}".encode()
    (folder / "micromamba").write_bytes(Path(real).read_bytes() if real else program)
    return folder


@pytest.fixture
def channels(made: Path) -> Iterator[Channels]:
    with wheels.served(made) as url:
        yield Channels(made, url)


@pytest.fixture
def home(bench: Bench) -> Path:
    return bench.paths.env("viso_env")


def says(home: Path, code: str, **environ: str) -> str:
    given = {**{k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}, **environ}
    words = [str(home / "bin/python"), "-c", code]
    return subprocess.run(words, env=given, capture_output=True, text=True, check=True).stdout.strip()


def test_python_from_conda_and_packages_from_an_index(
    bench: Bench, channels: Channels, home: Path, index: tuple[Path, str]
) -> None:
    wheels.add(index[0], "gpu-runtime", "1.20.0")
    wheels.add(index[0], "runtime", "1.19.0")
    wheels.add(index[0], "app-of-both", "1.0", ["gpu-runtime", "runtime"])
    spec = channels.spec(
        "cuda-runtime=12.4.1",
        "fromconda",
        packages=["gpu-runtime==1.20.0", "app-of-both"],
        index={"local": index[1]},
        freeze=["gpu-runtime"],
        forbid=["runtime"],
        kernel=None,
    )
    outcome = bench.run(spec, "viso_env")
    assert outcome.message.startswith(f"Python {channel.PYTHON}.") and outcome.result["frozen"] == {
        "gpu-runtime": "1.20.0"
    }
    assert says(home, "import sys; print(sys.prefix)") == str(home)
    assert says(home, "import fromconda, gpu_runtime; print(fromconda.__version__)") == "1.5"
    found = Environment(bench.context(spec), "viso_env")
    assert {"fromconda", "gpu-runtime", "app-of-both", "pip"} <= found.installed().keys()
    assert "runtime" not in found.installed() and found.unfinished() == []
    assert (home / "share/cuda/version").read_text() == "12.4.1\n"
    # Install scripts call uv and pip by themselves.
    wheels.add(index[0], "extra", "1.0", ["runtime"])
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--index", index[1], "extra"]
    given = {**{k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}, **found.guards()}
    subprocess.run(uv, env=given, capture_output=True, check=True)
    assert "extra" in found.installed() and "runtime" not in found.installed()
    pip = [str(home / "bin/python"), "-m", "pip", "install", "--index-url", index[1], "runtime"]
    assert subprocess.run(pip, env=given, capture_output=True, check=False).returncode != 0
    asked = ran(bench.log, "micromamba create", "--override-channels")
    assert len(asked) == 1 and asked[0].index("/cuda") < asked[0].index("/forge")
    assert any(message.startswith("linking cuda-runtime") for message in bench.messages)


def test_a_source_installs_into_it_and_a_kill_is_healed(
    bench: Bench, channels: Channels, home: Path, index: tuple[Path, str]
) -> None:
    wheels.add(index[0], "vision", "1.0")
    bench.run(channels.spec("fromconda", index={"local": index[1]}), "viso_env")
    write(home / ".firstlight", {"installing.json": json.dumps({"fromconda": "1.5", "vision": "1.0"})})
    write(bench.paths.source("web"), {"requirements.txt": "fromconda>=1\nvision"})
    source = PythonSpec("viso_env", source="web", requirements=["requirements.txt"], index={"local": index[1]})
    bench.run(source, "web:packages")
    assert says(home, "import vision, fromconda; print(vision.__version__, fromconda.__version__)") == "1.0 1.5"


def test_activation_reaches_every_program(bench: Bench, channels: Channels, home: Path) -> None:
    bench.environ = {"XDG_DATA_DIRS": "/usr/share", "LD_LIBRARY_PATH": "/usr/local/nvidia/lib64"}
    bench.run(channels.spec("cuda-runtime", "studio"), "viso_env")
    set_ = activation.variables(home, {"PATH": "/usr/bin", **bench.environ})
    assert set_["CONDA_PREFIX"] == str(home) and "VIRTUAL_ENV" not in set_
    assert set_["PATH"] == f"{home}/bin:/usr/bin"
    assert set_["STUDIO_HOME"] == f"{home}/share/studio" and set_["STUDIO_DATA"] == "/data"
    assert set_["XDG_DATA_DIRS"] == f"{home}/share:/usr/share"
    first, _, rest = set_["LD_LIBRARY_PATH"].partition(":")
    assert rest == "/usr/local/nvidia/lib64"
    # The CUDA libraries, and not what conda brings besides: programs of the image have their own.
    assert [file.name for file in Path(first).iterdir()] == ["libcudart.so.12"]
    assert Path(first, "libcudart.so.12").read_text() == "a library"
    shell = f". {home}/bin/activate; echo $CONDA_PREFIX $STUDIO_HOME $LD_LIBRARY_PATH; command -v python"
    given = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": "/usr/local/nvidia/lib64"}
    said = subprocess.run(["sh", "-c", shell], env=given, capture_output=True, text=True, check=True).stdout
    assert said.split() == [str(home), f"{home}/share/studio", set_["LD_LIBRARY_PATH"], f"{home}/bin/python"]
    service = ServiceSpec("app", "App", ["python"], [], env="viso_env")
    served = serve.environment(bench.context(channels.spec()).plan, service, {"PATH": "/usr/bin", **bench.environ})
    assert served.items() >= set_.items()
    command = CommandSpec(["sh", "-euc", "echo $STUDIO_HOME; command -v python"], env="viso_env")
    assert bench.run(command, "show").message == f"{home}/bin/python"


def test_a_notebook_kernel_is_activated_too(
    bench: Bench, channels: Channels, home: Path, index: tuple[Path, str]
) -> None:
    wheels.add(index[0], "ipykernel", "7.0")
    bench.run(channels.spec("cuda-runtime", index={"local": index[1]}, kernel="VisoMaster"), "viso_env")
    kernel = json.loads(Path(bench.paths.disk, "share/jupyter/kernels/viso_env/kernel.json").read_text())
    assert kernel["env"]["PATH"] == f"{home}/bin:${{PATH}}" and kernel["env"]["CONDA_PREFIX"] == str(home)
    assert kernel["env"]["LD_LIBRARY_PATH"].startswith(str(home))


def test_again_it_changes_nothing_and_other_packages_start_anew(bench: Bench, channels: Channels, home: Path) -> None:
    bench.run(channels.spec("cuda-runtime"), "viso_env")
    bench.run(channels.spec("cuda-runtime"), "viso_env")
    assert len(ran(bench.log, "micromamba create")) == 1
    bench.run(channels.spec("fromconda"), "viso_env")
    assert len(ran(bench.log, "micromamba create")) == 2
    assert not (home / "share/cuda").exists() and says(home, "import fromconda") == ""


def test_baked_it_leaves_nothing_that_a_clock_decides(bench: Bench, channels: Channels, home: Path) -> None:
    bench.run(channels.spec("cuda-runtime", "fromconda"), "viso_env", baking=True)
    assert len(ran(bench.log, "micromamba create", "--no-pyc")) == 1
    assert says(home, "import fromconda; print(fromconda.__version__)") == "1.5"
    assert list((bench.cache / "firstlight-conda").glob("http/*/cuda/linux-64/cuda-runtime-*"))
    assert not Path(bench.paths.disk, "cache").exists()


def test_what_a_kill_left_is_made_again(bench: Bench, channels: Channels, home: Path) -> None:
    script = (
        "import sys, json; from pathlib import Path; from init.specs import PythonSpec, CondaSpec;"
        "from tests.stages.bench import Bench; bench = Bench(Path(sys.argv[1]), Path(sys.argv[2]));"
        "bench.run(PythonSpec('viso_env', sys.argv[3], conda=CondaSpec(*json.loads(sys.argv[4]))), 'viso_env')"
    )
    spec = channels.spec("cuda-runtime", "fromconda")
    assert spec.conda is not None
    asked = [spec.conda.channels, spec.conda.packages, spec.conda.url, spec.conda.sha256]
    words = [sys.executable, "-c", script, bench.root, bench.cache, channel.PYTHON, json.dumps(asked)]
    for moment in ("conda-meta", "conda-meta/python*.json", ".firstlight/activation.json"):
        runner = subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL)
        until_there(runner, home, moment)
        kill(bench, runner)
    bench.run(spec, "viso_env")
    assert says(home, "import fromconda; print(fromconda.__version__)") == "1.5"
    assert (home / "share/cuda/version").exists() and (home / "bin/activate").exists()


@pytest.mark.parametrize(
    ("package", "message", "hint"),
    [
        ("no-such-package", "no channel has no-such-package$", "or add the channel that has it"),
        ("cuda-runtime=11", "no channel has cuda-runtime =11$", "or add the channel that has it"),
        ("hungry", "no channel has no-such-library >=3$", "a package needs it"),
        ("for-gpu", r"another machine than this one \(__cuda\)$", "the driver is too old"),
    ],
)
def test_a_package_that_no_channel_has(bench: Bench, channels: Channels, package: str, message: str, hint: str) -> None:
    with pytest.raises(StageFailed, match=message) as failure:
        bench.run(channels.spec(package), "viso_env")
    assert not failure.value.retry and hint in (failure.value.hint or "")


def test_packages_that_are_not_what_the_channel_says(bench: Bench, channels: Channels, home: Path) -> None:
    for package, message in (
        ("torn", r"^torn-1\.0-0\.tar\.bz2 is not what its channel says: it has another SHA256$"),
        ("gone", r"^the channel lists http.*/forge/linux-64/gone-1\.0-0\.tar\.bz2, and does not have it \(HTTP 404\)$"),
    ):
        with pytest.raises(StageFailed, match=message) as failure:
            bench.run(channels.spec(package), "viso_env")
        assert failure.value.retry and failure.value.hint and not (home / "bin").exists()


def test_a_package_that_was_added_since_is_found(bench: Bench, tmp_path: Path, made: Path, home: Path) -> None:
    forge = channel.make(tmp_path / "own" / "forge")
    channel.add_python(forge)
    channel.add_pip(forge)
    (tmp_path / "own" / "cuda").symlink_to(made / "cuda")
    (tmp_path / "own" / "micromamba").symlink_to(made / "micromamba")
    with wheels.served(tmp_path / "own") as url:
        own = Channels(tmp_path / "own", url)
        bench.run(own.spec(), "viso_env")
        channel.add(forge, "latest", "1.0", {"share/latest": "x"})
        os.utime(forge / "linux-64" / "repodata.json", (4e9, 4e9))
        bench.run(own.spec("latest"), "viso_env")
    assert (home / "share/latest").exists()


def test_a_channel_that_is_not_there(bench: Bench, channels: Channels) -> None:
    spec = channels.spec()
    assert spec.conda is not None
    for address, message, retry in (
        (f"{channels.url}/nothing", r"nothing/.* is refused \(HTTP 404\)", False),
        ("http://127.0.0.1:9/forge", r"cannot reach http://127\.0\.0\.1:9/forge", True),
    ):
        with pytest.raises(StageFailed, match=message) as failure:
            bench.run(replace(spec, conda=replace(spec.conda, channels=[address])), "viso_env")
        assert failure.value.retry is retry and failure.value.hint


def test_names_go_to_the_mirror_that_the_user_named(bench: Bench, channels: Channels, home: Path) -> None:
    bench.environ = {"CONDA_CHANNEL_ALIAS": channels.url}
    spec = channels.spec("cuda-runtime")
    assert spec.conda is not None
    bench.run(replace(spec, conda=replace(spec.conda, channels=["cuda", "forge"])), "viso_env")
    assert (home / "share/cuda/version").exists()


def test_another_program_than_the_lock_says_is_not_run(bench: Bench, channels: Channels, home: Path) -> None:
    spec = channels.spec()
    assert spec.conda is not None
    with pytest.raises(StageFailed, match=r"micromamba has other content: its SHA-256 is .*should be 000") as failure:
        bench.run(replace(spec, conda=replace(spec.conda, sha256="0" * 64)), "viso_env")
    assert not failure.value.retry
    with pytest.raises(StageFailed, match="the lock does not know its SHA-256") as failure:
        bench.run(replace(spec, conda=replace(spec.conda, sha256=None)), "viso_env")
    assert failure.value.hint == "with a network: `./buildkit.py lock demo`, then build again"
    assert not home.exists() and ran(bench.log, "create") == []


def test_settings_of_the_user_and_the_bundle(bench: Bench, channels: Channels) -> None:
    spec = channels.spec()
    bench.environ = {"SSL_CERT_FILE": "/bundle.pem", "MAMBARC": "/workspace/.mambarc", "UV_CACHE_DIR": "/c/uv"}
    assert conda.environment(bench.context(spec)) == {"CONDA_PKGS_DIRS": "/c/conda", "MAMBA_SSL_VERIFY": "/bundle.pem"}
    assert conda.environment(bench.context(spec, baking=True))["CONDA_PKGS_DIRS"] == "/c/uv/firstlight-conda"
    bench.environ |= {"MAMBA_SSL_VERIFY": "/own.pem", "CONDA_PKGS_DIRS": "/own"}
    assert conda.environment(bench.context(spec)) == {"CONDA_PKGS_DIRS": "/own", "MAMBA_SSL_VERIFY": "/own.pem"}


def test_what_scripts_changed() -> None:
    old = {"PATH": "/e/bin:/usr/bin", "A": "1", "B": "x"}
    new = {"PATH": "/e/more:/e/bin:/usr/bin", "A": "2", "B": "x", "NEW": "n", "SHLVL": "3", "_": "/bin/sh"}
    assert conda.changes(old, new) == ({"A": "2", "NEW": "n"}, {"PATH": "/e/more"})


def test_bytes_are_told_while_they_arrive(bench: Bench, channels: Channels, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a pipe micromamba says how much it will be, and nothing until all of it is there."""
    monkeypatch.setattr(conda, "_LOOK", 0.01)
    told: list[dict[str, Any]] = []
    context = bench.context(channels.spec(), "viso_env")
    context.report = lambda **what: told.append(what)
    python.run(context)
    archives = list(
        (bench.cache.with_name("conda")).glob(f"http/*_{channels.url.rpartition(':')[2]}/forge/linux-64/p*")
    )
    archives = [file for file in archives if file.is_file()]
    size = sum(file.stat().st_size for file in archives)
    assert len(archives) == 2 and max(what.get("done", 0) for what in told) == size
    # The table rounds each package.
    total = next(what["total"] for what in told if "total" in what)
    assert abs(total - size) < 500_000 * len(archives)
