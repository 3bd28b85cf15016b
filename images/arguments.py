"""What `./buildkit.py` understands: its verbs, their options, and which of those do not go together.

Every verb waits for this module: it imports nothing that takes time.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence

CONTAINERS_ONLY = ("image", "volume", "gpus", "detach", "port_offset")
"""Options of `run` that mean nothing without a container."""


def parse(words: Sequence[str] | None, about: str, platforms: Sequence[str]) -> Namespace:
    """The options, `verb` among them. Ends the process where they are wrong (2), and after `--help` (0)."""
    parser = ArgumentParser(prog="buildkit.py", description=about)
    verbs = _verbs(parser, platforms)
    options = parser.parse_args(words)
    if wrong := _contradiction(options):
        verbs[options.verb].error(wrong)
    return options


def _contradiction(options: Namespace) -> str:
    """What would be ignored, or missing; empty when all is well."""
    if options.verb == "build" and options.push and not options.registry:
        return "--push needs to know where to: add --registry HOST/PATH"
    if options.verb == "run" and options.root and not options.local:
        return "--root goes with --local; a container's workspace is --volume DIR"
    if options.verb == "run" and options.local:
        given = {name: getattr(options, name) for name in CONTAINERS_ONLY}
        names = [name.replace("_", "-") for name, value in given.items() if value is not None and value is not False]
        if names:
            return f"with --local there is no container, and so no --{', --'.join(names)}"
    return ""


def _verbs(parser: ArgumentParser, platforms: Sequence[str]) -> dict[str, ArgumentParser]:
    commands = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, help: str, of: str | None = "NAME") -> ArgumentParser:
        command = commands.add_parser(name, help=help, description=help)
        if of:
            command.add_argument("name", metavar=of, help="a manifest's name, or the path of its YAML file")
        return command

    check = verb("check", "say everything that is wrong with manifests", of=None)
    check.add_argument("name", nargs="*", metavar="NAME", help="manifests; without any, all of them")
    show = verb("show", "print a manifest as it stands after merging with its parents")
    show.add_argument("--origin", action="store_true", help="with the file and line of every value")
    schema = verb("schema", "print the JSON Schema of manifests", of=None)
    schema.add_argument("--markdown", action="store_true", help="the reference page instead")
    lock = verb("lock", "write down what a manifest means today")
    either = lock.add_mutually_exclusive_group()
    either.add_argument("--check", action="store_true", help="only say whether the lock is up to date; offline")
    either.add_argument("--update", action="append", default=[], metavar="ITEM", help="resolve this item again")
    render = verb("render", "write the Dockerfile and all that goes into the image")
    render.add_argument("-o", "--output", metavar="DIR", help="folder; build/NAME by default")
    render.add_argument("--base", metavar="IMAGE", help="base image instead of the manifest's")
    render.add_argument("--diff", action="store_true", help="only show what would change there; exit 1 if anything")
    _plan(plan := verb("plan", "foretell what a start will take, before a machine is rented"))
    _build(verb("build", "build the image with BuildKit"))
    test = verb("test", "run an image's tests, and those of its parents, in a container")
    test.add_argument("--image", metavar="REF", help="image instead of the one built last")
    push = verb("push", "push a tested image")
    push.add_argument("--registry", metavar="HOST/PATH", required=True, help="where to")
    push.add_argument("--tag", metavar="TAG", help="tag instead of that of what was built last")
    _run(verb("run", "start an image and print its address"))
    deploy = verb("deploy", "make or update an image's template at a platform")
    deploy.add_argument("--to", required=True, choices=platforms, help="the platform")
    deploy.add_argument("--image", metavar="REF", help="image instead of the one pushed last from here")
    what = deploy.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="only say what would change (the default)")
    what.add_argument("--apply", action="store_true", help="change it")
    doctor = verb("doctor", "say what this machine lacks, and how to get it", of=None)
    for command in (check, show, lock, plan, deploy, doctor):
        command.add_argument("--json", action="store_true", help="machine-readable")
    return dict(commands.choices)


def _plan(plan: ArgumentParser) -> None:
    plan.add_argument("--net", type=_rate, default="1Gbps", metavar="RATE", help="the machine's link; 1Gbps by default")
    plan.add_argument("--cores", type=_count, default=16, metavar="N", help="its cores; 16 by default")
    plan.add_argument(
        "--env", action="append", default=[], metavar="KEY=VALUE", help="variable that chooses model sets"
    )


def _rate(text: str) -> float:
    """Bytes per second."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([kMG]?)(bps|bit/s|B/s)", text.strip())
    if found is None or float(found[1]) == 0:
        raise ArgumentTypeError(f"{text!r} is no rate: write it as 1Gbps, 500Mbps or 120MB/s")
    return float(found[1]) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[found[2]] / (1 if found[3] == "B/s" else 8)


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise ArgumentTypeError(f"{text!r} is no number of cores: write it as 16")
    return int(text)


def _build(build: ArgumentParser) -> None:
    build.add_argument("--at", choices=["start", "build"], help="when set-up runs, instead of the manifest's `at`")
    build.add_argument("--base", metavar="IMAGE", help="base image instead of the manifest's")
    build.add_argument("--tag", metavar="TAG", help="another tag, beside the one that names the content")
    build.add_argument("--registry", metavar="HOST/PATH", help="whose caches to use, and where --push goes")
    asked = "build argument that the Dockerfile asks for"
    build.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE", help=asked)
    build.add_argument("--no-sbom", action="store_true", help="without the list of the image's packages")
    either = build.add_mutually_exclusive_group()
    pushing = "push after the build, and after the tests that it has not passed yet"
    either.add_argument("--push", action="store_true", help=pushing)
    printing = "only print the command, and put its context into build/"
    either.add_argument("--print", action="store_true", help=printing)


def _run(run: ArgumentParser) -> None:
    run.add_argument("--local", action="store_true", help="on this host, without Docker")
    run.add_argument("--root", metavar="DIR", help="with --local: folder that everything goes below")
    run.add_argument("--image", metavar="REF", help="image instead of the one built last")
    run.add_argument("--volume", metavar="DIR|NAME", help="what to mount as the workspace")
    run.add_argument("--env", action="append", default=[], metavar="KEY=VALUE", help="environment variable")
    run.add_argument("--gpus", action="store_true", help="with all GPUs")
    run.add_argument("--detach", action="store_true", help="leave it running")
    run.add_argument("--port-offset", type=int, metavar="N", help="ports here: the image's plus N")
