"""`firstlight boot`: the first program of a container. Makes folders and the token, says where to look, becomes
supervisord."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from init import access, address
from init.plan import PlanError

POKE_WITHIN = 5.0
"""Seconds that the poker waits for supervisord's socket."""


def main(argv: Sequence[str] = ()) -> int:
    """Does not return when all is well. 1: this container cannot start, and why."""
    try:
        plan = address.plan()
    except (OSError, PlanError) as error:
        return _refuse(f"the plan cannot be read: {error}", "build the image again, or set FIRSTLIGHT_PLAN")
    paths = plan.paths
    control, etc = paths.control, Path(paths.home, "etc")
    try:
        for folder in (paths.logs, paths.run):
            Path(folder).mkdir(parents=True, exist_ok=True)
        Path(paths.run).chmod(0o700)
        Path(paths.run, "supervisor.sock").unlink(missing_ok=True)
        token = access.ensure(paths, os.environ)
    except OSError as error:
        who = f"user {os.geteuid()}"
        return _refuse(
            f"{error.filename or paths.run} cannot be written by {who} ({error.strerror})",
            f"run the container as its own user, or give {who} the folders {paths.logs} and {paths.run}",
        )
    _workspace(paths.workspace)
    os.environ["HOME"] = _home(os.environ.get("HOME", ""), paths.workspace)
    if not plan.local:
        print("Firstlight: JupyterLab opens first, everything else follows while you work.", flush=True)
        for title, link in access.addresses(plan, token, os.environ):
            print(f"  {title:<12} {link}", flush=True)
    os.environ |= {
        "JUPYTER_PATH": os.pathsep.join(filter(None, [f"{paths.disk}/share/jupyter", os.environ.get("JUPYTER_PATH")])),
        "JUPYTER_CONFIG_PATH": str(etc / "jupyter"),
        "JUPYTER_CONFIG_DIR": str(paths.state / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(Path(paths.run, "jupyter")),
    }
    os.environ["PATH"] = os.pathsep.join([f"{paths.home}/bin", os.environ.get("PATH", os.defpath)])
    _leave_poker(Path(paths.run, "supervisor.sock"))
    command = [str(control / "bin" / "supervisord"), "-n", "-c", str(etc / "supervisord.conf")]
    if os.geteuid() == 0:
        command += ["-u", "root"]
    try:
        os.execv(command[0], command)
    except OSError as error:
        return _refuse(f"{command[0]} does not start: {error.strerror}", "build the image again")


def _refuse(text: str, remedy: str) -> int:
    print(f"firstlight boot: {text}\n  {remedy}", file=sys.stderr, flush=True)
    return 1


def _workspace(workspace: str) -> None:
    """A workspace that cannot be used does not keep JupyterLab from starting: the stages will say what they miss."""
    try:
        Path(workspace, ".firstlight").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _refuse(
            f"the workspace {workspace} cannot be written ({error.strerror}): nothing will outlive this container",
            "mount a volume there that this user may write to",
        )


def _home(home: str, workspace: str) -> str:
    """A home folder that can be written: containers run under arbitrary users often have none."""
    return home if home and os.access(home, os.W_OK) else workspace


def poke(path: Path) -> bool:
    """Call supervisord, so that it goes on at once: between two steps it waits up to a second for a caller."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def _leave_poker(path: Path) -> None:
    """Leave a process behind that pokes supervisord as soon as its socket is there: before its first poll returns it
    starts nothing."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    # The grandchild belongs to nobody here: supervisord does not have to reap a stranger.
    if os.fork():
        os._exit(0)
    with suppress(BaseException):
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        deadline = time.monotonic() + POKE_WITHIN
        while time.monotonic() < deadline and not poke(path):
            time.sleep(0.005)
    os._exit(0)
