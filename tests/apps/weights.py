"""Model files of the right form, small, and with nothing learned in them."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator, Mapping, Sequence

from tests.origin.content import Bytes

Shapes = Mapping[str, Sequence[int]]
SMALL = bytes((byte & 0x83) | (0b01010 << 2) for byte in range(256))
"""The upper byte of a half-precision number, made to lie between 1/32 and 1/16."""


def safetensors(shapes: Shapes, seed: int) -> Bytes:
    """A file of half-precision numbers: https://github.com/huggingface/safetensors#format"""
    chance, header, at, parts = random.Random(seed), dict[str, object](), 0, list[bytes]()
    for name, shape in shapes.items():
        count = 1
        for size in shape:
            count *= size
        data = bytearray(chance.randbytes(2 * count))
        data[1::2] = data[1::2].translate(SMALL)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
        parts.append(bytes(data))
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return Bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def autoencoder(part: str) -> Shapes:
    """`encoder` or `decoder` of TAESD, the tiny autoencoder: https://github.com/madebyollin/taesd"""
    return dict(_decoder() if part == "decoder" else _encoder())


def _block(at: int) -> Iterator[tuple[str, Sequence[int]]]:
    for conv in (0, 2, 4):
        yield from _conv(f"{at}.conv.{conv}", 64, 64)


def _conv(name: str, into: int, out: int, bias: bool = True) -> Iterator[tuple[str, Sequence[int]]]:
    yield f"{name}.weight", (out, into, 3, 3)
    if bias:
        yield f"{name}.bias", (out,)


def _encoder() -> Iterator[tuple[str, Sequence[int]]]:
    yield from _conv("0", 3, 64)
    yield from _block(1)
    for first in (2, 6, 10):
        yield from _conv(f"{first}", 64, 64, bias=False)
        for block in range(first + 1, first + 4):
            yield from _block(block)
    yield from _conv("14", 64, 4)


def _decoder() -> Iterator[tuple[str, Sequence[int]]]:
    yield from _conv("1", 4, 64)
    for first in (3, 8, 13):
        for block in range(first, first + 3):
            yield from _block(block)
        yield from _conv(f"{first + 4}", 64, 64, bias=False)
    yield from _block(18)
    yield from _conv("19", 64, 3)
