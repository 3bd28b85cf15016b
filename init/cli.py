"""The command `firstlight`."""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from init import control
from init.address import PLAN
from init.plan import Paths, Plan, PlanError, load
from init.selection import closest

HANDED_ON: Mapping[str, str] = {
    "boot": "init.boot",
    "serve": "init.serve",
    "health": "init.health",
    "token": "init.access",
}
"""Verbs with a module of their own, which reads its arguments itself."""


class Trouble(Exception):
    """What is wrong and what to do; ends the command with code 1."""


def main(argv: Sequence[str] | None = None) -> int:
    """0 fine, 1 a problem, 2 usage, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words and words[0] in HANDED_ON:
            handed: Callable[[Sequence[str]], int] = import_module(HANDED_ON[words[0]]).main
            return handed(words[1:])
        options = parser().parse_args(words)
        verb: Callable[[argparse.Namespace], int] = options.verb
        return verb(options)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 2
    except (Trouble, control.Refused) as error:
        print(f"firstlight: {error}", file=sys.stderr)
        return 1
    except control.NotRunning:
        print(f"firstlight: the runner is not running\n  {_start(_paths())}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader has seen enough (`| head`); Python must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="firstlight", description="What this machine is setting up, and how to steer it."
    )
    verbs = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def verb(name: str, does: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text)
        sub.set_defaults(verb=does)
        return sub

    sub = verb("status", status, "what is done, what is left, and when it will be ready")
    sub.add_argument("-f", "--follow", action="store_true", help="go on showing it, until everything has ended")
    sub.add_argument("--json", action="store_true", help="the state as JSON, for programs")
    sub = verb("retry", retry, "try a stage or service again")
    sub.add_argument("stage", metavar="STAGE", help="id of a stage, or service:ID")
    sub = verb("models", models, "list, add or drop model sets, or verify their files")
    sub.add_argument("do", nargs="?", choices=["list", "add", "drop", "verify"], default="list")
    sub.add_argument("sets", nargs="*", metavar="SET", help="names as `firstlight models` lists them")
    sub.add_argument("--delete", action="store_true", help="drop: remove the set's files, too")
    sub = verb("logs", logs, "show the log of a stage, a service, or jupyterlab, portal, init")
    sub.add_argument("name", nargs="?", metavar="NAME", help="without a name: which logs there are")
    sub.add_argument("-f", "--follow", action="store_true", help="go on showing what comes")
    sub.add_argument("-n", "--lines", type=int, default=200, help="how many lines of the end (200)")
    sub = verb("timeline", timeline, "what ran when, and what was waited for")
    sub.add_argument("--svg", metavar="FILE", type=Path, help="write it as a picture")
    sub.add_argument("--boot", metavar="ID", help="an earlier start: its id, or -1 for the one before the last")
    verb("blame", blame, "what took how long, the slowest first")
    sub = verb("bake", bake, "run one stage while the image is built")
    sub.add_argument("stage", metavar="STAGE")
    sub.add_argument("--part", metavar="I/N", help="the I-th of N parts")
    verb("run", run, "set everything up and keep watch (supervisor runs this)")
    for name, text in (
        ("token", "the token that opens JupyterLab and the portal; --url: the full addresses"),
        ("health", "whether JupyterLab and the portal answer"),
        ("boot", "first program of the container"),
        ("serve", "become a service's program (supervisor runs this)"),
    ):
        verbs.add_parser(name, help=text)
    return top


def run(options: argparse.Namespace) -> int:
    # JupyterLab starts at the same moment, and comes first.
    os.nice(5)
    text = _text()
    try:
        plan = load(text)
        paths = plan.paths
    except PlanError as error:
        from init.stranded import roots, strand

        with _alone(roots(text)):
            print(f"ERROR {error}", file=sys.stderr, flush=True)
            return strand(str(error), text, os.environ)
    with _alone(paths):
        from init.runner import Runner

        return Runner(plan, dict(os.environ)).run()


def status(options: argparse.Namespace) -> int:
    from init import views

    return views.status(_paths(), follow=options.follow, as_json=options.json)


def retry(options: argparse.Namespace) -> int:
    print(control.ask(Path(_paths().run), {"do": "retry", "stage": options.stage})["message"])
    return 0


def models(options: argparse.Namespace) -> int:
    from init import library

    return library.main(_plan(), options.do, options.sets, options.delete)


def logs(options: argparse.Namespace) -> int:
    from init import logs as shown

    return shown.main(_paths(), options.name, options.lines, options.follow)


def timeline(options: argparse.Namespace) -> int:
    from init import timeline as drawn

    return drawn.main(_paths().state, options.boot, options.svg)


def blame(options: argparse.Namespace) -> int:
    from init import timeline as drawn

    return drawn.blame(_paths().state)


def bake(options: argparse.Namespace) -> int:
    from init import bake as baked

    plan = _plan()
    if options.stage not in {stage.id for stage in plan.stages}:
        raise Trouble(f"no stage {options.stage!r}{closest(options.stage, [stage.id for stage in plan.stages])}")
    part = None
    if options.part is not None:
        first, _, last = options.part.partition("/")
        if not (first.isdigit() and last.isdigit() and 1 <= int(first) <= int(last)):
            print(f"firstlight bake: --part {options.part} is not I/N, such as 1/3", file=sys.stderr)
            return 2
        part = int(first), int(last)
    return baked.main(plan, options.stage, part)


def _text() -> str:
    path = Path(os.environ.get("FIRSTLIGHT_PLAN") or PLAN)
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise Trouble(
            f"{path}: {error.strerror}\n  this is not a Firstlight machine, or FIRSTLIGHT_PLAN does not name its plan"
        ) from None


def _plan() -> Plan:
    try:
        return load(_text())
    except PlanError as error:
        raise Trouble(str(error)) from None


def _paths() -> Paths:
    """Roots, even of a plan that cannot be read: the state tells then why."""
    text = _text()
    try:
        return load(text).paths
    except PlanError:
        from init.stranded import roots

        return roots(text)


def _start(paths: Paths) -> str:
    """How to get a runner."""
    if not Path(paths.run, "supervisor.sock").exists():
        return "nothing of Firstlight runs here: start the container, or `./buildkit.py run NAME --local`"
    config = Path(paths.home, "etc", "supervisord.conf")
    return f"start it with: {paths.control / 'bin' / 'supervisorctl'} -c {config} start init"


class _alone:
    """Holds `run/init.lock` as long as this runner lives: two would do everything twice."""

    def __init__(self, paths: Paths):
        self._path = Path(paths.run, "init.lock")

    def __enter__(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._handle, 32).decode(errors="replace").strip() or "?"
            raise Trouble(f"another runner (process {owner}) is at work here; see `firstlight status`") from None
        os.ftruncate(self._handle, 0)
        os.write(self._handle, f"{os.getpid()}\n".encode())

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            os.close(self._handle)


if __name__ == "__main__":
    sys.exit(main())
