"""`firstlight onstart`, on PATH as `entrypoint.sh`: for platforms that start a program of their own in the place of the
image's entrypoint and run a script when the container is up, as Vast.ai does in its Jupyter and SSH modes.

Starts `firstlight boot` as the entrypoint would, apart from the caller, unless it runs: then there is nothing to do.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from init import address, bootlock, session
from init.boot import LOG, poke
from init.complaint import Complaint
from init.paths import Paths, rescue

UP_WITHIN = 60.0
"""Seconds to watch how it begins."""
SESSION = session.OWN | {"PATH"}
"""What a session that came in by SSH has of its own."""


class NotUp(Complaint):
    """It cannot be started; the text says why."""


def main(argv: Sequence[str] = ()) -> int:
    """0: it runs, since now or before. 1: it ended at once, and where to read why. Raises Complaint."""
    if argv:
        print("usage: firstlight onstart", file=sys.stderr)
        return 2
    paths = rescue(address.text())[1]
    environ, out = surroundings(os.environ), _container_log()
    try:
        environ |= _become(paths)
        Path(paths.run).mkdir(parents=True, exist_ok=True)
        lock = bootlock.take(paths)
    except OSError as error:
        raise NotUp(
            f"{error.filename or paths.run} cannot be used by user {os.geteuid()} ({error.strerror})\n"
            "  run it as root, or as the image's own user"
        ) from None
    if lock is None:
        print(f"Firstlight runs in this container already: nothing to do. {bootlock.WHERE}")
        return 0
    command = [f"{paths.home}/bin/firstlight", "boot", "--held", str(lock)]
    child = subprocess.Popen(
        command, env=environ, cwd="/", stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        pass_fds=[lock], start_new_session=True,
    )  # fmt: skip
    os.close(lock)
    return _watch(child, paths)


def surroundings(environ: Mapping[str, str]) -> dict[str, str]:
    """The container's environment: its first program's, and what the caller has besides. One who came in by SSH has
    it not, and a PATH that is none of the container's."""
    first: dict[str, str] = {}
    with suppress(OSError):
        words = Path("/proc/1/environ").read_bytes().split(b"\0")
        first = dict(os.fsdecode(word).split("=", 1) for word in words if b"=" in word)
    own = dict(environ)
    if "SSH_CONNECTION" in own:
        own = {name: value for name, value in own.items() if name not in SESSION and not name.startswith("SSH_C")}
        own.pop("SSH_TTY", None)
        return {"PATH": os.defpath, **own, **first}
    return {**first, **own}


def _container_log() -> int:
    """Where `docker logs` reads: what the first program writes to; nowhere, when that cannot be had."""
    with suppress(OSError):
        # A pipe that nobody reads would hold the caller up; a terminal must not become this session's.
        handle = os.open("/proc/1/fd/1", os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(handle, True)
        return handle
    return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def _become(paths: Paths) -> dict[str, str]:
    """Root becomes the image's own user, to whom `Paths.run` belongs; what that means for the environment."""
    owner = Path(paths.run).stat().st_uid if Path(paths.run).exists() else 0
    if os.geteuid() != 0 or owner == 0:
        return {}
    user = pwd.getpwuid(owner)
    os.initgroups(user.pw_name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    return {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}


def _watch(child: subprocess.Popen[bytes], paths: Paths) -> int:
    deadline, sock = time.monotonic() + UP_WITHIN, Path(paths.run, "supervisor.sock")
    while child.poll() is None and time.monotonic() < deadline:
        if poke(sock):
            print(f"Firstlight has started. {bootlock.WHERE}")
            return 0
        time.sleep(0.02)
    if child.returncode is None:
        print(f"Firstlight is starting, and takes its time; {Path(paths.logs, LOG)} says more.", file=sys.stderr)
        return 0
    print(f"firstlight onstart: it ended at once ({child.returncode}); see {Path(paths.logs, LOG)}", file=sys.stderr)
    return 1
