"""A cloud's proxy in front of a server: HTTPS under a public name outside, plain HTTP inside, and no answer that lasts.

The browser reaches it as its forward proxy, so that the public name needs no resolver.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.portal.browser import Reply
from tests.ports import free_port

LONGEST = 1 << 20
VISITOR = "203.0.113.7"
ADDED = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-For": VISITOR,
    "Cf-Connecting-Ip": VISITOR,
    "Cf-Ipcountry": "DE",
    "Cf-Ray": "9a6f0c2b7d1e2a3b-FRA",
    "Cf-Visitor": '{"scheme":"https"}',
    "Cdn-Loop": "cloudflare; loops=1",
}
OWN = {"connection", "keep-alive", "host", "x-forwarded-host", *(name.lower() for name in ADDED)}
"""Headers that are the proxy's own affair."""
LATE = b"HTTP/1.1 524 A Timeout Occurred\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
AWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass
class Front:
    names: Mapping[str, int]
    """A server's port on loopback by public name; anything else is refused."""
    authority: Path
    """The certificate that vouches for the names."""
    cut: float = 100.0
    """Seconds after which a stream or a WebSocket ends; 100, as anything else, at such proxies in life."""
    patience: float = 100.0
    """Seconds after which any other answer ends."""
    buffers: bool = False
    """Hold an answer back until it is whole; 524 when it is not whole in time."""
    inner: str = ""
    """The Host header inside; empty: the public name is kept."""
    port: int = field(default_factory=free_port)
    cuts: list[str] = field(default_factory=list)
    """Paths of answers that were ended before they were whole."""

    def ask(self, name: str, path: str = "/", headers: Mapping[str, str] | None = None) -> Reply:
        """One GET from outside, of a client that trusts this proxy's certificate only."""
        tls = ssl.create_default_context(cafile=str(self.authority))
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=tls)
        try:
            connection.set_tunnel(name, 443)
            connection.request("GET", path, headers=dict(headers or {}))
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, text)
        finally:
            connection.close()

    async def serve(self, tls: ssl.SSLContext, ready: threading.Event, over: asyncio.Event) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                if name := await self._tunnel(reader, writer, tls):
                    await self._pass_on(name, reader, writer)
            except (OSError, EOFError, asyncio.CancelledError):
                pass  # the browser went away, or the proxy does
            finally:
                writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", self.port, limit=LONGEST):
            ready.set()
            await over.wait()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: ssl.SSLContext) -> str:
        """The public name that is asked for; empty when it is none of ours."""
        asked = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split()
        name, _, port = asked[1].partition(":")
        if (asked[0], port) != ("CONNECT", "443") or name not in self.names:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return ""
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.start_tls(tls)
        return name

    async def _pass_on(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request and its answer."""
        request, *headers = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
        upgrade = any(header.lower().startswith("upgrade:") for header in headers)
        kept = [header for header in headers if header.partition(":")[0].lower() not in OWN]
        kept += [f"Host: {self.inner or name}", f"X-Forwarded-Host: {name}"]
        kept += [f"{header}: {value}" for header, value in ADDED.items()]
        kept.append(f"Connection: {'Upgrade' if upgrade else 'close'}")
        try:
            answers, asks = await asyncio.open_connection("127.0.0.1", self.names[name])
        except OSError:
            writer.write(AWAY)
            return
        asks.write("\r\n".join([request, *kept, "", ""]).encode("latin-1"))
        rest = asyncio.create_task(_pump(reader, asks))
        whole = self.buffers and not upgrade
        answer = asyncio.create_task(_pass_whole(answers, writer) if whole else _pump(answers, writer))
        try:
            if not await self._in_time(answer, stream=upgrade or "/firstlight/events" in request):
                self.cuts.append(request.split()[1].partition("?")[0])
                if whole:
                    writer.write(LATE)
        finally:
            rest.cancel()
            answer.cancel()
            asks.close()

    async def _in_time(self, answer: asyncio.Task[None], stream: bool) -> bool:
        """Whether an answer ends before it is cut; what its limit is may change meanwhile."""
        begun = asyncio.get_running_loop().time()
        while not (await asyncio.wait({answer}, timeout=0.1))[0]:
            if asyncio.get_running_loop().time() - begun > (self.cut if stream else self.patience):
                return False
        await answer
        return True


async def _pass_whole(source: asyncio.StreamReader, drain: asyncio.StreamWriter) -> None:
    drain.write(await source.read())


async def _pump(source: asyncio.StreamReader, drain: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await source.read(65536):
            drain.write(piece)
            await drain.drain()


@contextlib.contextmanager
def front(folder: Path, names: Mapping[str, int], **more: object) -> Iterator[Front]:
    """A running one, with a certificate of its own; `more` are fields of `Front`."""
    key, certificate = folder / "front.key", folder / "front.pem"
    found = Front(names, certificate, **more)  # type: ignore[arg-type]
    made = ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=front"]
    made += ["-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *made], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    runner, over, ready = asyncio.Runner(), asyncio.Event(), threading.Event()
    loop = runner.get_loop()

    def run() -> None:
        with runner:
            runner.run(found.serve(tls, ready, over))

    thread = threading.Thread(target=run, name="front")
    thread.start()
    try:
        assert ready.wait(10)
        yield found
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
