"""The picture of how a start went, as the command `firstlight timeline` draws it."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

WITHIN = 20.0


class Undrawn(Exception):
    """There is no picture; the text says why and what to do."""


def draw(command: str, within: float = WITHIN) -> bytes:
    """An SVG. Raises Undrawn."""
    with tempfile.TemporaryDirectory(prefix="firstlight-") as folder:
        file = Path(folder, "timeline.svg")
        words = [command, "timeline", "--svg", str(file)]
        try:
            ended = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=within, check=False)
            if ended.returncode == 0:
                return file.read_bytes()
        except subprocess.TimeoutExpired:
            raise Undrawn(f"`firstlight timeline` has not drawn it within {within:.0f} s; try again later") from None
        except OSError as error:
            raise Undrawn(
                f"{error.filename or command}: {error.strerror}; c.FirstlightLab.command names the command that draws"
            ) from None
    said = ended.stderr.decode("utf-8", "replace").strip()[-2000:]
    raise Undrawn(said or f"`firstlight timeline` ended with code {ended.returncode}")
