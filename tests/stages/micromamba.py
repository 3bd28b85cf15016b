"""In micromamba's place, where it cannot be had: takes the options of `micromamba create` that are used here and no
others, reads real channels, and makes environments that are like its own. It solves what needs no solver.

Options, variables, messages and the places of files are those that micromamba 2.8.1 was seen to have.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tarfile
import time
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
    create.add_argument("--repodata-ttl", type=int, default=3600)
    create.add_argument("--channel", action="append", default=[])
    create.add_argument("specs", nargs="+")
    options = parser.parse_args()
    assert options.yes and options.override_channels, "it would ask, and take the user's channels too"
    known = [record for channel in options.channel for record in _packages(_address(channel), options.repodata_ttl)]
    chosen: dict[str, Record] = {}
    trees = [told for spec in options.specs if (told := _choose(spec, known, chosen))]
    if trees:
        _refuse(trees)
        return 1
    print(f"Transaction\n\n  Prefix: {options.prefix}\n\n  Package  Version  Build  Channel  Size\n{'─' * 40}")
    for record in chosen.values():
        print(f"  + {record['name']}  {record['version']}  {record['build']}  {record['url']}  {_size(record['size'])}")
    total = sum(record["size"] for record in chosen.values())
    print(f"\n  Summary:\n\n  Install: {len(chosen)} packages\n\n  Total download: {_size(total)}\n")
    print("\nTransaction starting", flush=True)
    cache = Path(os.environ["CONDA_PKGS_DIRS"])
    (options.prefix / "conda-meta").mkdir(parents=True)
    archives = {
        name: cache / re.sub(r":(?=\d)", "_", record["url"].replace("://", "/")) for name, record in chosen.items()
    }
    for name, record in chosen.items():
        _fetch(record, archives[name])
    for name, record in chosen.items():
        _link(record, archives[name], options.prefix)
    print("\nTransaction finished")
    return 0


def _refuse(trees: list[list[str]]) -> None:
    first = "The following packages are incompatible" if trees[1:] else "The following package could not be installed"
    told = ["error    libmamba Could not solve for environment specs", f"    {first}"]
    for tree in trees:
        last = tree is trees[-1]
        for depth, line in enumerate(tree):
            end = "" if line is not tree[-1] else "." if last else ";"
            before = "    " + ("   " if last else "│  ") + "   " * (depth - 1) if depth else "    "
            told.append(f"{before}{'└─' if last or depth else '├─'} {line}{end}")
    print("\n".join([*told, "critical libmamba Could not solve for environment specs"]), file=sys.stderr)


def _size(number: float) -> str:
    for unit in (" B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f}{unit}"
        number /= 1000
    return f"{number:.0f}GB"


def _address(channel: str) -> str:
    return channel if "://" in channel else f"{os.environ['MAMBA_CHANNEL_ALIAS'].rstrip('/')}/{channel}"


def _packages(address: str, fresh: int) -> list[Record]:
    """What a channel lists, or did so at most `fresh` seconds ago."""
    found, kept = [], Path(os.environ["CONDA_PKGS_DIRS"], "cache")
    kept.mkdir(parents=True, exist_ok=True)
    for subdir in ("linux-64", "noarch"):
        url = f"{address.rstrip('/')}/{subdir}/repodata.json"
        index = kept / f"{sha256(url.encode()).hexdigest()[:8]}.json"
        if not index.exists() or time.time() - index.stat().st_mtime >= fresh:
            index.write_bytes(_get(url))
        for name, record in json.loads(index.read_bytes())["packages"].items():
            if record["name"] == "python":
                record["depends"] = [*record["depends"], "pip"]
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
        text = f"Download error (7) Could not connect to server [{url}]\n    {error.reason}"
    if url.endswith("/repodata.json"):
        text = f"Multiple errors occurred:\n    {text}\n    Subdir {url.removesuffix('/repodata.json')} not loaded!"
    print(f"critical libmamba {text}", file=sys.stderr)
    sys.exit(1)


def _choose(spec: str, known: list[Record], chosen: dict[str, Record], depth: int = 0) -> list[str]:
    """Choose the newest package that fits, with all that it depends on; the first channel that has the name wins.
    Lines that say why not."""
    name, sign, version = re.fullmatch(r"([\w.-]+?)(?:([ =<>]+)([\d.]+))?", spec.strip()).groups()  # type: ignore[union-attr]
    if name in chosen:
        return []
    asked = f"{name} {(sign or '=').strip() or '=='}{version or '*'} *"
    fitting = [r for r in known if r["name"] == name and (not version or f"{r['version']}.".startswith(f"{version}."))]
    if not fitting:
        if name.startswith("__"):
            return [f"{asked}, which is missing on the system"]
        if depth:
            return [f"{asked}, which does not exist (perhaps a missing channel)"]
        return [f"{asked} does not exist (perhaps a typo or a missing channel)"]
    best = max(fitting, key=lambda record: [int(part) for part in record["version"].split(".")])
    chosen[name] = best
    for one in best["depends"]:
        if told := _choose(one, known, chosen, depth + 1):
            return [f"{asked} is not installable because it requires", *told]
    return []


def _fetch(record: Record, archive: Path) -> None:
    """Download a package, unless it is there, and unpack it beside."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    if not archive.exists() or sha256(archive.read_bytes()).hexdigest() != record["sha256"]:
        archive.write_bytes(_get(record["url"]))
        if (found := sha256(archive.read_bytes()).hexdigest()) != record["sha256"]:
            print(f'error    libmamba File not valid: SHA256 doesn\'t match expectation "{archive}"', file=sys.stderr)
            print(f"    Expected: {record['sha256']}\n    Actual: {found}\n", file=sys.stderr)
            print(f"{archive.name} tarball has incorrect SHA256", flush=True)
            print("critical libmamba Found incorrect downloads. Aborting", file=sys.stderr)
            archive.unlink()
            sys.exit(1)
    folder = archive.with_name(record["fn"].removesuffix(".tar.bz2"))
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(archive) as content:
        content.extractall(folder, filter="fully_trusted")


def _link(record: Record, archive: Path, prefix: Path) -> None:
    print(f"Linking {record['name']}-{record['version']}-{record['build']}", flush=True)
    folder = archive.with_name(record["fn"].removesuffix(".tar.bz2"))
    files = (folder / "info/files").read_text().split("\n")[:-1]
    for name in files:
        (prefix / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / name, prefix / name, follow_symlinks=False)
    meta = prefix / "conda-meta" / f"{record['fn'].removesuffix('.tar.bz2')}.json"
    meta.write_text(json.dumps({**record, "files": files}))


if __name__ == "__main__":
    sys.exit(main())
