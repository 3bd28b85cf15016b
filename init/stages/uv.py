"""uv, as stages use it: where it is, how it is told what to do, and its errors in plain words."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from init.failure import StageFailed
from init.process import gist
from init.stages.context import Context

_DOWNLOADING = re.compile(r"^Downloading (\S+) \(([\d.]+)\s?(B|KiB|MiB|GiB)\)")
_DOWNLOADED = re.compile(r"^\s*Downloaded (\S+)")
_STEP = re.compile(r"^\s*(Resolved|Prepared|Installed|Building|Built|Uninstalled)\b(.*)")
_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_NETWORK = re.compile(
    r"error sending request|dns error|tcp connect|timed out|connection (closed|reset)|Failed to (fetch|download)"
    r"|Request failed|operation timed out|error decoding response",
    re.IGNORECASE,
)
_CERTIFICATE = re.compile(
    r"invalid peer certificate|certificate verify failed|certificate_verify_failed", re.IGNORECASE
)


def executable(context: Context) -> str:
    """uv of the control environment. Raises StageFailed."""
    for folder in (Path(sys.executable).parent, context.plan.paths.control / "bin"):
        if (folder / "uv").is_file():
            return str(folder / "uv")
    found = shutil.which("uv")
    if found is None:
        raise StageFailed("uv is not installed", hint="build the image again", retry=False)
    return found


def environment(context: Context) -> dict[str, str]:
    """uv's settings."""
    disk = Path(context.plan.paths.disk)
    settings = {
        "UV_CACHE_DIR": context.environ.get("UV_CACHE_DIR") or str(disk / "cache" / "uv"),
        "UV_PYTHON_INSTALL_DIR": str(disk / "python"),
        "UV_LOCK_TIMEOUT": "3600",
        "UV_NO_PROGRESS": "1",
        "NO_COLOR": "1",
    }
    if context.baking:
        # Layers are written with one time stamp for all files: compiled files that compare times would all be stale.
        settings |= {
            "UV_LINK_MODE": "copy",
            "UV_COMPILE_BYTECODE": "1",
            "PYC_INVALIDATION_MODE": "UNCHECKED_HASH",
        }
    return settings


def run(context: Context, *words: str | Path, env: Mapping[str, str] | None = None) -> list[str]:
    """Run uv; its output. Tells the progress. Raises StageFailed."""
    lines: list[str] = []
    progress = _Progress(context)

    def heard(line: str) -> None:
        lines.append(line)
        progress(line)

    # uv takes settings from a project file in the working folder; here is none.
    folder = Path(context.plan.paths.disk)
    folder.mkdir(parents=True, exist_ok=True)
    argv = [executable(context), *(str(word) for word in words)]
    code = context.run(argv, cwd=folder, env={**environment(context), **(env or {})}, check=False, on_line=heard)
    if code != 0:
        raise explained(lines, code)
    return lines


class _Progress:
    """Turns uv's lines into reports. Bytes are those of the packages that uv announces."""

    def __init__(self, context: Context):
        self.context, self.sizes, self.done = context, dict[str, int](), 0

    def __call__(self, line: str) -> None:
        if match := _DOWNLOADING.match(line):
            self.sizes[match[1]] = int(float(match[2]) * _UNITS[match[3]])
            self.context.report(message=f"downloading {match[1]}", done=self.done, total=sum(self.sizes.values()))
        elif match := _DOWNLOADED.match(line):
            self.done += self.sizes.get(match[1], 0)
            self.context.report(message=f"downloaded {match[1]}", done=self.done, total=sum(self.sizes.values()))
        elif match := _STEP.match(line):
            self.context.report(message=f"{match[1].lower()}{match[2]}"[:120])


class Unfit(StageFailed):
    """What was asked for cannot be installed, whoever tries."""


def explained(lines: list[str], code: int) -> StageFailed:
    """uv's failure in plain words."""
    text = "\n".join(lines)
    causes = [line.partition(":")[2].strip() for line in lines if re.match(r"\s*(error|cause):", line)]
    if "No space left on device" in text:
        return StageFailed("the disk is full", hint="make room, or use a larger container disk", retry=False)
    if _CERTIFICATE.search(text):
        # Not final: the next start may bring the bundle.
        return StageFailed(
            f"{_host(text)} shows a certificate that is not trusted here: {causes[-1] if causes else gist(lines)}",
            hint="this network may have a certificate authority of its own: start again with SSL_CERT_FILE, the path"
            " of a bundle that holds it",
        )
    if re.search(r"No interpreter found|No Python at|python-build-standalone|Failed to inspect Python", text):
        wanted = re.search(r"Python (\d+\.\d+[\d.]*)|c?python-?(\d+\.\d+[\d.]*)", text)
        name = f"Python {wanted[1] or wanted[2]}" if wanted else "the Python asked for"
        return StageFailed(
            f"{name} is not on this machine and could not be downloaded",
            hint="correct `python.version`, add that Python to `image.apt`, or check the network",
            retry=bool(_NETWORK.search(text)),
        )
    if "No solution found" in text:
        return Unfit(
            f"the packages asked for do not fit together: {_resolution(causes)}",
            hint="correct the requirement, or what is frozen",
            retry=False,
        )
    if match := re.search(r"Failed to build [`'\"]?([^`'\"\n]+)", text):
        return Unfit(f"{match[1].strip()} could not be built: {gist(lines)}", retry=False)
    if re.search(
        r"Couldn't parse requirement|wheel filename .* is invalid|Unexpected '.*', expected|Distribution not found at",
        text,
    ):
        return Unfit(f"a line is no requirement: {causes[-1] if causes else gist(lines)}", retry=False)
    if re.search(r"[Hh]ash mismatch", text):
        return Unfit(f"a package is not what its hash says: {gist(lines)}", retry=False)
    if _NETWORK.search(text):
        said = causes[-1] if causes else gist(lines)
        return StageFailed(f"cannot reach {_host(text)}: {said}", hint="check the network")
    return StageFailed(f"uv ended with {code}: {gist(lines)}")


def _host(text: str) -> str:
    url = re.search(r"https?://[^\s`)]+", text)
    return urlsplit(url[0]).netloc if url else "the package index"


def _resolution(causes: list[str]) -> str:
    """Why uv's resolver gave up, in a sentence or two."""
    told = " ".join(cause for cause in causes if "No solution found" not in cause)
    told = re.sub(r",? we can conclude that your requirements are unsatisfiable\.?", "", told)
    told = re.sub(r"^Because ", "", told)
    return told if len(told) <= 400 else told[:250] + " … " + told[-150:]
