#!/usr/bin/env python3
"""Firstlight: a manifest becomes an image that opens JupyterLab within seconds and sets the rest up behind it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from argparse import Namespace as Options
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
sys.path.insert(0, str(ROOT))

INTERRUPTED = 130


def check(o: Options) -> int:
    from manifests import show

    return show.run_check(o.name or None, json=o.json)


def show(o: Options) -> int:
    from manifests import load, show

    return show.run_show(load.load(o.name), origin=o.origin, json=o.json)


def schema(o: Options) -> int:
    from manifests import reference

    print(reference.reference_page() if o.markdown else reference.schema_text(), end="")
    return 0


def lock(o: Options) -> int:
    from manifests import load, locking

    return locking.run_lock(load.load(o.name), check=o.check, update=o.update, json=o.json)


def render(o: Options) -> int:
    from images import render
    from manifests import load, lock

    loaded = load.load(o.name)
    return render.run_render(loaded, lock.read(loaded), base=o.base, output=o.output, compare=o.diff)


def build(o: Options) -> int:
    from images import engine
    from manifests import load, lock

    loaded = load.load(o.name)
    return engine.run_build(
        loaded,
        lock.read(loaded),
        at=o.at,
        base=o.base,
        push=o.push,
        tag=o.tag,
        registry=o.registry,
        printing=o.print,
        sbom=not o.no_sbom,
    )


def test(o: Options) -> int:
    from images import testing
    from manifests import load

    return testing.run_test(load.load(o.name), image=o.image)


def push(o: Options) -> int:
    from images import push
    from manifests import load

    return push.run_push(load.load(o.name), registry=o.registry, tag=o.tag)


def run(o: Options) -> int:
    from manifests import load, lock

    loaded = load.load(o.name)
    if o.local:
        from images import local

        root = Path(o.root or f".firstlight/{loaded.manifest.name}")
        return local.run_local(loaded, lock.read(loaded), root, os.environ)
    from images import running

    return running.run_image(
        loaded, image=o.image, volume=o.volume, env=o.env, gpus=o.gpus, detach=o.detach, port_offset=o.port_offset
    )


def doctor(o: Options) -> int:
    from images import doctor

    return doctor.run_doctor(json=o.json)


def deploy(o: Options) -> int:
    from images import records
    from manifests import load, lock
    from targets import deploying

    loaded = load.load(o.name)
    image = o.image or records.pushed(loaded.manifest.name)
    return deploying.run_deploy(loaded, lock.read(loaded), o.to, image, apply=o.apply, json=o.json)


def _parser() -> ArgumentParser:
    import argparse

    parser = argparse.ArgumentParser(prog="buildkit.py", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(run: Callable[[Options], int], help: str, name: str | None = "NAME") -> ArgumentParser:
        command = verbs.add_parser(run.__name__, help=help, description=help)
        command.set_defaults(run=run)
        if name:
            command.add_argument("name", metavar=name, help="a manifest's name, or the path of its YAML file")
        return command

    command = verb(check, "say everything that is wrong with manifests", name=None)
    command.add_argument("name", nargs="*", metavar="NAME", help="manifests; without any, all of them")
    command.add_argument("--json", action="store_true", help="machine-readable")
    command = verb(show, "print a manifest as it stands after merging with its parents")
    command.add_argument("--origin", action="store_true", help="with the file and line of every value")
    command.add_argument("--json", action="store_true", help="machine-readable")
    command = verb(schema, "print the JSON Schema of manifests", name=None)
    command.add_argument("--markdown", action="store_true", help="the reference page instead")
    command = verb(lock, "write down what a manifest means today")
    either = command.add_mutually_exclusive_group()
    either.add_argument("--check", action="store_true", help="only say whether the lock is up to date; offline")
    either.add_argument("--update", action="append", default=[], metavar="ITEM", help="resolve this item again")
    command.add_argument("--json", action="store_true", help="machine-readable")
    command = verb(render, "write the Dockerfile and all that goes into the image")
    command.add_argument("-o", "--output", metavar="DIR", help="folder; build/NAME by default")
    command.add_argument("--base", metavar="IMAGE", help="base image instead of the manifest's")
    command.add_argument("--diff", action="store_true", help="only show what would change there; exit 1 if anything")
    command = verb(build, "build the image with BuildKit")
    command.add_argument("--at", choices=["start", "build"], help="when set-up runs, instead of the manifest's `at`")
    command.add_argument("--base", metavar="IMAGE", help="base image instead of the manifest's")
    command.add_argument("--tag", metavar="TAG", help="another tag, beside the one that names the content")
    command.add_argument("--registry", metavar="HOST/PATH", help="whose caches to use, and where --push goes")
    command.add_argument(
        "--push", action="store_true", help="push after the build, and after the tests that it has not passed yet"
    )
    command.add_argument("--no-sbom", action="store_true", help="without the list of the image's packages")
    command.add_argument("--print", action="store_true", help="only print the command, and put its context into build/")
    command = verb(test, "run an image's tests, and those of its parents, in a container")
    command.add_argument("--image", metavar="REF", help="image instead of the one built last")
    command = verb(push, "push a tested image")
    command.add_argument("--registry", metavar="HOST/PATH", required=True, help="where to")
    command.add_argument("--tag", metavar="TAG", help="tag instead of that of what was built last")
    command = verb(run, "start an image and print its address")
    command.add_argument("--local", action="store_true", help="on this host, without Docker")
    command.add_argument("--root", metavar="DIR", help="with --local: folder that everything goes below")
    command.add_argument("--image", metavar="REF", help="image instead of the one built last")
    command.add_argument("--volume", metavar="DIR|NAME", help="what to mount as the workspace")
    command.add_argument("--env", action="append", default=[], metavar="KEY=VALUE", help="environment variable")
    command.add_argument("--gpus", action="store_true", help="with all GPUs")
    command.add_argument("--detach", action="store_true", help="leave it running")
    command.add_argument("--port-offset", type=int, metavar="N", help="ports here: the image's plus N")
    command = verb(deploy, "make or update an image's template at a platform")
    command.add_argument("--to", required=True, choices=["runpod"], help="the platform")
    command.add_argument("--image", metavar="REF", help="image instead of the one pushed last from here")
    what = command.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="only say what would change (the default)")
    what.add_argument("--apply", action="store_true", help="change it")
    command.add_argument("--json", action="store_true", help="machine-readable")
    command = verb(doctor, "say what this machine lacks, and how to get it", name=None)
    command.add_argument("--json", action="store_true", help="machine-readable")
    return parser


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    from manifests.problems import Refused

    try:
        code: int = options.run(options)
        return code
    except Refused as refused:
        from manifests import show

        return show.told(refused.problems, json=getattr(options, "json", False))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        print("  hint: make it accessible, or give another place", file=sys.stderr)
        return 1


if __name__ == "__main__":
    if Path(sys.prefix) != VENV and (VENV / "bin" / "python").exists():
        os.execv(VENV / "bin" / "python", [str(VENV / "bin" / "python"), str(ROOT / "buildkit.py"), *sys.argv[1:]])
    try:
        sys.exit(main())
    except ModuleNotFoundError as missing:
        sys.exit(f"buildkit.py: {missing}\nhint: `make setup` installs what it needs")
