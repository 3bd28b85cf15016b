"""Look whether this machine's GPU and driver are what the image was made for, before anything else takes its time."""

from __future__ import annotations

from init.failure import StageFailed
from init.kernel.driver import Driver, driver
from init.lines import size
from init.specs import GpuSpec
from init.stages.context import Context, Outcome


def abi(context: Context) -> dict[str, str]:
    """Another machine is looked at again."""
    return {"driver": repr(driver(context.environ))}


def run(context: Context) -> Outcome:
    """Raises StageFailed with what is missing, and what to do."""
    spec = context.stage.spec
    assert isinstance(spec, GpuSpec)
    found = driver(context.environ)
    return Outcome(message=judge(found, spec.cuda))


def judge(found: Driver | None, cuda: str) -> str:
    """What there is, in a sentence. Raises StageFailed unless programs built for this CUDA release run on this driver.

    Within a major release older drivers run newer programs, but for code that they have to compile themselves:
    https://docs.nvidia.com/deploy/cuda-compatibility/
    """
    if found is None:
        raise StageFailed(
            "no NVIDIA driver answers in this container",
            hint="choose a machine with a GPU; with Docker start it with `--gpus all`",
            retry=False,
        )
    if _number(found.cuda)[0] < _number(cuda)[0]:
        raise StageFailed(
            f"the driver is too old: it supports CUDA {found.cuda}, and this image needs {cuda}",
            hint=f"choose a machine whose driver supports CUDA {cuda} or later",
            retry=False,
        )
    if not found.gpus:
        raise StageFailed(
            "the driver answers and shows no GPU",
            hint="look at `nvidia-smi`; a machine whose GPU has fallen off is restarted by its owner",
            retry=False,
        )
    names = ", ".join(f"{gpu.name} ({size(gpu.memory)})" for gpu in found.gpus)
    text = f"{names}; the driver supports CUDA {found.cuda}"
    if _number(found.cuda) < _number(cuda):
        return f"{text}, this image was made for {cuda}: if the app complains, choose a machine with a newer driver"
    return text


def _number(release: str) -> tuple[int, int]:
    major, _, minor = release.partition(".")
    return int(major), int(minor or 0)
