"""Lightbox: a wall of pictures, one for each model file, drawn from the file's own bytes.

New files appear on the wall by themselves; no restart is needed.
"""

from __future__ import annotations

import argparse
import functools
import html
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import painting

PAGE = Path(__file__).with_name("page.html")


@functools.lru_cache(maxsize=64)
def picture(path: Path, stamp: int, width: int, kernel: bool) -> tuple[bytes, float]:
    """PNG bytes and the seconds that it took."""
    begin = time.perf_counter()
    return painting.png(path, width, width, kernel), time.perf_counter() - begin


class Wall(BaseHTTPRequestHandler):
    """`/` the page, `/files` what there is (JSON), `/picture/NAME?width=N` a PNG, `/health`."""

    protocol_version = "HTTP/1.1"
    models: Path
    kernel: bool

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/":
            mode = "compiled kernel" if self.kernel else "numpy, without the compiled kernel"
            self.answer(200, "text/html; charset=utf-8", PAGE.read_text("utf-8").replace("{mode}", html.escape(mode)))
        elif parts.path == "/health":
            self.answer(200, "text/plain", "ok\n")
        elif parts.path == "/files":
            found = [{"name": str(p.relative_to(self.models)), "bytes": p.stat().st_size} for p in self.files()]
            self.answer(200, "application/json", json.dumps({"kernel": self.kernel, "files": found}))
        elif parts.path.startswith("/picture/"):
            self.send_picture(unquote(parts.path.removeprefix("/picture/")), parse_qs(parts.query))
        else:
            self.answer(404, "text/plain", "nothing here\n")

    def files(self) -> list[Path]:
        return sorted(p for p in self.models.rglob("*.weights") if p.is_file())

    def send_picture(self, name: str, query: dict[str, list[str]]) -> None:
        path = next((p for p in self.files() if str(p.relative_to(self.models)) == name), None)
        width = query.get("width", ["384"])[0]
        if path is None or not width.isdecimal() or not 16 <= int(width) <= 2048:
            self.answer(404, "text/plain", "no such picture\n")
            return
        data, seconds = picture(path, path.stat().st_mtime_ns, int(width), self.kernel)
        self.answer(200, "image/png", data, {"Server-Timing": f"paint;dur={seconds * 1000:.1f}"})

    def answer(self, status: int, kind: str, body: str | bytes, headers: dict[str, str] | None = None) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for key, value in {"Content-Type": kind, "Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--kernel", action="store_true", help="draw with the compiled extension")
    options = parser.parse_args()
    Wall.models, Wall.kernel = options.models, options.kernel
    print(f"Lightbox listens on 127.0.0.1:{options.port}", flush=True)
    ThreadingHTTPServer(("127.0.0.1", options.port), Wall).serve_forever()


if __name__ == "__main__":
    main()
