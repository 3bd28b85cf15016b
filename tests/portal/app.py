"""An app behind the portal: tells what it was asked, echoes over a WebSocket, streams. `app.py PORT`."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
go_on = threading.Event()


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self._echo()
        elif self.path == "/stream":
            self._stream()
        elif self.path == "/go-on":
            go_on.set()
            self._tell(200)
        elif self.path == "/broken":
            self._tell(500)
        else:
            self._tell(200)

    def do_POST(self) -> None:
        self._tell(200)

    do_PUT = do_DELETE = do_POST

    def _tell(self, status: int) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        seen = {
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": self.rfile.read(length).decode("latin-1"),
            "environ": dict(os.environ),
        }
        content = json.dumps(seen).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/event-stream" if self.path == "/events" else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self) -> None:
        """One line at once, another one after `/go-on`."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"data: first\n")
        self.wfile.flush()
        go_on.wait(30)
        self.wfile.write(b"data: second\n")
        self.close_connection = True

    def _echo(self) -> None:
        key = self.headers["Sec-WebSocket-Key"] + MAGIC
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        _, length = self.rfile.read(2)
        mask, masked = self.rfile.read(4), self.rfile.read(length & 0x7F)
        text = bytes(byte ^ mask[i % 4] for i, byte in enumerate(masked)) + b" " + self.path.encode()
        self.wfile.write(bytes([0x81, len(text)]) + text)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), App).serve_forever()
