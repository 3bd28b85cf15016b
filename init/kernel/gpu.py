"""Which GPUs there are, as CUDA compute capabilities.

The driver's library is asked first, `nvidia-smi` where that does not answer.
"""

from __future__ import annotations

import functools
import re
import subprocess
from collections.abc import Mapping, Sequence

from init.kernel.driver import PASSED, TIMEOUT, driver


def capabilities(environ: Mapping[str, str]) -> list[str]:
    """`["8.9"]`: one for each kind of GPU, in the order of the devices; empty without a GPU or a driver."""
    return list(_ask(tuple((name, environ[name]) for name in PASSED if name in environ)))


def targets(found: Sequence[str], supported: Sequence[str], exclusive: Sequence[str]) -> list[str]:
    """What to compile for, sorted: for each GPU its own capability, or the closest lower one of the same generation.

    A GPU that nothing in `supported` fits is left out; an `exclusive` capability never stands beside another one: the
    first GPU decides.
    """
    chosen = [target for target in (_closest(capability, supported, exclusive) for capability in found) if target]
    if chosen and any(target in exclusive for target in chosen):
        chosen = chosen[:1] if chosen[0] in exclusive else [target for target in chosen if target not in exclusive]
    return sorted(set(chosen), key=_number)


def _closest(capability: str, supported: Sequence[str], exclusive: Sequence[str]) -> str | None:
    if capability in supported:
        return capability
    major, minor = _number(capability)
    lower = [c for c in supported if c not in exclusive and _number(c)[0] == major and _number(c)[1] < minor]
    return max(lower, key=_number, default=None)


def _number(capability: str) -> tuple[int, int]:
    major, _, minor = capability.partition(".")
    return int(major), int(minor or 0)


@functools.cache
def _ask(environ: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    known = driver(dict(environ))
    if known is not None and known.gpus:
        return tuple(dict.fromkeys(gpu.capability for gpu in known.gpus))
    words = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        done = subprocess.run(words, env=dict(environ), capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = [line.strip() for line in done.stdout.splitlines() if re.fullmatch(r"\d+\.\d+", line.strip())]
    return tuple(dict.fromkeys(found)) if done.returncode == 0 else ()
