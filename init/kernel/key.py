"""What a compiled wheel depends on. Two machines with the same key can share it; anything else is another wheel."""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from init.kernel import toolkit
from init.specs import KernelSpec
from init.stages.environment import Environment

FLAGS = ("CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "NVCC_APPEND_FLAGS", "NVCC_PREPEND_FLAGS", "CXX_APPEND_FLAGS")
"""Variables of the user's that change what a compiler makes."""


@dataclass(frozen=True)
class Key:
    name: str
    source: str
    """Commit, or digest of the folder; a version says too little."""
    subdirectory: str
    python: str
    """`cp312`."""
    platform: str
    glibc: str
    torch: str
    """Full version; empty when the environment has none."""
    cxx11_abi: str
    cuda: str
    """Major version that torch was built for."""
    arch: str
    """Sorted compute capabilities, joined by `;`."""
    nvcc: str
    """Release, such as `12.8`; empty for host code."""
    flags: str

    def folder(self) -> str:
        """Name of the wheel's folder in a cache."""
        text = json.dumps(asdict(self), sort_keys=True)
        return f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def make(
    spec: KernelSpec, source: str, arch: Sequence[str], environment: Environment, environ: Mapping[str, str]
) -> Key:
    """The key of this kernel, on this machine, in this environment."""
    torch = torch_facts(environment.packages)
    flags = {name: environ[name] for name in FLAGS if name in environ} | dict(spec.environment)
    major, minor = ([*environment.version.split("."), "", ""])[:2]
    return Key(
        name=spec.name,
        source=source,
        subdirectory=spec.subdirectory or "",
        python=f"cp{major}{minor}",
        platform=f"{platform.system()}-{platform.machine()}".lower(),
        glibc=platform.libc_ver()[1],
        torch=torch["version"],
        cxx11_abi=torch["abi"],
        cuda=torch["cuda"].partition(".")[0],
        arch=";".join(arch),
        nvcc=toolkit.release(environ, environment.packages) if arch else "",
        flags=json.dumps(flags, sort_keys=True),
    )


def torch_facts(packages: Path) -> dict[str, str]:
    """`version`, `cuda` and `abi` of the torch in a site-packages folder, read from its files: importing it takes
    seconds. Empty strings for what is not there."""
    version = _text(packages / "torch" / "version.py")
    cmake = _text(packages / "torch" / "share" / "cmake" / "Torch" / "TorchConfig.cmake")
    return {
        "version": _first(r"^__version__\s*=\s*['\"]([^'\"]+)", version),
        "cuda": _first(r"^cuda\b[^=]*=\s*['\"]([^'\"]+)", version),
        "abi": _first(r"_GLIBCXX_USE_CXX11_ABI=(\d)", cmake),
    }


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def _first(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1] if match else ""
