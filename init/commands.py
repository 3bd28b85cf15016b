"""The verbs of `firstlight` that a person types, and their arguments."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from init import address, boot, control
from init.complaint import Complaint
from init.paths import Paths, rescue
from init.plan import PlanError, load
from init.selection import closest


def main(words: Sequence[str]) -> int:
    """0 fine, 1 a problem, 2 usage. Raises Complaint."""
    options = parser().parse_args(words)
    verb: Callable[[argparse.Namespace], int] = options.verb
    try:
        return verb(options)
    except control.NotRunning:
        raise Complaint(f"the runner is not running\n  {_start(_paths())}") from None


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
    sub = verb("start", start, "with SETUP=guided: begin what waits for you, with what it needs")
    sub.add_argument("stages", nargs="*", metavar="STAGE", help="ids of stages, or service:ID; without any, everything")
    sub = verb("models", models, "list, add or drop model sets, or verify their files")
    sub.add_argument("do", nargs="?", choices=["list", "add", "drop", "pause", "resume", "verify"], default="list")
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
    for name, text in (
        ("token", "the token that opens JupyterLab and the portal; --url: the full addresses"),
        ("health", "whether JupyterLab and the portal answer"),
        ("boot", "first program of the container"),
        ("run", "set everything up and keep watch (supervisor runs this)"),
        ("serve", "become a service's program (supervisor runs this)"),
        ("desktop", "become a part of the desktop (supervisor runs this)"),
    ):
        verbs.add_parser(name, help=text, description=text)
    return top


def status(options: argparse.Namespace) -> int:
    from init import views

    return views.status(_paths(), follow=options.follow, as_json=options.json)


def retry(options: argparse.Namespace) -> int:
    print(control.ask(Path(_paths().run), {"do": "retry", "stage": options.stage})["message"])
    return 0


def start(options: argparse.Namespace) -> int:
    print(control.ask(Path(_paths().run), {"do": "start", "stages": options.stages})["message"])
    return 0


def models(options: argparse.Namespace) -> int:
    from init import library

    return library.main(address.plan(), options.do, options.sets, options.delete)


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

    plan = address.plan()
    if options.stage not in {stage.id for stage in plan.stages}:
        raise Complaint(f"no stage {options.stage!r}{closest(options.stage, [stage.id for stage in plan.stages])}")
    part = None
    if options.part is not None:
        first, _, last = options.part.partition("/")
        if not (first.isdigit() and last.isdigit() and 1 <= int(first) <= int(last)):
            print(f"firstlight bake: --part {options.part} is not I/N, such as 1/3", file=sys.stderr)
            return 2
        part = int(first), int(last)
    return baked.main(plan, options.stage, part)


def _paths() -> Paths:
    """Roots, even of a plan that cannot be read: the state tells then why."""
    text = address.text()
    try:
        return load(text).paths
    except PlanError:
        return rescue(text)[1]


def _start(paths: Paths) -> str:
    """How to get a runner."""
    if not boot.poke(Path(paths.run, "supervisor.sock")):
        return "nothing of Firstlight runs here: start the container, or `./buildkit.py run NAME --local`"
    config = Path(paths.home, "etc", "supervisord.conf")
    return f"start it with: {paths.control / 'bin' / 'supervisorctl'} -c {config} start init"
