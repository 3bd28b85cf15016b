"""A cloud's proxy in front of a server: HTTPS under a public name outside, plain HTTP inside, and no answer that lasts.

The browser reaches it as its forward proxy, so that the public name needs no resolver.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.ports import free_port

LONGEST = 1 << 20
OWN = {"connection", "keep-alive", "host", "x-forwarded-proto", "x-forwarded-for", "x-forwarded-host"}
"""Headers that are the proxy's own affair."""
PATIENCE = 100.0
LATE = b"HTTP/1.1 524 A Timeout Occurred\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
AWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass
class Front:
    name: str
    """The public name; anything else is refused."""
    inside: int
    """The server's port on loopback."""
    cut: float
    """Seconds after which a stream ends. Other answers have the time that such proxies give in life: `PATIENCE`."""
    buffers: bool = False
    """Hold an answer back until it is whole; 524 when it is not whole in time."""
    inner: str = ""
    """The Host header inside; empty: the public name is kept."""
    port: int = field(default_factory=free_port)
    cuts: int = 0
    """Answers that were ended before they were whole."""

    async def serve(self, tls: ssl.SSLContext, ready: threading.Event, over: asyncio.Event) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                if await self._tunnel(reader, writer, tls):
                    await self._pass_on(reader, writer)
            except (OSError, EOFError, asyncio.CancelledError):
                pass  # the browser went away, or the proxy does
            finally:
                writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", self.port, limit=LONGEST):
            ready.set()
            await over.wait()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: ssl.SSLContext) -> bool:
        asked = (await reader.readuntil(b"\r\n\r\n")).split()
        if asked[:2] != [b"CONNECT", f"{self.name}:443".encode()]:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return False
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.start_tls(tls)
        return True

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request and its answer."""
        request, *headers = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
        upgrade = any(header.lower().startswith("upgrade:") for header in headers)
        kept = [header for header in headers if header.partition(":")[0].lower() not in OWN]
        kept += [f"Host: {self.inner or self.name}", f"X-Forwarded-Host: {self.name}", "X-Forwarded-Proto: https"]
        kept += ["X-Forwarded-For: 203.0.113.7", f"Connection: {'Upgrade' if upgrade else 'close'}"]
        try:
            answers, asks = await asyncio.open_connection("127.0.0.1", self.inside)
        except OSError:
            writer.write(AWAY)
            return
        asks.write("\r\n".join([request, *kept, "", ""]).encode("latin-1"))
        rest = asyncio.create_task(_pump(reader, asks))
        try:
            async with asyncio.timeout(self.cut if upgrade or "/firstlight/events" in request else PATIENCE):
                if self.buffers and not upgrade:
                    writer.write(await answers.read())
                else:
                    await _pump(answers, writer)
        except TimeoutError:
            self.cuts += 1
            if self.buffers and not upgrade:
                writer.write(LATE)
        finally:
            rest.cancel()
            asks.close()


async def _pump(source: asyncio.StreamReader, drain: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await source.read(65536):
            drain.write(piece)
            await drain.drain()


@contextlib.contextmanager
def front(folder: Path, name: str, inside: int, **more: object) -> Iterator[Front]:
    """A running one, with a certificate of its own; `more` are fields of `Front`."""
    found = Front(name, inside, **more)  # type: ignore[arg-type]
    key, certificate = folder / "front.key", folder / "front.pem"
    made = ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", f"/CN={name}"]
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
