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

_TIMEOUT = 60.0
_PASSED = ("PATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")


@dataclass(frozen=True)
class Gpu:
    name: str
    memory: int
    """Bytes."""


@dataclass(frozen=True)
class Driver:
    cuda: str
    """The latest CUDA release that it supports, `12.8`."""
    gpus: tuple[Gpu, ...]


def driver(environ: Mapping[str, str]) -> Driver | None:
    """None where none answers."""
    return _ask(tuple((name, environ[name]) for name in _PASSED if name in environ))


@functools.cache
def _ask(environ: tuple[tuple[str, str], ...]) -> Driver | None:
    words = [sys.executable, __file__]
    try:
        done = subprocess.run(words, env=dict(environ), capture_output=True, text=True, timeout=_TIMEOUT, check=False)
        told = json.loads(done.stdout)
        return Driver(str(told["cuda"]), tuple(Gpu(str(name), int(memory)) for name, memory in told["gpus"]))
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
            failed = (
                library.cuDeviceGet(ctypes.byref(device), number)
                or library.cuDeviceGetName(name, len(name), device)
                or library.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
            )
            if not failed:
                gpus.append([name.value.decode(errors="replace"), memory.value])
    print(json.dumps({"cuda": f"{version.value // 1000}.{version.value % 1000 // 10}", "gpus": gpus}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
