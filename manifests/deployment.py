"""What a manifest may say of the platforms that an image runs on."""

from __future__ import annotations

from manifests.section import Section
from manifests.values import EnvName, Id, Size, Text


class RunPod(Section):
    """RunPod template."""

    ports: list[Text] = []
    """Ports as `8188/http`, `22/tcp`; without them those of the services."""
    disk: Size | None = None
    """Container disk; without it derived."""
    volume: Size | None = None
    """Volume; without it derived from the models."""
    env: dict[EnvName, Text] = {}
    """Environment variables of the template."""
    secrets: dict[EnvName, Id] = {}
    """Environment variables that come from RunPod's secrets: the secret's name by variable."""


class Vast(Section):
    """Vast.ai template."""

    filters: dict[Text, Text] = {}
    """Further search filters: a field of Vast.ai's offers and what it must be, such as `gpu_name: in [RTX_4090]` or
    `inet_down: ">= 500"`. One that is derived for the same field gives way."""
    disk: Size | None = None
    """Disk; without it derived."""
    env: dict[EnvName, Text] = {}
    """Environment variables of the template."""


class Deploy(Section):
    """Where it runs."""

    gpu_memory: Size | None = None
    """Memory that a GPU must have, such as `24GB`."""
    runpod: RunPod = RunPod()
    """RunPod."""
    vast: Vast = Vast()
    """Vast.ai."""
