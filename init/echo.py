"""What a program says, in a log of its own besides: without the token, which stands in addresses."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

TOKEN = re.compile(r"(?<=[?&]token=)[^&\s]+")


def into(log: Path) -> None:
    """From now on, whatever this process prints."""
    sys.stdout, sys.stderr = Twice(sys.stdout, log), Twice(sys.stderr, log)


class Twice:
    """A stream, and a log. When nobody reads the stream any more, that is no reason to end."""

    def __init__(self, stream: TextIO, log: Path) -> None:
        self._stream, self._log = stream, log

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
            self._stream.flush()
        with suppress(OSError), self._log.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(TOKEN.sub("…", text))
        return len(text)

    def flush(self) -> None:
        pass
