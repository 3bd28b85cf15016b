"""Logs for people: found by name, read from the end, followed across rotation, made harmless.

Positions are bytes of the file. What comes at a time ends where a letter and an escape sequence end, so that the next
piece can be read by itself.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

LARGEST = 256 * 1024
"""Bytes of a tail, and of what a follower takes at a time."""
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|(?:\x1b[\]P^_X]|\x9d)[^\x07\x1b\x9c\n]{0,512}(?:\x07|\x1b\\|\x9c)"  # titles, links
    r"|\x1b[ -/]*[0-Z\\^-~]"
)
_UNFINISHED = re.compile(
    rb"(?:\x1b(?:\[[0-?]{0,64}[ -/]{0,8}|\][^\x07\x1b]{0,512}\x1b?|[ -/]{0,8})?"
    rb"|[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z"
)
_CONTINUED = bytes(range(0x80, 0xC0))
"""Bytes of a letter that began before."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def names(folder: Path) -> dict[str, Path]:
    """Logs by name, as `firstlight logs` has them: a stage's when a service is called the same, which is then
    `service:ID`. Plain files only: nothing is read through a link."""
    found = {file.stem: file for file in _files(folder)}
    for file in _files(folder / "stages"):
        name = file.stem.replace(".packages", ":packages")
        if name.startswith("models."):
            name = file.stem.replace(".", ":", 1)
        if name in found:
            found[f"service:{name}"] = found[name]
        found[name] = file
    return found


def tail(file: Path, lines: int) -> tuple[str, int, int]:
    """The last lines, at most `LARGEST` bytes of them; the file's size; and where to follow from. Raises OSError."""
    with _open(file) as stream:
        size = end = stream.seek(0, os.SEEK_END)
        data = b""
        while end > 0 and len(data) < LARGEST and data.count(b"\n", 0, -1) < lines:
            start = max(0, end - 65536, size - LARGEST)
            stream.seek(start)
            data, end = stream.read(end - start) + data, start
    whole = _whole(data)
    return clean(_last(data[:whole], lines, cut=end > 0)), size, size - (len(data) - whole)


def since(file: Path, offset: int) -> tuple[str, int, int]:
    """What came after `offset`, at most `LARGEST` bytes of it; the file's size; and where to go on. A file that is
    shorter was emptied or is a new one: then its beginning. Raises OSError."""
    with _open(file) as stream:
        size = stream.seek(0, os.SEEK_END)
        begin = offset if offset <= size else 0
        stream.seek(begin)
        data = stream.read(LARGEST)
    whole = _whole(data)
    return clean(data[:whole]), size, begin + whole


class Follower:
    """What comes into a log from `offset` on, in the file that has its name: also after it was rotated or emptied."""

    def __init__(self, file: Path, offset: int | None):
        self._file = file
        self._stream: BinaryIO | None = None
        self.offset = offset
        """None: from the end of the file."""

    def more(self) -> str:
        """What has come; "" when nothing has. Raises OSError when the log can no longer be read."""
        if self._stream is None:
            try:
                self._stream = _open(self._file)
            except FileNotFoundError:
                return ""
        rotated = self._rotated()  # asked first: what is read below is then all that came before the rotation
        size = os.fstat(self._stream.fileno()).st_size
        if self.offset is None:
            self.offset = size
        if size < self.offset:
            self.offset = 0
        self._stream.seek(self.offset)
        data = self._stream.read(LARGEST)
        whole = _whole(data)
        if not whole and rotated:
            self.close()
            self.offset = 0
            return clean(data)
        self.offset += whole
        return clean(data[:whole])

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _rotated(self) -> bool:
        assert self._stream is not None
        try:
            there, here = os.lstat(self._file), os.fstat(self._stream.fileno())
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)


def _last(text: bytes, lines: int, cut: bool) -> bytes:
    """The last lines; whole ones where there is one, when the text's beginning was `cut` off."""
    at = len(text) - text.endswith(b"\n")
    for _ in range(lines):
        at = text.rfind(b"\n", 0, at)
        if at < 0:
            begin = text.find(b"\n", 0, -1) + 1
            return text[begin:].lstrip(_CONTINUED) if cut else text
    return text[at + 1 :]


def clean(data: bytes) -> str:
    """Text without escape sequences; other control characters, and those that turn the direction, as signs."""
    text = data.decode("utf-8", "replace")
    text = _SEQUENCE.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub(_sign, text)


def _sign(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"\\u{code:04x}"


def _whole(data: bytes) -> int:
    """How many bytes stand before a letter or an escape sequence that is cut off at the end."""
    found = _UNFINISHED.search(data, max(0, len(data) - 600))
    return found.start() if found else len(data)


def _files(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            plain = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    except OSError:
        return []
    return [folder / name for name in sorted(plain) if name.endswith(".log") and name != ".log"]


def _open(file: Path) -> BinaryIO:
    """Raises OSError, also for what is no plain file."""
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(f"{file.name} is no plain file")
    return os.fdopen(handle, "rb", buffering=0)
