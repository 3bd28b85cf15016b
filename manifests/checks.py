"""What the model alone cannot see. Each room of it looks at one thing; all problems come back together."""

from __future__ import annotations

from manifests import clashes, enclosure, formats, references
from manifests.findings import Findings
from manifests.model import Manifest


def check(manifest: Manifest, found: Findings) -> None:
    """Add every problem of a manifest that fits the model (or of the part of it that does)."""
    references.check(manifest, found)
    clashes.check(manifest, found)
    formats.check(manifest, found)
    enclosure.check(manifest, found)
