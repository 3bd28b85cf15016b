"""What a machine must have for an image: disk, volume, ports, the driver. Pure; the lock has the sizes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from manifests import cuda, expand
from manifests.lock import Lock
from manifests.model import Manifest

GB = 10**9
GROUND = 6
"""GB of a container's disk for logs, caches and what users install."""
STAGE = {"python": 3, "git": 1, "nodes": 6, "kernel": 3, "command": 1}
"""GB that a stage leaves on the container's disk, by kind; others leave next to nothing there."""
TORCH = 12
"""GB of an environment with PyTorch and its CUDA libraries."""
UNKNOWN = 2
"""GB that a model file is taken for whose size nobody has looked up."""
OUTPUTS = 20
"""GB of a volume for what users make, and for compiled wheels."""
BLACKWELL = 1000
"""Compute capability of the first such GPU, in hundredths."""
VERSIONS = ["11.8"] + [f"12.{minor}" for minor in (0, 1, 2, 3, 4, 5, 6, 8, 9)] + [f"13.{minor}" for minor in range(4)]
"""CUDA releases so far, as drivers report them."""


@dataclass(frozen=True)
class Share:
    """A part of a size, and whose it is."""

    what: str
    size: int
    """GB."""


@dataclass(frozen=True)
class Needs:
    disk: list[Share]
    """The container's own disk."""
    volume: list[Share]
    """The workspace."""
    cuda: str | None
    """The least CUDA release that the driver must support, `12.8`; None: no GPU is needed."""
    memory: int | None
    """Bytes of memory that a GPU must have, as far as the manifest says so."""
    capability: tuple[int | None, int | None]
    """Least compute capability, and the first that is too new, in hundredths: `(800, 1000)`."""
    http: list[int]
    """Ports with pages, JupyterLab's first."""
    unknown: int
    """Model files of unknown size, among those of the volume."""


def of(manifest: Manifest, lock: Lock) -> Needs:
    chosen = {name: models for name, models in manifest.models.sets.items() if models.default or models.required}
    sizes = [lock.sizes(expand.files(models)) for models in chosen.values()]
    return Needs(
        disk=_disk(manifest),
        volume=_volume(dict(zip(chosen, sizes, strict=True))),
        cuda=cuda.release(manifest),
        memory=manifest.deploy.gpu_memory,
        capability=_capability(manifest),
        http=expand.ports(manifest),
        unknown=len({path for found in sizes for path, size in found.items() if size is None}),
    )


def total(shares: list[Share]) -> int:
    """GB, rounded up to tens."""
    return math.ceil(sum(share.size for share in shares) / 10) * 10


def gb(size: int | None) -> int | None:
    """Bytes in GB, rounded up."""
    return None if size is None else -(-size // GB)


def listed(shares: list[Share]) -> str:
    """The shares in words."""
    return ", ".join(f"{share.what} {share.size}" for share in shares)


def account(given: int | None, shares: list[Share]) -> str:
    """Where a size comes from: derived from its shares, or `given` by the manifest."""
    told = listed(shares)
    return told if given is None else f"as the manifest says, instead of {total(shares)}: {told}"


def drivers(release: str) -> list[str]:
    """CUDA releases, as drivers report them, that run what was built for this one."""
    return [version for version in VERSIONS if _numbers(version) >= _numbers(release)]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _disk(manifest: Manifest) -> list[Share]:
    found = [Share("logs, caches, what users install", GROUND)]
    for stage in expand.stages(manifest):
        if stage.at == "build" or stage.kind not in STAGE:
            continue
        env = manifest.python.envs.get(stage.id)
        cuda = env is not None and any(re.match(r"torch\b", package) for package in env.packages)
        found.append(Share(stage.id, TORCH if cuda else STAGE[stage.kind]))
    return found


def _volume(sets: dict[str, dict[str, int | None]]) -> list[Share]:
    """A file that several sets have counts once."""
    shares, counted = [], set[str]()
    for name, sizes in sets.items():
        own = [UNKNOWN * GB if size is None else size for path, size in sizes.items() if path not in counted]
        counted |= set(sizes)
        shares.append(Share(name, math.ceil(sum(own) / GB)))
    return [*shares, Share("outputs, compiled wheels", OUTPUTS)]


def _capability(manifest: Manifest) -> tuple[int | None, int | None]:
    """From what kernels are compiled for, and from PyTorch's builds: those for CUDA before 12.8 know no Blackwell."""
    known = [_hundredths(arch) for kernel in manifest.kernels.values() for arch in kernel.arch]
    texts = [text for env in manifest.python.envs.values() for text in env.packages if re.match(r"torch\b", text)]
    builds = [(int(major), int(minor)) for text in texts for major, minor in re.findall(r"\+cu(\d\d)(\d)\b", text)]
    return min(known, default=None), BLACKWELL if builds and min(builds) < (12, 8) else None


def _hundredths(arch: str) -> int:
    major, minor = _numbers(arch)
    return major * 100 + minor * 10
