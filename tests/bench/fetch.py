"""Downloads beside the tools people use otherwise, from one origin on loopback, in one run.

Firstlight's numbers include resolving, verifying (SHA-256) and renaming. The others do not verify: each stands alone,
and once more with the `sha256sum` that it takes to know as much.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from init.fetch import Fetcher, Tuning
from init.specs import FileSpec

HOME = Path(__file__).resolve().parents[2]
REPO = "bench/weights"


@dataclass(frozen=True)
class Row:
    case: str
    tool: str
    megabytes_per_second: float
    ratio: float
    """To the fastest other tool (unthrottled), or to the link's limit (throttled)."""


@dataclass(frozen=True)
class Served:
    url: str
    specs: list[FileSpec]

    @property
    def size(self) -> int:
        return sum(spec.size or 0 for spec in self.specs)

    @property
    def plain(self) -> list[str]:
        return [f"{self.url}/files/{spec.path}" for spec in self.specs]

    def control(self, **order: Any) -> None:
        import urllib.request

        urllib.request.urlopen(f"{self.url}/_control", json.dumps(order).encode()).close()


def run(folder: Path, size: int = 3_700_000_000, repeats: int = 4, *, tell: Callable[[str], None] = print) -> list[Row]:
    """The table: unthrottled against other tools, and throttled against the link's limit. `size` bytes a tool."""
    rows = []
    with _origin(folder, size) as served:
        tools: dict[str, Callable[[Served, Path], None]] = {
            "firstlight": firstlight,
            "hf download": hf,
            "curl -Z": curl,
            "wget": wget,
        }
        times: dict[str, list[float]] = {}
        for turn in range(repeats):
            order = list(tools)
            for tool in order[turn % len(order) :] + order[: turn % len(order)]:
                seconds, summing = _time(tools[tool], served, folder / "out")
                times.setdefault(tool, []).append(seconds)
                if tool != "firstlight":
                    times.setdefault(f"{tool}, then sha256sum", []).append(seconds + summing)
                tell(f"unthrottled  {tool:12} {served.size / seconds / 1e6:6.0f} MB/s")
        speeds = {tool: served.size / statistics.median(found) / 1e6 for tool, found in times.items()}
        best = max(speed for tool, speed in speeds.items() if tool in tools and tool != "firstlight")
        rows += [Row("unthrottled", tool, speed, speed / best) for tool, speed in speeds.items()]
    limit = 120e6
    with _origin(folder, min(size, int(limit * 30))) as served:
        served.control(do="fault", kind="slow", rate=10e6, latency=0.05)
        served.control(do="limit", total=limit)
        speed = served.size / _time(firstlight, served, folder / "out")[0] / 1e6
        tell(f"throttled    {'firstlight':12} {speed:6.0f} MB/s of {limit / 1e6:.0f}")
        rows.append(
            Row("throttled: 10 MB/s a connection, 50 ms, 120 MB/s in all", "firstlight", speed, speed / (limit / 1e6))
        )
    return rows


@contextmanager
def _origin(folder: Path, size: int) -> Iterator[Served]:
    """Six big files with nearly all of the bytes, and forty small ones, in the proportion of a model set."""
    folder.mkdir(parents=True, exist_ok=True)
    small = size // 37 // 40
    sizes = {f"big{i}.safetensors": (size - 40 * small) // 6 + i for i in range(6)}
    sizes |= {f"small/{i:02}.bin": small + i for i in range(40)}
    catalog = {
        "hub": [{"repo": REPO, "path": p, "seed": p, "size": s} for p, s in sizes.items()],
        "plain": [{"path": f"files/{p}", "seed": p, "size": s} for p, s in sizes.items()],
    }
    (folder / "catalog.json").write_text(json.dumps(catalog), encoding="utf-8")
    argv = [sys.executable, "-m", "tests.origin", "--catalog", str(folder / "catalog.json")]
    process = subprocess.Popen(argv, cwd=HOME, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        files = {url: known for url, known in told["files"].items() if url.startswith("hf:")}
        prefix = len(f"hf://{REPO}/")
        yield Served(told["url"], [FileSpec(url[prefix:], url, **known) for url, known in files.items()])
    finally:
        process.terminate()
        process.wait()


def _time(fetch: Callable[[Served, Path], None], served: Served, folder: Path) -> tuple[float, float]:
    """Seconds that a tool takes, and seconds of a `sha256sum` on all cores over what it fetched."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _warm(folder / "warm", served.size)
    begin = time.monotonic()
    fetch(served, folder)
    seconds = time.monotonic() - begin
    files = [str(path) for path in folder.rglob("*") if path.parent.name not in ("state", "run") and path.is_file()]
    assert sum(Path(path).stat().st_size for path in files) >= served.size
    begin = time.monotonic()
    if fetch is not firstlight:
        argv = ["xargs", "-0", f"-P{os.cpu_count()}", "-n1", "sha256sum"]
        subprocess.run(argv, input="\0".join(files), text=True, check=True, capture_output=True)
    summing = time.monotonic() - begin
    shutil.rmtree(folder)
    return seconds, summing


def _warm(path: Path, size: int) -> None:
    """Have as much memory at hand for the page cache as a tool will fill: a virtual machine gets it from its host at
    the first touch, and the first tool would pay for all."""
    block = bytes(1 << 20)
    with path.open("wb", buffering=0) as file:
        for _ in range(size >> 20):
            file.write(block)
    os.sync()
    path.unlink()


def firstlight(served: Served, folder: Path) -> None:
    environ = {**os.environ, "HF_ENDPOINT": served.url}
    fetcher = Fetcher(
        folder / "models",
        folder / "state",
        folder / "run",
        folder / "logs",
        environ,
        lambda _: None,
        Tuning(calm=False),
    )
    fetcher.start()
    fetcher.fetch("bench", served.specs, True, threading.Event())
    # Shutting down is not part of the wait: the files are in place.
    threading.Thread(target=fetcher.stop).start()


def hf(served: Served, folder: Path) -> None:
    program = Path(sys.executable).with_name("hf")
    environ = {**os.environ, "HF_ENDPOINT": served.url, "HF_HOME": str(folder / "home")}
    _tool([str(program), "download", REPO, "--local-dir", str(folder / "models"), "--quiet"], environ)


def curl(served: Served, folder: Path) -> None:
    lines = [f'url = "{url}"\noutput = "{folder}/{number}"\n' for number, url in enumerate(served.plain)]
    (folder / "list").write_text("".join(lines), encoding="utf-8")
    _tool(["curl", "-sSfZ", "--parallel-max", "8", "-K", str(folder / "list")])


def wget(served: Served, folder: Path) -> None:
    argv = ["xargs", "-P8", "-n1", "wget", "-q", "-P", str(folder)]
    subprocess.run(argv, input="\n".join(served.plain), text=True, check=True, capture_output=True)


def _tool(argv: list[str], environ: dict[str, str] | None = None) -> None:
    subprocess.run(argv, env=environ, check=True, capture_output=True)


def table(rows: list[Row]) -> str:
    """As Markdown."""
    lines = ["| case | tool | MB/s | ratio |", "|---|---|---|---|"]
    lines += [f"| {r.case} | {r.tool} | {r.megabytes_per_second:.0f} | {r.ratio:.2f} |" for r in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        print(table(run(Path(scratch), *(int(float(word)) for word in sys.argv[1:3]))))
