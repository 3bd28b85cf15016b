"""A program on a terminal of its own, and the hands of its user."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tests.waiting import until

CTRL_C = "\x03"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]")
ROWS, COLUMNS = 50, 160
READ_WITHIN = 10.0
"""Seconds to read what a program that has ended has left, where others have its terminal still."""


class Terminal:
    """Use as a context manager: at its end the program is interrupted if it still runs, and killed if it must be."""

    def __init__(self, command: Sequence[str], folder: Path, environ: Mapping[str, str] = os.environ):
        self._hands, screen = pty.openpty()
        termios.tcsetwinsize(screen, (ROWS, COLUMNS))
        # The terminal goes to a session of its own. Ctrl-C and the closed window are heard there, even where whoever
        # runs the tests is deaf.
        words = ["setsid", "--ctty", "env", "--default-signal=INT,HUP", *command]
        environ = {**environ, "TERM": "xterm"}
        self.process = subprocess.Popen(words, cwd=folder, env=environ, stdin=screen, stdout=screen, stderr=screen)
        os.close(screen)
        self._seen = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # EIO: nobody has the terminal any more
            while more := os.read(self._hands, 65536):
                self._seen += more

    @property
    def text(self) -> str:
        """All that was shown so far: of a line that was written anew, as it is now."""
        lines = re.split(r"\r*\n", ESCAPES.sub("", self._seen.decode(errors="replace")))
        return "\n".join(line.rpartition("\r")[2] for line in lines)

    def press(self, keys: str) -> None:
        os.write(self._hands, keys.encode())

    def shows(self, words: str, within: float) -> None:
        """Wait until it was shown. Raises AssertionError with all that was."""
        try:
            until(lambda: words in self.text or self.process.poll() is not None, within)
            if words not in self.text:
                self._reader.join(READ_WITHIN)
        finally:
            assert words in self.text, self.text

    def children(self) -> list[int]:
        """What the program has started and has not ended, by process id."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def ended(self, within: float) -> int:
        """The exit code as a shell tells it. All that was shown has been read then."""
        code = self.process.wait(within)
        self._reader.join(READ_WITHIN)
        return code if code >= 0 else 128 - code

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in (signal.SIGINT, signal.SIGKILL):
            if self.process.poll() is None:
                os.killpg(self.process.pid, number)
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(60)
        self._reader.join(READ_WITHIN)
        os.close(self._hands)
