"""An image's tests: those of its manifest and of all its parents, in a container."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from images import daemon, records
from manifests.load import Loaded
from manifests.problems import alike
from manifests.trouble import Trouble, told

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests" / "images"
ALWAYS = "boot"


def files(loaded: Loaded) -> list[Path]:
    """The test files of a manifest; `test` lists append, so parents' tests are among them.

    A name is looked for beside the manifest first, as `test_NAME.py`. Raises Trouble for a name without a file.
    """
    found: list[Path] = []
    for name in dict.fromkeys([ALWAYS, *loaded.manifest.test]):
        file = f"test_{name.replace('-', '_')}.py"
        place = next((folder / file for folder in (loaded.path.parent, TESTS) if (folder / file).is_file()), None)
        if place is None:
            known = [path.stem.removeprefix("test_").replace("_", "-") for path in TESTS.glob("test_*.py")]
            hint = alike(name, known) or f"write tests/images/{file}, or take it off `test`"
            raise Trouble(
                f"{loaded.manifest.name} names a test {name!r} that there is not", f"no {file} in tests/images", hint
            )
        found.append(place)
    return found


def passed(loaded: Loaded, image: str) -> bool:
    """Whether this image of `loaded` has passed its tests. Raises Trouble when there is none of this name."""
    return records.tested(daemon.image(daemon.connect(), image, loaded).attrs) is not None


def test(loaded: Loaded, image: str) -> int:
    """Run the tests of `loaded` against `image` and remember whether it passed; exit code 0 or 1. Raises Trouble."""
    places = files(loaded)
    attributes = daemon.image(daemon.connect(), image, loaded).attrs
    names = [place.stem.removeprefix("test_") for place in places]
    print(f"testing {image}: {', '.join(names)}", flush=True)
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        f"--rootdir={ROOT}",
        "-c",
        str(ROOT / "pyproject.toml"),
        *map(str, places),
    ]
    environ = os.environ | {
        "FIRSTLIGHT_TEST_IMAGE": image,
        "FIRSTLIGHT_TEST_MANIFEST": str(loaded.path),
        "PYTHONPATH": str(ROOT),
    }
    # Exit 5 is "no tests ran", which is no pass.
    code = subprocess.run([*argv, "-p", "tests.images.plugin"], cwd=ROOT, env=environ, check=False).returncode
    if code == 0:
        records.remember(attributes, image, names)
        print(f"{image} passed; it may be pushed", flush=True)
    else:
        records.forget(attributes)
    return 0 if code == 0 else 1


def run_test(loaded: Loaded, *, image: str | None = None) -> int:
    """The verb `test`: exit code. Without `image` it tests what was built last."""
    return told(lambda: test(loaded, image or f"{loaded.manifest.name}:dev"))
