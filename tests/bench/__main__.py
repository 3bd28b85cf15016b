"""`python -m tests.bench [SECTION …]`: measure, and write `docs/benchmarks.md` when every section was measured."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from tests.bench.table import Section, machine

SECTIONS = ["lab", "panel", "graph", "downloads", "warm", "footprint"]
PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
INTRO = """# Benchmarks

`make bench` measures and writes this page. Machines are shared and noisy: read the ratios, which compare two things in
one run, not the seconds. The spread is minimum to maximum.
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__)
    parser.add_argument("section", nargs="*", choices=[[], *SECTIONS], help="only these, printed, not written")
    chosen = parser.parse_args().section or SECTIONS
    sections = []
    for name in chosen:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        section: Section = importlib.import_module(f"tests.bench.{name}").measure()
        print(section.markdown(), flush=True)
        sections.append(section)
    if chosen == SECTIONS:
        text = "\n".join([INTRO, f"Measured on {machine()}.\n", *(section.markdown() for section in sections)])
        PAGE.write_text(text, encoding="utf-8")
        print(f"written: {PAGE}", file=sys.stderr)
    return 0 if all(kept for section in sections for *_, kept in section.verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
