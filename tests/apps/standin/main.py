"""An app with ComfyUI's command line and HTTP interface, for machines that cannot fetch ComfyUI itself."""

import argparse
import hashlib
import json
import struct
import threading
import uuid
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

HERE = Path(__file__).resolve().parent
parser = argparse.ArgumentParser()
parser.add_argument("--listen", default="127.0.0.1")
parser.add_argument("--port", type=int, default=8188)
for flag in ("--disable-auto-launch", "--disable-metadata", "--log-stdout", "--cpu", "--use-sage-attention"):
    parser.add_argument(flag, action="store_true")
options = parser.parse_args()
history: dict[str, Any] = {}


def png(width: int, height: int, seed: bytes) -> bytes:
    """Noise, as untrained weights make it."""
    rows = b""
    for row in range(height):
        rows += b"\0" + hashlib.shake_128(b"%d %s" % (row, seed)).digest(3 * width)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def execute(name: str, prompt: dict[str, Any]) -> None:
    models = HERE / "models" / "vae_approx"
    seed = b"".join(
        hashlib.sha256((models / f"taesd_{part}.safetensors").read_bytes()).digest() for part in ("encoder", "decoder")
    )
    ((node, save),) = [(key, each) for key, each in prompt.items() if each["class_type"] == "SaveImage"]
    file = f"{save['inputs']['filename_prefix']}_00001_.png"
    (HERE / "output").mkdir(exist_ok=True)
    (HERE / "output" / file).write_bytes(png(256, 256, seed))
    images = [{"filename": file, "subfolder": "", "type": "output"}]
    history[name] = {"status": {"status_str": "success", "completed": True}, "outputs": {node: {"images": images}}}


class Handler(BaseHTTPRequestHandler):
    def answer(self, body: Any, kind: str = "application/json", status: int = 200) -> None:
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/system_stats":
            self.answer({"system": {"comfyui_version": "stand-in", "argv": ["main.py"]}, "devices": []})
        elif url.path.startswith("/models/"):
            folder = HERE / "models" / url.path.rpartition("/")[2]
            self.answer(sorted(file.name for file in folder.glob("*.safetensors")))
        elif url.path.startswith("/history/"):
            name = url.path.rpartition("/")[2]
            self.answer({name: history[name]} if name in history else {})
        elif url.path == "/view":
            name = parse_qs(url.query)["filename"][0]
            self.answer((HERE / "output" / Path(name).name).read_bytes(), "image/png")
        else:
            self.answer(b"<!doctype html><title>ComfyUI stand-in</title>", "text/html")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = str(uuid.uuid4())
        threading.Thread(target=execute, args=(name, asked["prompt"]), daemon=True).start()
        self.answer({"prompt_id": name, "number": 0, "node_errors": {}})

    def log_message(self, format: str, *args: object) -> None:
        pass


print("stand-in for ComfyUI", flush=True)
ThreadingHTTPServer((options.listen, options.port), Handler).serve_forever()
