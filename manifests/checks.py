"""What the model alone cannot see. Each room of it looks at one thing; all problems come back together."""

from __future__ import annotations

from manifests import clashes, desktop, destinations, enclosure, formats, references, variables
from manifests.findings import Findings
from manifests.model import Manifest


def check(manifest: Manifest, found: Findings, whole: bool = True) -> None:
    """Add every problem of a manifest that fits the model (or of the part of it that does).

    Where a parent is missing (not `whole`): only of what stands for itself, whatever the parent says.
    """
    formats.check(manifest, found)
    variables.check(manifest, found)
    enclosure.check(manifest, found)
    destinations.check(manifest, found)
    references.circles(manifest, found)
    if whole:
        references.check(manifest, found)
        clashes.check(manifest, found)
        desktop.check(manifest, found)
        formats.together(manifest, found)
        destinations.together(manifest, found)
