"""The CUDA toolkit that kernels are compiled with: one that came with an environment's packages, or this machine's.

From CUDA 13 on `nvidia-cuda-nvcc` and its companions on PyPI are a whole toolkit, but for the names that a linker
looks for.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path


def home(environ: Mapping[str, str], packages: Path) -> Path | None:
    """Its folder; None when there is none. `packages` is the environment's site-packages."""
    own = sorted(packages.glob("nvidia/cu*/bin/nvcc"))
    if own:
        return own[-1].parent.parent
    for name in ("CUDA_HOME", "CUDA_PATH"):
        if environ.get(name) and Path(environ[name], "bin", "nvcc").is_file():
            return Path(environ[name])
    if Path("/usr/local/cuda/bin/nvcc").is_file():
        return Path("/usr/local/cuda")
    found = shutil.which("nvcc", path=environ.get("PATH"))
    return Path(found).resolve().parent.parent if found else None


def release(environ: Mapping[str, str], packages: Path) -> str:
    """`12.8`; empty without a toolkit."""
    folder = home(environ, packages)
    if folder is None:
        return ""
    try:
        words = [str(folder / "bin" / "nvcc"), "--version"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.search(r"release (\d+\.\d+)", done.stdout)
    return match[1] if match else ""


def variables(environ: Mapping[str, str], packages: Path, path: str, links: Path) -> dict[str, str]:
    """What leads a build to the compiler. `path` is its `PATH`; `links` a folder for names that are missing.

    Raises OSError.
    """
    folder = home(environ, packages)
    if folder is None:
        return {}
    found = {"CUDA_HOME": str(folder), "PATH": f"{path}:{folder / 'bin'}"}
    libraries = [environ.get("LIBRARY_PATH", "")]
    if (folder / "lib64" / "stubs").is_dir():
        # Where there is no driver (an image build), libcuda is linked against its stub.
        libraries.append(str(folder / "lib64" / "stubs"))
    if not (folder / "lib64").exists():
        links.mkdir(parents=True, exist_ok=True)
        for library in (folder / "lib").glob("lib*.so.*"):
            link = links / f"{library.name.partition('.so.')[0]}.so"
            link.unlink(missing_ok=True)
            link.symlink_to(library)
        libraries.append(str(links))
    return found | {"LIBRARY_PATH": ":".join(part for part in libraries if part)}
