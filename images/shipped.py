"""Files that go into the image with a manifest: `path` sources, probes, inputs of commands."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from init.plan import Plan, Stage
    from init.specs import Code
    from manifests.load import Loaded

LEFT_OUT = frozenset({"__pycache__", ".git", ".venv", "node_modules", ".mypy_cache", ".pytest_cache", ".ruff_cache"})


def origins(loaded: Loaded) -> dict[str, Path]:
    """Where the files and folders that a manifest ships lie on this host, by their path below `Paths.files`.

    Raises FileNotFoundError when one is not there.
    """
    manifest = loaded.manifest
    named: list[tuple[str, tuple[str | int, ...]]] = []
    named += [(one.path, ("sources", name, "path")) for name, one in manifest.sources.items() if one.path]
    for number, node in enumerate(manifest.nodes.items if manifest.nodes else []):
        if node.path:
            named.append((node.path, ("nodes", "list", number, "path")))
    for name, kernel in manifest.kernels.items():
        named.append((kernel.probe, ("kernels", name, "probe")))
        if kernel.path:
            named.append((kernel.path, ("kernels", name, "path")))
    for name, command in manifest.commands.items():
        named += [(path, ("commands", name, "inputs", number)) for number, path in enumerate(command.inputs)]
    if manifest.notebook is not None:
        named.append((manifest.notebook.file, ("notebook", "file")))
    found = {path: loaded.beside(*where) for path, where in named}
    for path, origin in found.items():
        if not origin.exists():
            raise FileNotFoundError(f"{loaded.path}: {path} is not there (looked for at {origin})")
    return found


def walk(path: Path) -> Iterator[tuple[str, Path]]:
    """Name relative to `path` and place of every file below it, sorted; of a file itself, one with the name `.`."""
    if not path.is_dir():
        yield ".", path
        return
    for folder, names, files in os.walk(path):
        links = [name for name in names if Path(folder, name).is_symlink()]
        names[:] = sorted(name for name in names if name not in LEFT_OUT and name not in links)
        for name in sorted(files + links):
            if not name.endswith(".pyc") and name not in LEFT_OUT:
                yield Path(folder, name).relative_to(path).as_posix(), Path(folder, name)


def digest(path: Path) -> str:
    """SHA-256 over names, executable bits and contents."""
    total = hashlib.sha256()
    for name, file in sorted(walk(path)):
        if file.is_symlink():
            kind, content = "link", str(file.readlink()).encode()
        else:
            kind, content = "program" if os.access(file, os.X_OK) else "file", file.read_bytes()
        total.update(f"{name}\0{kind}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def of(stage: Stage) -> list[str]:
    """Paths below `Paths.files` that a stage needs."""
    from init.specs import CommandSpec, GitSpec, KernelSpec, NodesSpec, NotebookSpec

    def code(origin: Code) -> list[str]:
        return [origin.path] if origin.path is not None else []

    spec = stage.spec
    if isinstance(spec, GitSpec):
        return code(spec.code)
    if isinstance(spec, NodesSpec):
        return [path for node in spec.nodes for path in code(node.code)]
    if isinstance(spec, KernelSpec):
        return [*code(spec.code), spec.probe]
    if isinstance(spec, CommandSpec):
        return sorted(spec.inputs)
    if isinstance(spec, NotebookSpec):
        return [spec.file]
    return []


def paths(plan: Plan) -> list[str]:
    """Everything below `Paths.files`, sorted, each once."""
    return sorted({path for stage in plan.stages for path in of(stage)})


def copy(loaded: Loaded, paths: list[str], folder: Path) -> None:
    """Put shipped `paths` below `folder`, with plain permissions."""
    found = origins(loaded)
    for path in paths:
        for name, file in walk(found[path]):
            put(file, folder / path if name == "." else folder / path / name)


def workspace(loaded: Loaded, folder: Path) -> None:
    """Put what the manifest brings for the workspace below `folder`; what was there before goes."""
    shutil.rmtree(folder, ignore_errors=True)
    if loaded.manifest.workspace is not None:
        folder.mkdir(parents=True)
        for name, file in walk(loaded.beside("workspace")):
            put(file, folder / name)


def put(file: Path, target: Path) -> None:
    """Copy one file or link."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink():
        target.unlink()
    if file.is_symlink():
        target.unlink(missing_ok=True)
        target.symlink_to(file.readlink())
        return
    shutil.copyfile(file, target)
    target.chmod(0o755 if os.access(file, os.X_OK) else 0o644)
