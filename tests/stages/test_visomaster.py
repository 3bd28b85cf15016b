"""VisoMaster's manifests, as far as they go without a GPU: what they install, what they keep, what they fetch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from images.planning import plan
from init.plan import Plan
from init.specs import CommandSpec, FileSpec, GitSpec, ModelsSpec, PythonSpec, Spec
from init.stages.environment import Environment
from manifests import load, lock
from tests.stages import wheels
from tests.stages.bench import Bench, write
from tests.stages.repositories import Repositories

IMAGES = ["visomaster", "visomaster-fusion"]
SHIPPED = {
    "libgrid_sample_3d_plugin.so": "for TensorRT",
    "liveportrait_onnx/lip_array.pkl": "an array",
    "meanshape_68.pkl": "a shape",
    "dfm_models/.gitkeep": "",
}
"""What lies in the repository's own `model_assets`."""


def planned(name: str) -> Plan:
    loaded = load.load(name)
    return plan(loaded, lock.read(loaded))


def environment(name: str) -> PythonSpec:
    spec = planned(name).stage("app").spec
    assert isinstance(spec, PythonSpec)
    return spec


@pytest.fixture
def bench(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """With a cache of its own: the tiny packages here have the names of real ones."""
    return Bench(tmp_path / "root", tmp_path_factory.mktemp("uv-cache"))


@pytest.mark.parametrize("name", IMAGES)
def test_every_version_is_exact(name: str) -> None:
    spec = environment(name)
    for text in spec.packages:
        pins = list(Requirement(text).specifier)
        assert [pin.operator for pin in pins] == ["=="], text
    assert {"torch", "onnxruntime-gpu", "numpy", "PySide6", "tensorrt-cu12-libs"} <= set(spec.freeze)


def test_the_versions_are_those_that_its_authors_tested() -> None:
    assert environment("visomaster").python == "3.10" and environment("visomaster-fusion").python == "3.11"
    original = {
        *("torch==2.4.1+cu124", "torchvision==0.19.1+cu124", "torchaudio==2.4.1+cu124", "onnxruntime-gpu==1.20.0"),
        *("tensorrt==10.6.0", "numpy==1.26.4", "opencv-python==4.10.0.84", "scikit-image==0.21.0", "pillow==9.5.0"),
        *("onnx==1.16.1", "protobuf==4.23.2", "psutil==6.0.0", "packaging==24.1", "PySide6==6.7.2"),
        *("pyvirtualcam==0.11.1", "pyqt-toast-notification==1.3.2"),
    }
    fork = {"torch==2.8.0+cu129", "torchvision==0.23.0+cu129", "onnxruntime-gpu==1.23.2", "tensorrt-cu12==10.13.3.9"}
    assert original <= set(environment("visomaster").packages)
    assert fork <= set(environment("visomaster-fusion").packages)
    conda = environment("visomaster-conda")
    assert conda.conda is not None and conda.python == "3.10" and original <= set(conda.packages)
    assert conda.conda.channels == ["nvidia/label/cuda-12.4.1", "conda-forge"]


@pytest.mark.parametrize("name", IMAGES)
def test_the_runtime_for_the_cpu_never_hides_that_of_the_gpu(bench: Bench, index: tuple[Path, str], name: str) -> None:
    """All of the image's packages, as tiny wheels of the same names and versions; some drag in what is forbidden."""
    folder, address = index
    spec = environment(name)
    for text in [*spec.packages, "ipykernel==7.0", "pip==25.0"]:
        wanted = Requirement(text)
        version = next(iter(wanted.specifier)).version
        drags = ["onnxruntime", "opencv-python-headless"] if wanted.name in ("onnxsim", "kornia") else []
        files = {"onnxruntime/__init__.py": 'device = "GPU"\n'} if wanted.name == "onnxruntime-gpu" else None
        wheels.add(folder, wanted.name.lower(), version, drags, files)
    wheels.add(folder, "onnxruntime", "1.99", files={"onnxruntime/__init__.py": 'device = "CPU"\n'})
    wheels.add(folder, "opencv-python-headless", "4.99")
    wheels.add(folder, "torch", "9.9")
    bench.environ = {"UV_DEFAULT_INDEX": address}
    spec = replace(spec, python=sys.executable, index={})
    outcome = bench.run(spec, "app")
    asked = write(bench.paths.source("web"), {"requirements.txt": "onnxruntime\ntorch==9.9\nonnxruntime-gpu>=1"})
    assert asked.is_dir()
    more = replace(spec, packages=[], kernel=None, source="web", requirements=["requirements.txt"])
    kept = bench.run(more, "web:packages")
    assert "asks for torch==9.9, kept" in kept.message
    home = bench.paths.env("app")
    said = [str(home / "bin/python"), "-c", "import onnxruntime; print(onnxruntime.device)"]
    assert subprocess.run(said, capture_output=True, text=True, check=True).stdout == "GPU\n"
    found = Environment(bench.context(spec), "app").installed()
    assert not {"onnxruntime", "opencv-python-headless"} & set(found)
    assert outcome.result["frozen"].items() <= found.items()
    for text in spec.packages:
        assert found[Requirement(text).name.lower()] == next(iter(Requirement(text).specifier)).version


def test_the_57_models_are_those_of_the_repository() -> None:
    files = [file for stage in planned("visomaster").stages for file in _files(stage.spec)]
    assert len(files) == 57 and all(file.sha256 for file in files)
    below = [file for file in files if file.path.startswith("liveportrait_onnx/")]
    assert len(below) == 7 and all("/v0.1.0_lp/" in file.url for file in below)


def test_the_fork_has_seven_more() -> None:
    old = {file.path: file.sha256 for stage in planned("visomaster").stages for file in _files(stage.spec)}
    new = {file.path: file.sha256 for stage in planned("visomaster-fusion").stages for file in _files(stage.spec)}
    assert old.items() <= new.items()
    assert sorted(new.keys() - old.keys()) == [
        "gfpgan-1024.onnx",
        "ref-ldm_embedding/ckpts/refldm.ckpt",
        "ref-ldm_embedding/ckpts/vqgan.ckpt",
        "ref_ldm_unet_external_kv.onnx",
        "ref_ldm_vae_decoder.onnx",
        "ref_ldm_vae_encoder.onnx",
        "vgg_combo_relu3_3_relu3_1.onnx",
    ]


def _files(spec: Spec) -> list[FileSpec]:
    return list(spec.files) if isinstance(spec, ModelsSpec) else []


def test_what_the_code_brings_along_survives_the_link_to_the_workspace(bench: Bench, repos: Repositories) -> None:
    stages = planned("visomaster")
    source, command = stages.stage("visomaster").spec, stages.stage("model-assets").spec
    assert isinstance(source, GitSpec) and isinstance(command, CommandSpec)
    commit = repos.commit(
        "VisoMaster", {"main.py": "", **{f"model_assets/{name}": text for name, text in SHIPPED.items()}}
    )
    code = replace(source.code, git=repos.smart("VisoMaster"), ref=commit, commit=commit)
    models, at = bench.root / "workspace/models", bench.paths.source("visomaster")
    write(models, {"inswapper_128.fp16.onnx": "fetched", "meanshape_68.pkl": "the user's own"})
    for _ in ("a first start", "a new container on the same volume"):
        bench.run(replace(source, code=code), "visomaster")
        bench.run(command, "model-assets")
        bench.run(command, "model-assets")
        assert (at / "model_assets").resolve() == models.resolve()
        for name, text in SHIPPED.items():
            expected = "the user's own" if name == "meanshape_68.pkl" else text
            assert (at / "model_assets" / name).read_text() == expected
        assert (at / "model_assets/inswapper_128.fp16.onnx").read_text() == "fetched"
        assert not list(models.rglob("*.new"))
        (at / "tensorrt-engines/sm89.engine").write_text("minutes of work")
        subprocess.run(["rm", "-r", str(at), str(Path(bench.paths.disk, "records"))], check=False)
    assert (bench.root / "workspace/visomaster/tensorrt-engines/sm89.engine").exists()


def test_a_model_that_comes_while_it_is_copied_is_not_overwritten(bench: Bench) -> None:
    """Uploaded code may hold models of its own; those that are fetched meanwhile have been verified."""
    command, at = planned("visomaster").stage("model-assets").spec, bench.paths.source("visomaster")
    assert isinstance(command, CommandSpec)
    write(at, {"model_assets/inswapper_128.fp16.onnx": "somebody's", "model_assets/meanshape_68.pkl": "a shape"})
    slow = '#!/bin/sh\ncase $2 in *inswapper*) echo fetched >"${2%.new}" ;; esac\nexec /bin/cp "$@"\n'
    programs, models = write(bench.root / "bin", {"cp": slow}), bench.root / "workspace/models"
    (programs / "cp").chmod(0o755)
    bench.environ["PATH"] = f"{programs}:{os.environ['PATH']}"
    bench.run(command, "model-assets")
    assert (models / "inswapper_128.fp16.onnx").read_text() == "fetched\n"
    assert (models / "meanshape_68.pkl").read_text() == "a shape"
    assert not list(models.rglob("*.new"))


def test_the_last_workspace_of_uploaded_code_is_left_alone(bench: Bench) -> None:
    command, at = planned("visomaster-fusion").stage("last-workspace").spec, bench.paths.source("visomaster")
    assert isinstance(command, CommandSpec)
    own = write(bench.root / "workspace/VisoMaster", {"last_workspace.json": "the user's"})
    at.parent.mkdir(parents=True)
    at.symlink_to(own)
    bench.run(command, "last-workspace")
    assert (own / "last_workspace.json").read_text() == "the user's"
    at.unlink()
    at.mkdir()
    bench.run(command, "last-workspace")
    assert (at / "last_workspace.json").readlink() == bench.root / "workspace/visomaster/last_workspace.json"


@pytest.mark.parametrize("name", [*IMAGES, "visomaster-conda"])
def test_the_image_holds_what_the_app_calls_and_no_compiler(name: str) -> None:
    manifest = load.load(name).manifest
    assert manifest.image.base == "ubuntu:24.04"
    assert "ffmpeg" in manifest.image.apt and not {"build-essential", "cmake"} & set(manifest.image.apt)
    assert manifest.image.env["NVIDIA_DRIVER_CAPABILITIES"] == "all"
    gpu = json.loads(json.dumps(planned(name).stage("gpu").spec.__dict__))
    assert gpu == {"cuda": "12.9" if name == "visomaster-fusion" else "12.4"}
