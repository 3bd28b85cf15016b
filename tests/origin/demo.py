"""`python -m tests.origin.demo`: the demo on this machine, with a model hub of its own.

The hub serves the files of `manifests/demo.yaml` over the real protocol, at the pace of a modest link, so that there is
something to watch. `FIRSTLIGHT_DEMO_RATE` sets the pace in MB/s; `--lock` writes the demo's lock from it instead.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from manifests.load import load
from manifests.lock import read
from tests.origin.content import Generated
from tests.origin.server import Origin

REPO = "firstlight/lightbox"
SIZES = {"sketches": 24_000_000, "paintings": 48_000_000, "mural": 96_000_000}
RATE = "14"


def publish(origin: Origin) -> None:
    """Every file of the demo's sets."""
    for name, models in load("demo").manifest.models.sets.items():
        for path in models.files:
            assert isinstance(path, str)
            origin.hub(REPO, f"{models.under}/{path}", Generated(f"{name}/{path}", SIZES[name]))


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.origin.demo", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(".demo"), help="folder that everything goes below")
    parser.add_argument("--lock", action="store_true", help="write the demo's lock from what the hub serves")
    options = parser.parse_args()
    with Origin() as origin:
        publish(origin)
        os.environ["HF_ENDPOINT"] = origin.url
        loaded = load("demo")
        if options.lock:
            from manifests.locking import run_lock

            return run_lock(loaded, check=False, update=[], json=False)
        origin.limit(float(os.environ.get("FIRSTLIGHT_DEMO_RATE", RATE)) * 1e6)
        from images.local import INTERRUPTED, run_local

        code = run_local(loaded, read(loaded), options.root)
        return 0 if code == INTERRUPTED else code


if __name__ == "__main__":
    raise SystemExit(main())
