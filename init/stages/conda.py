"""Environments from conda channels, made by micromamba: fetched by its hash, asked in one command, explained.

What it makes is activated once, and what that changes is kept (see `init.activation`): programs start without a shell.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from init import activation
from init.failure import StageFailed
from init.specs import CondaSpec
from init.stages import uv
from init.stages.conda_trouble import explained
from init.stages.context import Context

_SIZE = re.compile(r"^\s*\+ .*\s(\d+)\s?([kMG]?)B$")
"""A package's line in micromamba's table; the total below it is rounded to whole gigabytes."""
_UNITS = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3}
_STEP = re.compile(r"^\s*(Linking|Unlinking|Changing|Reinstalling)\b(.*)")
_LOOK = 1.0
"""Seconds between two looks at how much has been downloaded."""
_CUDA = re.compile(
    r"lib(cu(blas|dart|dnn|fft|file|pti|rand|solver|sparse)|nv(JitLink|rtc|ToolsExt|infer|jpeg)|npp|nccl)"
)
"""Libraries that programs look for by name. The folder of all that conda brings would give ffmpeg, git and the rest of
the image conda's copies of what they were built with."""
_ACTIVATE = """
note() {
  "$CONDA_PREFIX/bin/python" -c 'import json, os, sys; json.dump(dict(os.environ), open(sys.argv[1], "w"))' "$1"
}
note "$1"
for script in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do
  if [ -f "$script" ]; then . "$script"; fi
done
note "$2"
"""


def python_version(home: Path) -> str:
    """Version of the Python that conda installed there, such as `3.10.13`; empty when it did not."""
    found = sorted(home.glob("conda-meta/python-[0-9]*.json"))
    return found[0].name.split("-")[1] if found else ""


def owns(folder: Path) -> bool:
    """Whether a `.dist-info` folder is of a package from a conda channel."""
    try:
        return (folder / "INSTALLER").read_text().strip() == "conda"
    except OSError:
        return False


def create(context: Context, spec: CondaSpec, version: str | None, home: Path) -> None:
    """Make the environment in `home`, which does not exist. Raises StageFailed."""
    program = _program(context, spec)
    settings, lines, sizes = environment(context), list[str](), list[int]()

    def heard(line: str) -> None:
        lines.append(line)
        if match := _SIZE.match(line):
            sizes.append(int(match[1]) * _UNITS[match[2]])
        elif "Total download:" in line:
            context.report(message="downloading conda packages", total=sum(sizes))
        elif match := _STEP.match(line):
            context.report(message=f"{match[1].lower()}{match[2]}"[:120])

    context.report(message=f"asking {', '.join(spec.channels)}")
    with _measuring(context, Path(settings["CONDA_PKGS_DIRS"])):
        code = context.run(
            [program, *arguments(spec, version, home, context)], env=settings, check=False, on_line=heard
        )
    if code != 0:
        raise explained(lines, code)
    _activate(context, home)


def arguments(spec: CondaSpec, version: str | None, home: Path, context: Context) -> list[str | Path]:
    """micromamba's command line. Mirrors and credentials come from the user's `.mambarc`; its channels do not."""
    words: list[str | Path] = ["create", "--yes", "--root-prefix", _root(context), "--prefix", home]
    words += ["--override-channels", *(word for channel in spec.channels for word in ("--channel", channel))]
    # Whoever has just added a package to a channel and tries again is not told for an hour that it is not there.
    words += ["--repodata-ttl", "0"]
    if context.baking:
        # Compiled files that compare times would be stale in a layer, where all have one time.
        words.append("--no-pyc")
    return [*words, f"python={version}" if version else "python", *spec.packages]


def environment(context: Context) -> dict[str, str]:
    """micromamba's settings, on top of the user's own."""
    given = context.environ
    beside = Path(uv.environment(context)["UV_CACHE_DIR"])
    cache = beside / "firstlight-conda" if context.baking else beside.with_name("conda")
    settings = {"CONDA_PKGS_DIRS": given.get("CONDA_PKGS_DIRS") or str(cache)}
    if bundle := given.get("SSL_CERT_FILE") or given.get("REQUESTS_CA_BUNDLE"):
        settings["MAMBA_SSL_VERIFY"] = given.get("MAMBA_SSL_VERIFY") or bundle
    if mirror := given.get("MAMBA_CHANNEL_ALIAS") or given.get("CONDA_CHANNEL_ALIAS"):
        settings["MAMBA_CHANNEL_ALIAS"] = mirror
    return settings


def _root(context: Context) -> Path:
    return Path(context.plan.paths.disk, "conda")


def _program(context: Context, spec: CondaSpec) -> Path:
    """micromamba, of the release that the lock pins. Raises StageFailed."""
    from init.fetch import single
    from init.fetch.sources import Sources

    name = spec.url.rpartition("/")[2]
    if spec.sha256 is None:
        raise StageFailed(
            f"{spec.url} is not run: the lock does not know its SHA-256",
            hint=f"with a network: `./buildkit.py lock {context.plan.image}`, then build again",
            retry=False,
        )
    file = _root(context) / spec.sha256[:12] / "bin" / "micromamba"
    context.report(message=f"fetching {name}")
    single.fetch(spec.url, file, spec.sha256, context.cancel, Sources(context.environ))
    file.chmod(0o755)
    return file


@contextmanager
def _measuring(context: Context, cache: Path) -> Iterator[None]:
    """Report the bytes that arrive: to a pipe micromamba tells nothing while it downloads."""
    ended, before = threading.Event(), _archives(cache)

    def look() -> None:
        if arrived := _archives(cache) - before:
            context.report(done=arrived)

    def watch() -> None:
        while not ended.wait(_LOOK):
            look()

    thread = threading.Thread(target=watch, daemon=True, name="conda downloads")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    look()


def _archives(cache: Path) -> int:
    """Bytes of the packages in the cache, those on their way too: `https/HOST/CHANNEL/linux-64/NAME.conda`."""
    found = 0
    for folder, folders, files in os.walk(cache):
        if archives := [name for name in files if name.endswith((".conda", ".tar.bz2"))]:
            # Beside them lies what was unpacked: many files.
            folders.clear()
        for name in archives:
            with suppress(OSError):
                found += Path(folder, name).stat().st_size
    return found


def _activate(context: Context, home: Path) -> None:
    """Find out what activation changes, once, and write it down. Raises StageFailed."""
    notes = home / ".firstlight"
    notes.mkdir(exist_ok=True)
    values = {"CONDA_PREFIX": str(home), "CONDA_DEFAULT_ENV": home.name, "CONDA_SHLVL": "1"}
    for file in sorted(home.glob("etc/conda/env_vars.d/*")):
        with suppress(OSError, ValueError, AttributeError):
            given = json.loads(file.read_text(encoding="utf-8"))
            values |= {name.upper(): str(value) for name, value in given.items()}
    before = {"PATH": str(home / "bin")}
    if libraries := _libraries(home, notes / "cuda"):
        before["LD_LIBRARY_PATH"] = str(libraries)
    activation.keep(home, values, before)
    shell, files = "bash" if Path("/bin/bash").exists() else "sh", [notes / "before.json", notes / "after.json"]
    context.run([shell, "-c", _ACTIVATE, shell, *files], env=activation.variables(home, context.environ))
    old, new = (json.loads(file.read_text(encoding="utf-8")) for file in files)
    for file in files:
        file.unlink()
    changed_values, changed_before = changes(old, new)
    for name, first in changed_before.items():
        before[name] = os.pathsep.join(filter(None, (first, before.get(name))))
    activation.keep(home, values | changed_values, before)
    (home / "bin" / "activate").write_text(activation.script(home), encoding="utf-8")


def changes(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """What scripts set: whole values, and what they put before the value that was there."""
    values, before = dict[str, str](), dict[str, str]()
    for name, value in new.items():
        known = old.get(name)
        if value == known or name in ("_", "SHLVL", "PWD", "OLDPWD"):
            continue
        if known and value.endswith(f"{os.pathsep}{known}"):
            before[name] = value.removesuffix(f"{os.pathsep}{known}")
        else:
            values[name] = value
    return values, before


def _libraries(home: Path, folder: Path) -> Path | None:
    """A folder of links to the environment's CUDA libraries; None when it has none."""
    found = [file for file in sorted((home / "lib").glob("lib*.so*")) if _CUDA.match(file.name)]
    if not found:
        return None
    folder.mkdir(exist_ok=True)
    for file in found:
        (folder / file.name).symlink_to(file)
    return folder
