"""`firstlight boot`: the first program of a container. Makes folders and the token, starts supervisord, says where to
look, and starts supervisord again when something kills it: all else hangs on that one.

Only one boot is at work in a container. A second one has nothing to do, and says so; one that is the container's own
program waits instead, since the container ends with it."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from init import access, address, bootlock, echo, offer, relocation, session, ssh, tls
from init.paths import Paths, rescue

POKE_WITHIN = 5.0
"""Seconds to wait for supervisord's socket."""
PAUSE = 1.0
"""Seconds between a kill of supervisord and its next start."""
LOG = "boot.log"
"""In `Paths.logs`: what is said here, without the token."""
PROGRAMS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def main(argv: Sequence[str] = ()) -> int:
    """Does not return when all is well. 0: another boot does the work; 1: this container cannot start, and why. Raises
    NoPlan. `--held FD`: the caller has taken the lock, and is gone by now (`firstlight onstart`).

    A plan that is damaged or of another version is no reason not to start: JupyterLab opens, and the runner tells."""
    for name in unfilled(os.environ):
        secret = os.environ.pop(name).strip("{} ").removeprefix("RUNPOD_SECRET_")
        _refuse(
            f"{name} is to come from RunPod's secret {secret}, which there is not: it counts as not set",
            f"make a secret called {secret} in RunPod's console, and start the pod again",
        )
    for name in access.PRIVATE:
        if os.environ.get(name, "").strip() == "1" and name != "OPEN_BUTTON_TOKEN":
            _refuse(f"{name} is `1`, which anybody would guess: it counts as not set", "set a longer one")
    paths = rescue(address.text())[1]
    control, etc = paths.control, Path(paths.home, "etc")
    try:
        for folder in (paths.logs, paths.run):
            Path(folder).mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise OSError(errno.EACCES, "it takes no files", folder)
        Path(paths.run).chmod(0o700)
        if not bootlock.turn(paths, argv[1] if argv[:1] == ["--held"] and len(argv) == 2 else ""):
            return 0
        echo.into(Path(paths.logs, LOG))
        supervisord, config = control / "bin" / "supervisord", etc / "supervisord.conf"
        bootlock.clear(supervisord, config)
        if paths.home == Paths().home and (said := relocation.relocate(paths, os.environ)):
            print(f"Firstlight: {said}", flush=True)
        token = access.ensure(paths, os.environ)
        tls.ensure(paths, os.environ)
    except OSError as error:
        who = f"user {os.geteuid()}"
        return _refuse(
            f"{error.filename or paths.run} cannot be written by {who} ({error.strerror})",
            f"run the container as its own user, or give {who} the folders {paths.logs} and {paths.run}, as a tmpfs"
            " where the container is read-only",
        )
    _workspace(paths.workspace)
    os.environ |= _environment(paths, os.environ)
    _show(paths)
    if not supervisord.exists():
        return _refuse(f"{supervisord} is not there", "build the image again")
    command = ["setpriv", "--pdeathsig", "KILL", "--", str(control / "bin" / "python"), "-I", str(supervisord)]
    command += ["-n", "-c", str(config), *(["-u", "root"] if os.geteuid() == 0 else [])]
    return keep(command, Path(paths.run, "supervisor.sock"), token, lambda: offer.beside(paths))


def keep(command: list[str], sock: Path, token: str, then: Callable[[], None] = lambda: None) -> int:
    """Run supervisord until it ends by itself or was asked to; after a kill it starts again. Gives its exit code.
    `then` is what remains to be done beside it, once."""
    child, asked, said = 0, False, False

    def forward(number: int, frame: object) -> None:
        nonlocal asked
        asked = asked or number != signal.SIGHUP
        if child:
            with suppress(ProcessLookupError):
                os.kill(child, number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, forward)
    while True:
        sock.unlink(missing_ok=True)
        child = os.posix_spawnp(command[0], command, os.environ)
        if asked:
            # The signal came while there was nobody to pass it on to.
            os.kill(child, signal.SIGTERM)
        if not said:
            # Meanwhile supervisord loads.
            _say_where(token)
        _wake(sock, child)
        if not said:
            then()
            said = True
        code = _wait(child)
        child = 0
        if asked or code >= 0:
            return code if code >= 0 else 128 - code
        print(f"firstlight boot: supervisord was killed (signal {-code}); it starts again", file=sys.stderr, flush=True)
        time.sleep(PAUSE)
        if asked:
            return 0


def _wait(child: int) -> int:
    """Exit code of `child`, negative for a signal. Orphans that end meanwhile are reaped."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            return os.waitstatus_to_exitcode(status)


def unfilled(environ: Mapping[str, str]) -> list[str]:
    """Variables in which RunPod's reference to a secret still stands: anybody could guess such a password."""
    return [name for name, value in environ.items() if "{" in value and access.PLACEHOLDER.fullmatch(value.strip())]


def _environment(paths: Paths, environ: Mapping[str, str]) -> dict[str, str]:
    """What all programs here need; whatever the image's author or the platform has set, they are found."""
    given = environ.get("PATH", "").split(os.pathsep)
    return {
        "HOME": _home(environ.get("HOME", ""), paths.workspace),
        "PATH": os.pathsep.join([f"{paths.home}/bin", *filter(None, given), *(p for p in PROGRAMS if p not in given)]),
        "JUPYTER_PATH": os.pathsep.join(filter(None, [f"{paths.disk}/share/jupyter", environ.get("JUPYTER_PATH")])),
        "JUPYTER_CONFIG_PATH": str(Path(paths.home, "etc", "jupyter")),
        "JUPYTER_CONFIG_DIR": str(paths.state / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(Path(paths.run, "jupyter")),
        "FIRSTLIGHT_SSH": str(ssh.wanted(environ)).lower(),
        "FIRSTLIGHT_RUN": paths.run,
        "FIRSTLIGHT_STATE": str(paths.state),
    }


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


def _show(paths: Paths) -> None:
    """Leave the environment for sessions that do not have it."""
    try:
        session.write(paths, os.environ)
    except OSError as error:
        _refuse(
            f"shells of other programs will not see the container's environment ({error.strerror})",
            f"make room below {paths.run}",
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


def _say_where(token: str) -> None:
    """Print what a user can open."""
    from init.plan import PlanError

    try:
        plan = address.plan()
    except PlanError as error:
        print(f"Firstlight: JupyterLab opens, and nothing else can be set up: {error}", file=sys.stderr, flush=True)
        return
    if plan.local:
        return
    print("Firstlight: JupyterLab opens first, everything else follows while you work.", flush=True)
    for title, link in access.addresses(plan, token, os.environ):
        print(f"  {title:<12} {link}", flush=True)


def _wake(sock: Path, child: int) -> None:
    """Poke supervisord as soon as its socket is there: before its first poll returns it starts nothing."""
    deadline = time.monotonic() + POKE_WITHIN
    ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while time.monotonic() < deadline and not os.waitid(os.P_PID, child, ended) and not poke(sock):
        time.sleep(0.005)
