"""The downloads' table as a section of the page."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tests.bench import fetch
from tests.bench.table import Section

SIZE = int(os.environ.get("FIRSTLIGHT_BENCH_BYTES", "3700000000"))
OURS = "firstlight"
SCRATCH = Path(__file__).parents[2] / ".cache"
"""On the disk of the checkout: the system's folder for temporary files may be memory."""


def measure() -> Section:
    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        rows = fetch.run(Path(folder), SIZE)
    section = Section(
        "Downloads",
        f"{SIZE / 1e9:.1f} GB in six big and forty small files from an origin on loopback to disk, medians in one run. "
        "Ours include asking the hub, verifying every SHA-256 and renaming; the others do not verify. The ratio is to "
        "the fastest other tool, and to the link's limit where connections are throttled (measured once). Before each "
        "tool as many bytes are written and deleted, so that all find memory that the machine has already: without "
        "that the first tool of a round pays for all, and that is ours.",
        ["case", "tool", "MB/s", "ratio"],
        [[row.case, row.tool, f"{row.megabytes_per_second:.0f}", f"{row.ratio:.2f}"] for row in rows],
    )
    for case in dict.fromkeys(row.case for row in rows):
        own = next((row for row in rows if row.case == case and row.tool.lower().startswith(OURS)), None)
        if own is not None:
            aim = 1.0 if case == "unthrottled" else 0.95
            section.verdicts.append((f"{case}: ours", f"{own.ratio:.2f}", f"≥ {aim:.2f}", own.ratio >= aim))
    return section
