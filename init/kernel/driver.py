"""What the NVIDIA driver of this machine is: the CUDA release that it supports, and its GPUs by name.

Asked of its library, in a process of its own: that takes memory, and time to load.
"""

from __future__ import annotations

import ctypes
import functools
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

_MAJOR, _MINOR = 75, 76
TIMEOUT = 60.0
PASSED = ("PATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")


@dataclass(frozen=True)
class Gpu:
    name: str
    memory: int
    """Bytes."""
    capability: str
    """CUDA compute capability, `8.9`."""


@dataclass(frozen=True)
class Driver:
    cuda: str
    """The latest CUDA release that it supports, `12.8`."""
    gpus: tuple[Gpu, ...]


def driver(environ: Mapping[str, str]) -> Driver | None:
    """None where none answers."""
    return _ask(tuple((name, environ[name]) for name in PASSED if name in environ))


@functools.cache
def _ask(environ: tuple[tuple[str, str], ...]) -> Driver | None:
    words = [sys.executable, __file__]
    try:
        done = subprocess.run(words, env=dict(environ), capture_output=True, text=True, timeout=TIMEOUT, check=False)
        told = json.loads(done.stdout)
        return Driver(
            str(told["cuda"]), tuple(Gpu(str(name), int(memory), str(cc)) for name, memory, cc in told["gpus"])
        )
    except (OSError, ValueError, KeyError, TypeError, subprocess.TimeoutExpired):
        return None


def main() -> int:
    """Print it as JSON; 1 when the driver does not answer."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 1
    version, count = ctypes.c_int(), ctypes.c_int()
    if library.cuDriverGetVersion(ctypes.byref(version)):
        return 1
    gpus = []
    if not library.cuInit(0) and not library.cuDeviceGetCount(ctypes.byref(count)):
        for number in range(count.value):
            device, memory, name = ctypes.c_int(), ctypes.c_size_t(), ctypes.create_string_buffer(100)
            major, minor = ctypes.c_int(), ctypes.c_int()
            failed = (
                library.cuDeviceGet(ctypes.byref(device), number)
                or library.cuDeviceGetName(name, len(name), device)
                or library.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
                or library.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
                or library.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
            )
            if not failed:
                capability = f"{major.value}.{minor.value}"
                gpus.append([name.value.decode(errors="replace"), memory.value, capability])
    print(json.dumps({"cuda": f"{version.value // 1000}.{version.value % 1000 // 10}", "gpus": gpus}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
