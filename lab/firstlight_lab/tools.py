"""Programs that a guide asks: `firstlight`, supervisor, the driver, and the Python of an app's environment."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

WITHIN = 120.0
"""Seconds: the first import of torch reads gigabytes."""
QUERY = "name,driver_version,memory.total,memory.used,utilization.gpu"
CONDA = ("cuda-runtime", "cudnn")
"""Packages from conda that bring CUDA and cuDNN; each notes itself as `conda-meta/NAME-VERSION-BUILD.json`."""
ACTIVATED = '[ ! -r "$0/bin/activate" ] || . "$0/bin/activate"; exec "$1" -c "$2"'
"""As services run there: packages from conda are found by what their activation sets."""
PROBE = """
import importlib.metadata, json
found = {}
for name in ("torch", "onnxruntime-gpu", "onnxruntime", "tensorrt", "nvidia-cudnn-cu12"):
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
try:
    import torch
    found["cuda"], found["cudnn"] = torch.version.cuda, torch.backends.cudnn.version()
    found["usable"] = torch.cuda.is_available()
except Exception as error:
    found["torch_error"] = f"{type(error).__name__}: {error}" if "torch" in found else ""
try:
    import onnxruntime
    found["providers"] = onnxruntime.get_available_providers()
except Exception:
    pass
print(json.dumps(found))
"""


def firstlight(*words: str) -> str:
    """What `firstlight` prints."""
    code, text = _run(["firstlight", *words])
    return text.rstrip() or f"`firstlight {' '.join(words)}` ended with {code} and said nothing"


def programs() -> tuple[list[tuple[str, str]], str]:
    """Programs that supervisor keeps, with their states; and what to say where that cannot be known."""
    home = Path(sys.prefix).parent
    command = [str(Path(sys.prefix, "bin", "supervisorctl")), "-c", str(home / "etc" / "supervisord.conf"), "status"]
    if not Path(command[0]).exists():
        return [], "This kernel has no supervisorctl: choose the kernel `Set-up guide`"
    _, text = _run(command)
    rows = [line.split() for line in text.splitlines()]
    found = [(row[0], row[1]) for row in rows if len(row) > 1 and row[1].isupper()]
    return found, "" if found else f"supervisor does not answer: {text.strip()[:200]}"


def gpu() -> tuple[str, bool]:
    """The GPUs in a sentence, and whether there is one."""
    if shutil.which("nvidia-smi") is None:
        return "No NVIDIA driver answers in this container (there is no nvidia-smi).", False
    code, text = _run(["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"])
    rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines()]
    found = [row for row in rows if len(row) == 5]
    if code != 0 or not found:
        return f"The driver shows no GPU: {text.strip()[:200] or 'nvidia-smi says nothing'}.", False
    told = [
        f"{name}, driver {driver}, {used} of {total} in use, {busy} busy" for name, driver, total, used, busy in found
    ]
    return f"{'; '.join(told)}.", True


def cuda(env: Path) -> tuple[str, bool]:
    """What an environment's packages say of CUDA and cuDNN, and whether they reach a GPU."""
    python = env / "bin" / "python"
    if not python.exists():
        return f"{env.name}: the environment is not there.", False
    code, text = _run(["sh", "-c", ACTIVATED, str(env), str(python), PROBE])
    last = next((line for line in reversed(text.splitlines()) if line.startswith("{")), "")
    if code != 0 or not last:
        return f"{env.name}: its Python does not answer: {text.strip()[-200:]}.", False
    found = json.loads(last)
    words = [
        f"{name} {found[name]}"
        for name in ("torch", "onnxruntime-gpu", "tensorrt", "nvidia-cudnn-cu12")
        if name in found
    ]
    words += [file.stem.rpartition("-")[0] for name in CONDA for file in env.glob(f"conda-meta/{name}-[0-9]*.json")]
    if "cuda" in found:
        words.append(f"made for CUDA {found['cuda'] or 'no GPU'}, cuDNN {found['cudnn'] or 'none'}")
    if found.get("torch_error"):
        words.append(f"torch does not load ({found['torch_error'][:160]})")
    if "onnxruntime" in found and "onnxruntime-gpu" in found:
        words.append("onnxruntime for the processor stands in the way of the one for the GPU")
    providers = [name for name in found.get("providers") or [] if name.startswith(("CUDA", "Tensorrt"))]
    usable = bool(found.get("usable")) or (bool(providers) and "torch" not in found)
    if not words:
        return f"{env.name}: none of its packages uses a GPU.", False
    return f"{env.name}: {', '.join(words)}; a GPU is {'reached' if usable else 'not reached'}.", usable


def _run(command: Sequence[str]) -> tuple[int, str]:
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=WITHIN,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 124, f"{command[0]} did not answer within {WITHIN:.0f} s"
    except OSError as error:
        return 127, f"{command[0]}: {error.strerror}"
    return done.returncode, done.stdout
