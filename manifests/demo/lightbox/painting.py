"""A picture from a model file: the file's bytes decide the weights of a small network.

`paint` uses the compiled extension `cppn`; `paint_slowly` is the same network in numpy.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

HIDDEN, LAYERS = 16, 4
WEIGHTS = HIDDEN * 4 + LAYERS * HIDDEN * HIDDEN + 3 * HIDDEN


def weights(path: Path) -> np.ndarray:
    """float32 array of WEIGHTS values in [-1.6, 1.6], drawn from what stands at the start of every MiB of the file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for offset in range(0, path.stat().st_size, 2**20):
            file.seek(offset)
            digest.update(file.read(64))
    generator = np.random.default_rng(int.from_bytes(digest.digest(), "big"))
    return generator.uniform(-1.6, 1.6, WEIGHTS).astype(np.float32)


def paint_slowly(values: np.ndarray, width: int, height: int) -> bytes:
    """RGB bytes, row by row."""
    x = 3 * (2 * np.arange(width, dtype=np.float32) / width - 1)
    y = 3 * (2 * np.arange(height, dtype=np.float32) / height - 1)
    grid = np.stack(np.broadcast_arrays(x[None, :], y[:, None]), axis=-1).reshape(-1, 2)
    radius = np.hypot(grid[:, 0], grid[:, 1])
    first, rest = values[: HIDDEN * 4].reshape(HIDDEN, 4), values[HIDDEN * 4 :]
    now = np.tanh(np.column_stack([grid, radius, np.ones_like(radius)]) @ first.T)
    for layer in range(LAYERS):
        inner = rest[layer * HIDDEN * HIDDEN : (layer + 1) * HIDDEN * HIDDEN].reshape(HIDDEN, HIDDEN)
        now = np.tanh(now @ inner.T)
    last = rest[LAYERS * HIDDEN * HIDDEN :].reshape(3, HIDDEN)
    return bytes((255 / (1 + np.exp(-(now @ last.T)))).astype(np.uint8))


def png(path: Path, width: int, height: int, kernel: bool) -> bytes:
    """The file's picture as PNG."""
    values = weights(path)
    if kernel:
        import cppn

        rgb = cppn.paint(values.tobytes(), width, height)
    else:
        rgb = paint_slowly(values, width, height)
    out = io.BytesIO()
    Image.frombytes("RGB", (width, height), rgb).save(out, "PNG", compress_level=1)
    return out.getvalue()
