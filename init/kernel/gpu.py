"""Which GPUs there are, as CUDA compute capabilities.

The driver's library is asked first, in a process of its own (it takes memory and time to load), `nvidia-smi` where that
does not answer.
"""

from __future__ import annotations

import ctypes
import functools
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence

_MAJOR, _MINOR = 75, 76
_TIMEOUT = 60.0
_PASSED = ("PATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")


def capabilities(environ: Mapping[str, str]) -> list[str]:
    """`["8.9"]`: one for each kind of GPU, in the order of the devices; empty without a GPU or a driver."""
    return list(_ask(tuple((name, environ[name]) for name in _PASSED if name in environ)))


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
    env = dict(environ)
    for argv in (
        [sys.executable, __file__],
        ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"],
    ):
        try:
            done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        found = [line.strip() for line in done.stdout.splitlines() if re.fullmatch(r"\d+\.\d+", line.strip())]
        if done.returncode == 0 and found:
            return tuple(dict.fromkeys(found))
    return ()


def main() -> int:
    """Print the capability of each device, one a line; 1 when the driver does not answer."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 1
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 1
    for number in range(count.value):
        device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
        failed = (
            driver.cuDeviceGet(ctypes.byref(device), number)
            or driver.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
            or driver.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
        )
        if failed:
            return 1
        print(f"{major.value}.{minor.value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
