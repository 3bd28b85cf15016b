"""What the model alone cannot see: names that must exist, ports and files that must not clash."""

from __future__ import annotations

from manifests.load import Loaded
from manifests.problems import Problem


def check(loaded: Loaded) -> list[Problem]:
    """Every problem of a manifest that fits the model."""
    return []
