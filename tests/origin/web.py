"""How the origin answers: HTTP/1.1, one thread a connection."""

from __future__ import annotations

import json
import os
import re
import select
import socket
import struct
import subprocess
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.origin import protocols
from tests.origin.content import Content, Resized
from tests.origin.faults import Fault
from tests.origin.server import Entry, Origin, Published, as_json, listing


class Cut(Exception):
    """The answer ends here; the connection is of no more use."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512
    block_on_close = False

    def __init__(self, address: tuple[str, int], origin: Origin, name: str):
        self.origin = origin
        self.name = name
        super().__init__(address, Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is nobody's error."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    entry: Entry
    bent: list[Fault]
    """Faults that bend the content of the answer at hand."""

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 256 * 1024)

    def log_message(self, format: str, *arguments: object) -> None:
        """The origin has a log of its own."""

    def do_GET(self) -> None:
        origin, parts = self.server.origin, urlsplit(self.path)
        path, query = unquote(parts.path).strip("/"), dict(parse_qsl(parts.query))
        if path == "_control":
            self._control()
            return
        self.bent = []
        everything = f"{self.path}\n{self.headers}"
        self.entry = Entry(
            at=time.time(),
            server=self.server.name,
            method=self.command,
            path=parts.path,
            range=self.headers.get("Range"),
            authorization="Authorization" in self.headers or "Cookie" in self.headers,
            token=any(token in everything for token in origin.tokens),
            client=self.client_address[0],
            headers=dict(self.headers.items()),
        )
        with origin.lock:
            origin.log.append(self.entry)
        try:
            self._route(path, query)
        except (Cut, ConnectionError, TimeoutError):
            self.close_connection = True
        finally:
            self.entry.ended = True

    do_HEAD = do_POST = do_GET

    def _route(self, path: str, query: Mapping[str, str]) -> None:
        origin = self.server.origin
        if self.server.name == "cdn":
            key = path.removeprefix("cdn/")
            self.entry.key = key
            if self._met(key):
                return
            if not origin.valid(key, query):
                self.answer(403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
                return
            self.content(origin.files[key])
            return
        for prefix, folder in origin.git.items():
            if path == prefix or path.startswith(prefix + "/"):
                self.entry.key = prefix
                if not self._met(prefix):
                    self._git(path, folder, path.removeprefix(prefix))
                return
        for prefix, folder in origin.folders.items():
            if path == prefix or path.startswith(prefix + "/"):
                self.entry.key = path
                if not self._met(path):
                    self._static(folder / path.removeprefix(prefix).strip("/"))
                return
        if protocols.answer(self, path, query):
            return
        self.entry.key = path
        if self._met(path):
            return
        file = origin.files.get(path)
        if file is None:
            self.answer(404, b"Not Found")
        else:
            self.content(file)

    # answers

    def answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """A short answer, not counted as file content."""
        self.entry.status = status
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def content(self, file: Published) -> None:
        """The file, or the range of it that was asked for."""
        content: Content = file.content
        for fault in self.bent:
            if fault.kind == "length":
                content = Resized(content, content.size + fault.by)
        start, end, status = 0, content.size, 200
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if found and not any(f.kind == "no-range" for f in self.bent):
            first, last = found.groups()
            start = int(first) if first else content.size - int(last)
            end = min(content.size, int(last) + 1) if first and last else content.size
            status = 206
            if start >= end:
                self.answer(416, headers={"Content-Range": f"bytes */{content.size}"})
                return
        self.entry.status = status
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{content.size}")
        if not any(f.kind == "no-range" for f in self.bent):
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start))
        self.send_header("Content-Type", "application/octet-stream")
        if file.etag:
            self.send_header("ETag", f'"{file.etag}"')
        if file.commit:
            self.send_header("X-Repo-Commit", file.commit)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.flush()
        self._send(file.key, content, start, end)

    def _send(self, key: str, content: Content, start: int, end: int) -> None:
        origin, begun, sent, at = self.server.origin, time.monotonic(), 0, start
        expiring = [fault for fault in self._faults(key) if fault.kind == "expire"]
        for piece in content.pieces(start, end):
            while len(piece):
                if any(fault.met for fault in expiring):
                    self._reset()
                    raise Cut
                faults = self._faults(key)
                step = len(piece)
                rates = [f.rate for f in faults if f.kind == "slow" and f.rate]
                if rates or origin.total:
                    step = min(step, max(16384, int(min(rates, default=4e6) / 50)))
                for fault in faults:
                    if fault.kind in ("expire", "reset", "stall", "truncate"):
                        with origin.lock:
                            allowed = min(step, fault.left(key))
                            fault.sent[key] = fault.sent.get(key, 0) + max(0, allowed)
                        if allowed <= 0:
                            self._interrupt(fault, key)
                        step = allowed
                data: bytes | memoryview = piece[:step]
                for fault in self.bent:
                    if fault.kind == "corrupt" and at <= fault.at < at + len(data):
                        copy = bytearray(data)
                        copy[fault.at - at] ^= 0xFF
                        data = bytes(copy)
                if origin.total:
                    origin.total.take(len(data))
                self._hand_over(data)
                sent, at, piece = sent + len(data), at + len(data), piece[len(data) :]
                for fault in faults:
                    if fault.kind == "status":
                        fault.sent[key] = fault.sent.get(key, 0) + len(data)
                if rates and (wait := begun + sent / min(rates) - time.monotonic()) > 0:
                    time.sleep(wait)

    def _hand_over(self, data: bytes | memoryview) -> None:
        """As `sendall`, and counted before the client can have it, less what the kernel did not take before the
        connection broke."""
        rest = memoryview(data)
        self.entry.sent += len(rest)
        try:
            while rest:
                rest = rest[self.connection.send(rest) :]
        finally:
            self.entry.sent -= len(rest)

    # faults

    def _faults(self, key: str) -> list[Fault]:
        agent = self.headers.get("User-Agent", "")
        return [f for f in self.server.origin.faults if f.matches(key, self.server.name, self.command, agent)]

    def _met(self, key: str) -> bool:
        """Whether a fault has answered instead."""
        for fault in self._faults(key):
            if fault.kind == "slow" and fault.latency:
                time.sleep(fault.latency)
            elif fault.kind in ("corrupt", "length", "no-range"):
                self.bent.append(fault)
                fault.met += key in self.server.origin.files and self.command == "GET"
            elif fault.kind == "redirect":
                fault.met += 1
                self.answer(302, headers={"Location": fault.to or ""})
                return True
            elif fault.kind == "status" and fault.left(key) <= 0:
                fault.met += 1
                headers = {"X-Error-Code": fault.code} if fault.code else {}
                if fault.retry_after is not None:
                    headers["Retry-After"] = fault.retry_after
                self.answer(fault.status, as_json({"error": f"status {fault.status} on order"}), headers)
                return True
            elif fault.kind in ("reset", "stall") and fault.left(key) <= 0 and fault.method == self.command:
                self._interrupt(fault, key)
        return False

    def _interrupt(self, fault: Fault, key: str) -> None:
        fault.met += 1
        if fault.kind == "expire" and not fault.gone:
            fault.gone = True
            self.server.origin.expire(key)
        if fault.kind in ("expire", "reset"):
            self._reset()
        while fault.kind == "stall" and not fault.gone and not self.server.origin.stopping.is_set():
            readable, _, _ = select.select([self.connection], [], [], 0.1)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                break
        raise Cut

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RD)

    # other things

    def _control(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.entry = Entry(time.time(), self.server.name, self.command, "/_control")
        try:
            self.answer(200, as_json(self.server.origin.control(json.loads(body))))
        except (KeyError, TypeError, ValueError) as error:
            self.answer(400, repr(error).encode())

    def _static(self, path: Path) -> None:
        if path.is_dir():
            self.answer(200, listing(path.iterdir()), {"Content-Type": "text/html"})
        elif path.is_file():
            data = path.read_bytes()
            self.answer(200, data)
            self.entry.sent = len(data)
        else:
            self.answer(404, b"Not Found")

    def _git(self, path: str, folder: Path, rest: str) -> None:
        """Git's own CGI program, as a web server runs it."""
        environ = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "GIT_CONFIG_KEY_1": "uploadpack.allowAnySHA1InWant",
            "GIT_CONFIG_VALUE_1": "true",
            "PATH_INFO": rest,
            "QUERY_STRING": urlsplit(self.path).query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": self.client_address[0],
        }
        done = subprocess.run(
            ["git", "http-backend"], input=self._body(), env=environ, capture_output=True, check=False
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200").split()[0])
        headers.pop("Content-Length", None)
        self.answer(status, body, headers)
        self.entry.sent = len(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body
