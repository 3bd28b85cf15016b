"""What the origin serves: bytes made from a seed, a file on the disk, or bytes at hand."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Protocol

BLOCK = 1 << 20
_HEAD = 32
_BODY = random.Random("firstlight").randbytes(BLOCK)


class Content(Protocol):
    """Bytes of a known size and SHA-256."""

    @property
    def size(self) -> int: ...

    @property
    def sha256(self) -> str: ...

    def pieces(self, start: int, end: int) -> Iterator[memoryview]:
        """The bytes [start, end), in pieces of at most `BLOCK`."""
        ...


def _digest(content: Content) -> str:
    digest = hashlib.sha256()
    for piece in content.pieces(0, content.size):
        digest.update(piece)
    return digest.hexdigest()


def blob(content: Content) -> str:
    """Git's name for a file with this content."""
    digest = hashlib.sha1(f"blob {content.size}\0".encode())
    for piece in content.pieces(0, content.size):
        digest.update(piece)
    return digest.hexdigest()


class Generated:
    """`size` bytes that only depend on `seed`: blocks of 1 MiB that all differ, made while they are sent."""

    def __init__(self, seed: str | int, size: int):
        self.seed = str(seed)
        self.size = size

    @cached_property
    def sha256(self) -> str:
        return _digest(self)

    def pieces(self, start: int, end: int) -> Iterator[memoryview]:
        body = memoryview(_BODY)
        while start < end:
            number, offset = divmod(start, BLOCK)
            stop = min(BLOCK, offset + end - start)
            if offset < _HEAD:
                head = hashlib.blake2b(f"{self.seed}:{number}".encode(), digest_size=_HEAD).digest()
                piece = memoryview(head)[offset : min(_HEAD, stop)]
            else:
                piece = body[offset:stop]
            yield piece
            start += len(piece)


class Bytes:
    """Bytes at hand."""

    def __init__(self, data: bytes):
        self.data = data
        self.size = len(data)

    @cached_property
    def sha256(self) -> str:
        return _digest(self)

    def pieces(self, start: int, end: int) -> Iterator[memoryview]:
        view = memoryview(self.data)
        for at in range(start, end, BLOCK):
            yield view[at : min(end, at + BLOCK)]


class OnDisk:
    """A file; read anew for every request."""

    def __init__(self, path: Path):
        self.path = path

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    @property
    def sha256(self) -> str:
        return _digest(self)

    def pieces(self, start: int, end: int) -> Iterator[memoryview]:
        with self.path.open("rb") as file:
            file.seek(start)
            while start < end and (data := file.read(min(BLOCK, end - start))):
                yield memoryview(data)
                start += len(data)


class Resized:
    """Another content cut, or padded with zero bytes, to `size`."""

    def __init__(self, inner: Content, size: int):
        self.inner = inner
        self.size = size

    @cached_property
    def sha256(self) -> str:
        return _digest(self)

    def pieces(self, start: int, end: int) -> Iterator[memoryview]:
        border = min(end, self.inner.size)
        if start < border:
            yield from self.inner.pieces(start, border)
        for at in range(max(start, border), end, BLOCK):
            yield memoryview(bytes(min(BLOCK, end - at)))
