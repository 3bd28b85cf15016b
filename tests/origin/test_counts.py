"""What the origin says that it sent, which tests hold against what arrived."""

from __future__ import annotations

import socket
import struct
from urllib.parse import urlsplit

from tests.origin import Generated, Origin
from tests.waiting import until


def test_what_a_client_read_counts_although_it_broke_the_connection(origin: Origin) -> None:
    file = origin.plain("a.bin", Generated("a", 8_000_000))
    address = urlsplit(file.url)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        client.connect((address.hostname, address.port))
        client.sendall(f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        read = b""
        while len(read) < 300_000:
            read += client.recv(65536)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    (entry,) = until(lambda: [e for e in origin.requests("a.bin") if e.ended], what="the origin has seen it")
    body = len(read.partition(b"\r\n\r\n")[2])
    assert body <= entry.sent < file.size
