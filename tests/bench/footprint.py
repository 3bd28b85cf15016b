"""What the host's verbs and the runner cost."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from pathlib import Path

from tests.bench.table import Section, spread

ROOT = Path(__file__).parents[2]
RENDER_ALL = """
from pathlib import Path
from images.render import render
from manifests.load import load, names
from manifests.lock import read
for name in names():
    loaded = load(name)
    render(loaded, read(loaded))
"""


def cpu(argv: list[str]) -> float:
    """User and system CPU seconds of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure() -> Section:
    check = [cpu([sys.executable, "buildkit.py", "check"]) for _ in range(5)]
    render = [cpu([sys.executable, "-c", RENDER_ALL]) for _ in range(5)]
    section = Section(
        "Checking and rendering",
        "A whole process each time, imports included, over every manifest of the repository.",
        ["what", "CPU"],
        [["`check`", spread(check)], ["load, lock and render", spread(render)]],
    )
    once, both = statistics.median(check), statistics.median(check) + statistics.median(render)
    section.verdicts.append(("check", f"{once:.2f} s CPU", "< 0.5 s", once < 0.5))
    section.verdicts.append(("check and render", f"{both:.2f} s CPU", "< 1 s", both < 1))
    return section
