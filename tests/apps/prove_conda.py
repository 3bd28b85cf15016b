"""micromamba itself, of the release in the lock: what `make prove` runs.

FIRSTLIGHT_MICROMAMBA names its file, for machines that do not reach GitHub's releases. Who has mamba's source can build
it on Debian trixie, which has all but libsolv with `ENABLE_CONDA` and fmt 11: with BUILD_SHARED, BUILD_LIBMAMBA,
BUILD_LIBMAMBA_SPDLOG and BUILD_MAMBA, without ENABLE_MAMBA_ROOT_PREFIX_FALLBACK. `mamba` is then micromamba, linked
dynamically.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from images.planning import plan
from init.fetch import single
from init.fetch.sources import Sources
from init.specs import PythonSpec
from manifests import load, lock

ROOT = Path(__file__).resolve().parents[2]
loaded = load.load("visomaster-conda")
SPEC = plan(loaded, lock.read(loaded)).stage("app").spec


@pytest.fixture(scope="module")
def micromamba(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if given := os.environ.get("FIRSTLIGHT_MICROMAMBA"):
        return Path(given)
    assert isinstance(SPEC, PythonSpec) and SPEC.conda is not None
    file = tmp_path_factory.mktemp("micromamba") / "micromamba"
    single.fetch(SPEC.conda.url, file, SPEC.conda.sha256, threading.Event(), Sources(os.environ))
    file.chmod(0o755)
    return file


@pytest.mark.timeout(1800)
def test_it_does_what_the_one_in_its_place_does(micromamba: Path) -> None:
    words = [sys.executable, "-m", "pytest", "-q", "tests/stages/test_conda.py"]
    subprocess.run(words, cwd=ROOT, env={**os.environ, "MICROMAMBA": str(micromamba)}, check=True)


@pytest.mark.timeout(1800)
def test_the_channels_have_what_visomaster_asks_for(micromamba: Path, tmp_path: Path) -> None:
    assert isinstance(SPEC, PythonSpec) and SPEC.conda is not None
    words: list[str | Path] = [
        micromamba,
        "create",
        "--yes",
        "--dry-run",
        "--root-prefix",
        tmp_path,
        "--prefix",
        tmp_path / "env",
    ]
    words += ["--override-channels", *(word for name in SPEC.conda.channels for word in ("--channel", name))]
    subprocess.run([*words, f"python={SPEC.python}", *SPEC.conda.packages], check=True)
