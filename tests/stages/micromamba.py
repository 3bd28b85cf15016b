"""In micromamba's place, where it cannot be had: takes the options of `micromamba create` that are used here and no
others, reads real channels, and makes environments that are like its own. It solves what needs no solver.

Options, variables and messages are those of mamba 2.x: micromamba/src/common_options.cpp, libmamba/src/api.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tarfile
import urllib.error
import urllib.request
from hashlib import sha256
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser("micromamba", allow_abbrev=False)
    create = parser.add_subparsers(required=True).add_parser("create", allow_abbrev=False)
    for flag in ("--yes", "--override-channels", "--no-pyc"):
        create.add_argument(flag, action="store_true")
    create.add_argument("--root-prefix", type=Path, required=True)
    create.add_argument("--prefix", type=Path, required=True)
    create.add_argument("--channel", action="append", default=[])
    create.add_argument("specs", nargs="+")
    options = parser.parse_args()
    assert options.yes and options.override_channels, "it would ask, and take the user's channels too"
    known = [record for channel in options.channel for record in _packages(_address(channel))]
    chosen: dict[str, Record] = {}
    missing = [spec for spec in options.specs if not _choose(spec, known, chosen)]
    if missing:
        print("error    libmamba Could not solve for environment specs", file=sys.stderr)
        print("    The following packages are incompatible", file=sys.stderr)
        for spec in missing:
            print(f"    ├─ {spec} does not exist (perhaps a typo or a missing channel);", file=sys.stderr)
        return 1
    total = sum(record["size"] for record in chosen.values())
    print(f"\n  Total download: {total / 1000:.0f}kB\n\nTransaction starting")
    cache = Path(os.environ["CONDA_PKGS_DIRS"])
    cache.mkdir(parents=True, exist_ok=True)
    (options.prefix / "conda-meta").mkdir(parents=True)
    for record in chosen.values():
        _install(record, cache, options.prefix)
    print("\nTransaction finished")
    return 0


def _address(channel: str) -> str:
    return channel if "://" in channel else f"{os.environ['MAMBA_CHANNEL_ALIAS'].rstrip('/')}/{channel}"


def _packages(address: str) -> list[Record]:
    found = []
    for subdir in ("linux-64", "noarch"):
        url = f"{address.rstrip('/')}/{subdir}/repodata.json"
        for name, record in json.loads(_get(url))["packages"].items():
            found.append({**record, "url": f"{address.rstrip('/')}/{subdir}/{name}", "fn": name})
    return found


def _get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url) as answer:
            data: bytes = answer.read()
            return data
    except urllib.error.HTTPError as error:
        text = f"Transfer finalized, status: {error.code} [{url}] 0 bytes"
    except urllib.error.URLError as error:
        text = f"Download error (7) Couldn't connect to server [{url}]\n{error.reason}"
    print(f"critical libmamba Multiple errors occurred:\n    {text}\n    Subdir {url} not loaded!", file=sys.stderr)
    sys.exit(1)


def _choose(spec: str, known: list[Record], chosen: dict[str, Record]) -> bool:
    """The newest package that fits, with all that it depends on; the first channel that has the name wins."""
    name, version = re.fullmatch(r"([\w.-]+?)(?:[ =]+([\d.]+))?", spec.strip()).groups()  # type: ignore[union-attr]
    if name in chosen:
        return True
    fitting = [r for r in known if r["name"] == name and (not version or f"{r['version']}.".startswith(f"{version}."))]
    if not fitting:
        return False
    best = max(fitting, key=lambda record: [int(part) for part in record["version"].split(".")])
    chosen[name] = best
    return all(_choose(one, known, chosen) for one in best["depends"])


def _install(record: Record, cache: Path, prefix: Path) -> None:
    archive = cache / record["fn"]
    if not archive.exists() or sha256(archive.read_bytes()).hexdigest() != record["sha256"]:
        partial = archive.with_name(f"{archive.name}.part")
        partial.write_bytes(_get(record["url"]))
        assert sha256(partial.read_bytes()).hexdigest() == record["sha256"]
        partial.replace(archive)
    print(f"Linking {record['name']}-{record['version']}-{record['build']}", flush=True)
    folder = cache / record["fn"].removesuffix(".tar.bz2")
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(archive) as content:
        content.extractall(folder, filter="fully_trusted")
    files = (folder / "info/files").read_text().split("\n")[:-1]
    for name in files:
        (prefix / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / name, prefix / name, follow_symlinks=False)
    meta = prefix / "conda-meta" / f"{record['fn'].removesuffix('.tar.bz2')}.json"
    meta.write_text(json.dumps({**record, "files": files}))


if __name__ == "__main__":
    sys.exit(main())
