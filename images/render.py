"""From a manifest to the files that its image is built from. The same input gives the same bytes."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from images import control, dockerfile, planning, quoting
from images.layout import IMAGE, Layout
from init.plan import Plan, dump

if TYPE_CHECKING:
    from jinja2 import Environment

    from manifests.load import Loaded
    from manifests.lock import Lock

ROOT = Path(__file__).resolve().parent
RUNTIME = ROOT.parent / "supervisord"
"""Templates and files of what runs: each becomes the file of the same name, without `.j2`."""
PROGRAMS = ("firstlight", "entrypoint.sh")
"""Rendered files that are commands."""


def render(loaded: Loaded, lock: Lock, layout: Layout = IMAGE, base: str | None = None) -> dict[str, str]:
    """Text by file name. `base` is the base image to take instead of the manifest's.

    Raises Refused for what a Dockerfile cannot say, quoting.Unquotable for a path that a configuration cannot hold,
    FileNotFoundError for a missing shipped file.
    """
    manifest = loaded.manifest
    plan = planning.plan(loaded, lock, layout)
    files = runtime(plan, manifest)
    files["control.txt"] = control.text()
    files["uv.txt"] = control.only("uv")
    if manifest.jupyter.packages:
        files["jupyter.txt"] = "".join(f"{line}\n" for line in manifest.jupyter.packages)
        files["constraints.txt"] = control.constraints()
    if not layout.local:
        if problems := dockerfile.refusals(loaded):
            from manifests.problems import Refused

            raise Refused(problems)
        for stage in planning.baked(plan):
            files[dockerfile.excerpt_name(stage)] = dump(planning.excerpt(plan, stage))
        values = dockerfile.values(manifest, lock, plan, base, list(places(files)), PROGRAMS)
        files["Dockerfile"] = _environment().get_template("Dockerfile.j2").render(values)
        files["apt.conf"] = (ROOT / "apt.conf").read_text(encoding="utf-8")
    return dict(sorted(files.items()))


def runtime(plan: Plan, manifest: Any) -> dict[str, str]:
    """The plan, and everything of `supervisord/`."""
    files = {"plan.json": dump(plan)}
    for path in sorted(RUNTIME.rglob("*")):
        name = path.relative_to(RUNTIME).as_posix()
        if not path.is_file() or "__pycache__" in name:
            continue
        if path.suffix == ".j2":
            files[name.removesuffix(".j2")] = _environment().get_template(name).render(plan=plan, manifest=manifest)
        else:
            files[name] = path.read_text(encoding="utf-8")
    return files


def _runs(name: str) -> bool:
    """Whether a rendered file is one that the running container reads."""
    return name == "plan.json" or any((RUNTIME / f"{name}{end}").is_file() for end in (".j2", ""))


def places(files: Mapping[str, str]) -> dict[str, str]:
    """Where the files that the running container reads lie below `Paths.home`, by file name."""
    own = {"plan.json": "plan.json", **{name: f"bin/{name}" for name in PROGRAMS}}
    return {name: own.get(name, f"etc/{name}") for name in files if _runs(name)}


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([ROOT / "templates", RUNTIME]),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(quoting.FILTERS)
    return environment


def write(files: Mapping[str, str], folder: Path) -> None:
    """Put rendered files below `folder`; what a former rendering left in its own folders goes."""
    for name in _stale(files, folder):
        (folder / name).unlink()
    for name, text in files.items():
        put(folder / name, text, program=name in PROGRAMS)


def run_render(
    loaded: Loaded, lock: Lock, *, base: str | None = None, output: str | None = None, compare: bool = False
) -> int:
    """The verb `render`: write the files to `output`, or (`compare`) print what would change; 1 if anything."""
    files = render(loaded, lock, base=base)
    folder = Path(output or ROOT.parent / "build" / loaded.manifest.name)
    if compare:
        text = diff(files, folder)
        print(text, end="")
        return 1 if text else 0
    write(files, folder)
    print(f"{folder}: {', '.join(sorted(files))}")
    return 0


def put(path: Path, text: str, program: bool = False) -> None:
    """Write one file; one that is the same already is left alone."""
    content = text.encode()
    if not path.is_file() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    path.chmod(0o755 if program else 0o644)


def diff(files: Mapping[str, str], folder: Path) -> str:
    """What writing `files` to `folder` would change, as a unified diff; empty when nothing."""
    parts: list[str] = []
    for name in sorted({*files, *_stale(files, folder)}):
        path = folder / name
        try:
            before = path.read_bytes().decode() if path.is_file() else None
        except UnicodeDecodeError:
            parts.append(f"Binary files a/{name} and {f'b/{name}' if name in files else '/dev/null'} differ\n")
            continue
        after = files.get(name)
        if before != after:
            parts += difflib.unified_diff(
                (before or "").splitlines(keepends=True),
                (after or "").splitlines(keepends=True),
                "/dev/null" if before is None else f"a/{name}",
                "/dev/null" if after is None else f"b/{name}",
            )
    return "".join(parts)


def _stale(files: Mapping[str, str], folder: Path) -> list[str]:
    """Rendered files of before that are none any more."""
    found = []
    for owned in ("bake", "jupyter", "pages"):
        for path in sorted((folder / owned).rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and name not in files and not name.startswith(dockerfile.PARTS):
                found.append(name)
    return found
