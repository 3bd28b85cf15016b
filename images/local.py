"""`run NAME --local`: the image's own programs on this host, below one folder, without Docker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from images import descendants, ground, panel, variables
from images.ground import Ground, GroundError
from init import access, address, boot, health, tls
from init.plan import Plan, load
from manifests.trouble import told

if TYPE_CHECKING:
    from manifests.load import Loaded
    from manifests.lock import Lock

INTERRUPTED = 130
ANSWERS_WITHIN = 120.0
"""Seconds for JupyterLab's first answer."""
STOPS_WITHIN = 30.0
"""Seconds for supervisord to end everything in good order."""


class Stop(Exception):
    """The user wants it to end."""


def run_local(loaded: Loaded, lock: Lock, root: Path | str, *, env: Sequence[str] = ()) -> int:
    """Start everything below `root`, say where JupyterLab is, show how far things are, until Ctrl-C or SIGTERM.

    `env` are more variables, as `KEY=VALUE` or `KEY`. Returns 130 when it was stopped that way, 1 when it could not
    start or ended by itself. Either way nothing of it runs any more.
    """
    return told(lambda: _claimed(loaded, lock, root, {**os.environ, **variables.given(env, os.environ)}))


def _claimed(loaded: Loaded, lock: Lock, root: Path | str, environ: Mapping[str, str]) -> int:
    if missing := ground.missing_programs(environ, loaded.manifest):
        print(f"run --local: not installed here: {', '.join(missing)}", file=sys.stderr)
        for line in ground.install_commands(missing):
            print(f"  {line}", file=sys.stderr)
        return 1
    try:
        with _signals(), ground.claim(Path(root).expanduser().resolve()) as place:
            plan = prepare(place, loaded, lock, environ)
            return _run(place, plan, environ)
    except GroundError as error:
        print(f"run --local: {error}", file=sys.stderr)
        return 1
    except Stop:
        print("\nStopped; nothing of it runs any more. The same command goes on where it was.", flush=True)
        return INTERRUPTED


def prepare(place: Ground, loaded: Loaded, lock: Lock, environ: Mapping[str, str]) -> Plan:
    """Render into `root/home` and make the control environment there when it is missing or outdated."""
    from images import render, shipped

    home = place.root / "home"
    files = render.render(loaded, lock, place.layout)
    plan = load(files["plan.json"])
    for name, target in render.places(files).items():
        render.put(home / target, files[name], program=name in render.PROGRAMS)
    shipped.copy(loaded, shipped.paths(plan), plan.paths.files)
    shipped.workspace(loaded, home / "workspace")
    _link(home / "init", ground.REPO / "init")
    _control(home, loaded.manifest.jupyter.packages, environ)
    try:
        panel.install(home, environ)
    except panel.PanelError as error:
        print(f"run --local: {error}\n  JupyterLab opens without it", file=sys.stderr)
    return plan


def _link(path: Path, target: Path) -> None:
    if not path.is_symlink() or path.readlink() != target:
        path.unlink(missing_ok=True)
        path.symlink_to(target)


def _control(home: Path, more: list[str], environ: Mapping[str, str]) -> None:
    control, marker = home / "control", home / "control.sha256"
    wanted = ground.control_digest(control, more)
    if (control / "bin" / "supervisord").exists() and marker.exists() and marker.read_text().strip() == wanted:
        return
    marker.unlink(missing_ok=True)
    ground.install_control(control, environ, more)
    marker.write_text(wanted + "\n")


def _run(place: Ground, plan: Plan, environ: Mapping[str, str]) -> int:
    strangers = descendants.living()
    descendants.adopt()
    env = {name: value for name, value in environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")}
    env["FIRSTLIGHT_PLAN"] = str(Path(plan.paths.home, "plan.json"))
    firstlight = str(Path(plan.paths.home, "bin", "firstlight"))
    children: list[subprocess.Popen[bytes]] = []
    try:
        began = time.monotonic()
        # What this process starts ends with it, however it ends.
        command = ["setpriv", "--pdeathsig", "KILL", "--", firstlight]
        # Its own session: Ctrl-C reaches this process only, which then ends everything in good order.
        daemon = subprocess.Popen(
            [*command, "boot"], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        children.append(daemon)
        if not _wait_for_lab(plan, daemon, env):
            return 1
        links = access.addresses(plan, access.current(plan.paths), env)
        place.announce(links[0][1])
        print(f"JupyterLab is open after {time.monotonic() - began:.1f} s:\n\n  {links[0][1]}\n", flush=True)
        for title, link in links[1:]:
            print(f"  {title}: {link}")
        print(f"\n  Logs: {plan.paths.logs}\n  Ctrl-C stops everything.\n", flush=True)
        children.append(subprocess.Popen([*command, "status", "--follow"], env=env, stdin=subprocess.DEVNULL))
        status = daemon.wait()
        print(f"run --local: it ended (status {status}); see {plan.paths.logs}", file=sys.stderr)
        return 1
    finally:
        _end(children, strangers, Path(plan.paths.run, "supervisor.sock"))


def _wait_for_lab(plan: Plan, daemon: subprocess.Popen[bytes], env: Mapping[str, str]) -> bool:
    deadline = time.monotonic() + ANSWERS_WITHIN
    path = address.prefix(env) + "api"
    while health.answers(plan.jupyter.port, path, within=5.0, https=tls.on(plan.paths)) != 200:
        if daemon.poll() is not None:
            print(f"run --local: it ended at once (status {daemon.returncode})", file=sys.stderr)
            return False
        if time.monotonic() > deadline:
            log = Path(plan.paths.logs, "jupyterlab.log")
            print(f"run --local: JupyterLab does not answer after {ANSWERS_WITHIN:.0f} s; see {log}", file=sys.stderr)
            return False
        time.sleep(0.05)
    return True


def _end(children: list[subprocess.Popen[bytes]], strangers: list[int], supervisor: Path) -> None:
    """End everything; a second Ctrl-C does not leave anything behind either."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for child in children:
        if child.poll() is None:
            child.terminate()
    deadline = time.monotonic() + STOPS_WITHIN
    while any(child.poll() is None for child in children) and time.monotonic() < deadline:
        boot.poke(supervisor)
        time.sleep(0.05)
    if left := descendants.end(but=strangers):
        print(f"run --local: could not end the processes {left}", file=sys.stderr)


@contextmanager
def _signals() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise Stop

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before: dict[signal.Signals, Any] = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
