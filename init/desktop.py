"""`firstlight desktop PART`: becomes a part of the desktop, and knows whether there is a screen to draw on.

The parts are programs of supervisor's: the screen (an X server), the session (its window manager), the web (the way to
the screen from a browser).
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from init.complaint import Complaint

LOCKS = Path("/tmp")
WITHIN = 30.0
"""Seconds in which a screen that was ended is there again."""
PAUSE = 0.05
USERS = "-KasmPasswordFile"
USAGE = "usage: firstlight desktop screen PROGRAM :NUMBER ARGUMENT… | session | welcome | web PORT QUALITY"


class Occupied(Complaint):
    """The display cannot be had; the text says who has it, and what to do."""


def main(argv: Sequence[str]) -> int:
    """Does not return when all is well. 2: usage; 127: the program is not there. Raises Complaint."""
    match list(argv):
        case ["screen", program, display, *words] if display[:1] == ":" and display[1:].isdigit():
            make_way(int(display[1:]))
            nobody(words)
            return become([program, display, *words], "install the X server that the manifest's `desktop` names")
        case ["session"]:
            from init import address, windows

            return become(windows.session(address.plan()), "install openbox")
        case ["welcome"]:
            from init import address, windows

            return windows.welcome(address.plan())
        case ["web", port, quality] if port.isdigit() and quality.isdigit():
            from init import address, novnc

            return novnc.serve(address.plan().paths, int(port), int(quality))
    print(USAGE, file=sys.stderr)
    return 2


def make_way(number: int, folder: Path = LOCKS) -> None:
    """Take away what a killed X server left of display `number`, so that the next one starts: X itself believes in any
    process that has the number in its lock by now. Raises Occupied when one lives."""
    lock, sock = folder / f".X{number}-lock", _socket(number, folder)
    owner = _owner(lock)
    if _answers(sock) or (owner is not None and _is_screen(owner, number)):
        who = f"process {owner}" if owner is not None else "another X server"
        raise Occupied(f"display :{number} is {who}'s already\n  end it first: two of them cannot share a display")
    try:
        for stale in (lock, sock):
            stale.unlink(missing_ok=True)
        sock.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise Occupied(
            f"{error.filename}: {error.strerror}, and display :{number} cannot start before it is gone\n"
            f"  remove it as the user whose file it is"
        ) from None
    with suppress(PermissionError):
        sock.parent.chmod(0o1777)


def nobody(words: Sequence[str]) -> None:
    """Make the file of users that an X server's words name: an empty one, since the portal asks. Raises Complaint."""
    if USERS not in words[:-1]:
        return
    file = Path(words[words.index(USERS) + 1])
    try:
        file.write_bytes(b"")
    except OSError as error:
        raise Complaint(f"{file}: {error.strerror}\n  make its folder writable for the user that runs this") from None


def there(environ: Mapping[str, str], within: float = WITHIN, folder: Path = LOCKS) -> bool:
    """Whether the screen that `DISPLAY` names answers, waited for while it starts again."""
    number = environ.get("DISPLAY", "").removeprefix(":").partition(".")[0]
    deadline = time.monotonic() + within
    while not _answers(_socket(number, folder)):
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    return True


def _socket(number: int | str, folder: Path) -> Path:
    return folder / ".X11-unix" / f"X{number}"


def _owner(lock: Path) -> int | None:
    try:
        return int(lock.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _answers(sock: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(sock))
        except OSError:
            return False
    return True


def _is_screen(pid: int, number: int) -> bool:
    """Whether this process is an X server of that display: one that has not opened its socket yet."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return pid != os.getpid() and Path(os.fsdecode(words[0])).name.startswith("X") and f":{number}".encode() in words


def become(words: list[str], remedy: str, who: str = "firstlight desktop") -> int:
    """Does not return; 127: the program is not there."""
    try:
        os.execvp(words[0], words)
    except OSError as error:
        print(f"{who}: {words[0]}: {error.strerror}\n  {remedy}", file=sys.stderr, flush=True)
        return 127
