"""A conda channel of tiny packages, as a folder: `repodata.json` and `.tar.bz2` files, for whatever reads channels."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import sysconfig
import tarfile
from collections.abc import Mapping, Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

SUBDIRS = ("linux-64", "noarch")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def make(folder: Path) -> Path:
    """An empty channel."""
    for subdir in SUBDIRS:
        (folder / subdir).mkdir(parents=True)
        _index(folder / subdir, {})
    return folder


def add(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, str | bytes | Path],
    depends: Sequence[str] = (),
    build: str = "0",
) -> Path:
    """Put a package into a channel. `files`: content by path in the environment; a Path becomes a link to it."""
    place = folder / SUBDIRS[0]
    about: dict[str, Any] = {
        "arch": "x86_64",
        "build": build,
        "build_number": 0,
        "depends": list(depends),
        "license": "BSD-3-Clause",
        "name": name,
        "platform": "linux",
        "subdir": SUBDIRS[0],
        "timestamp": 1763600000000,
        "version": version,
    }
    paths = [_path(path, content) for path, content in files.items()]
    info = {
        "info/index.json": json.dumps(about),
        "info/files": "".join(f"{path}\n" for path in files),
        "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}),
    }
    file = place / f"{name}-{version}-{build}.tar.bz2"
    with tarfile.open(file, "w:bz2") as archive:
        for path, content in {**info, **files}.items():
            entry = tarfile.TarInfo(path)
            entry.mode, entry.mtime = 0o755 if path.startswith("bin/") else 0o644, 1763600000
            if isinstance(content, Path):
                entry.type, entry.linkname = tarfile.SYMTYPE, str(content)
                archive.addfile(entry)
            else:
                data = content.encode() if isinstance(content, str) else content
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    known = json.loads((place / "repodata.json").read_text())["packages"]
    data = file.read_bytes()
    sums = {"md5": hashlib.md5(data).hexdigest(), "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    _index(place, {**known, file.name: {**about, **sums}})
    return file


def add_python(folder: Path) -> None:
    """This machine's Python: its program, and links to its library beside an empty `site-packages`."""
    base = Path(sys.base_prefix)
    library = Path(sysconfig.get_path("stdlib", vars={"installed_base": str(base), "base": str(base)}))
    program = (base / "bin" / f"python{PYTHON}").read_bytes()
    files: dict[str, str | bytes | Path] = {f"bin/{name}": program for name in (f"python{PYTHON}", "python3", "python")}
    for entry in sorted(os.scandir(library), key=lambda entry: entry.name):
        if entry.name not in ("site-packages", "dist-packages", "__pycache__", "test", "EXTERNALLY-MANAGED"):
            files[f"lib/python{PYTHON}/{entry.name}"] = Path(entry.path)
    files[f"lib/python{PYTHON}/site-packages/README.txt"] = "Packages go here.\n"
    add(folder, "python", sys.version.split()[0], files)


def add_pip(folder: Path, python: str = PYTHON) -> None:
    """This machine's pip: micromamba takes it along with every Python."""
    pip = distribution("pip")
    site = f"lib/python{python}/site-packages"
    found = [file for file in pip.files or [] if file.parts[0] != ".." and file.suffix != ".pyc"]
    files = {f"{site}/{file}": file.read_binary() for file in found}
    files[f"{site}/pip-{pip.version}.dist-info/INSTALLER"] = b"conda"
    add(folder, "pip", pip.version, files, ["python"])


def add_module(folder: Path, name: str, version: str, depends: Sequence[str] = ("python",)) -> None:
    """A Python package as conda-build makes them: it says who installed it, and its record holds other sizes."""
    site = f"lib/python{PYTHON}/site-packages"
    info = f"{site}/{name}-{version}.dist-info"
    files = {
        f"{site}/{name}/__init__.py": f'__version__ = "{version}"\n',
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/INSTALLER": "conda",
        f"{info}/RECORD": f"{name}/__init__.py,,1\n{name}-{version}.dist-info/INSTALLER,,\n",
    }
    add(folder, name, version, files, depends)


def _path(path: str, content: str | bytes | Path) -> dict[str, Any]:
    if isinstance(content, Path):
        empty = hashlib.sha256(b"").hexdigest()
        return {"_path": path, "path_type": "softlink", "sha256": empty, "size_in_bytes": 0}
    data = content.encode() if isinstance(content, str) else content
    digest = hashlib.sha256(data).hexdigest()
    return {"_path": path, "path_type": "hardlink", "sha256": digest, "size_in_bytes": len(data)}


def _index(place: Path, packages: Mapping[str, Any]) -> None:
    content = {
        "info": {"subdir": place.name},
        "packages": dict(packages),
        "packages.conda": {},
        "removed": [],
        "repodata_version": 1,
    }
    (place / "repodata.json").write_text(json.dumps(content, indent=1))
