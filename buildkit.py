#!/usr/bin/env python3
"""Firstlight: a manifest becomes an image that opens JupyterLab within seconds and sets the rest up behind it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace as Options
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
sys.path.insert(0, str(ROOT))

INTERRUPTED = 130
PLATFORMS = ["runpod", "vast"]
"""Where `deploy` can put an image."""


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


def plan(o: Options) -> int:
    from images import forecast
    from manifests import load, lock

    loaded = load.load(o.name)
    return forecast.run_plan(loaded, lock.read(loaded), o.net, o.cores, os.environ, env=o.env, json=o.json)


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
        build_args=o.build_arg,
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
        return local.run_local(loaded, lock.read(loaded), root, env=o.env)
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


VERBS: dict[str, Callable[[Options], int]] = {
    verb.__name__: verb for verb in (check, show, schema, lock, render, plan, build, test, push, run, deploy, doctor)
}


def main(argv: list[str] | None = None) -> int:
    from images import arguments
    from manifests.problems import Refused

    options = arguments.parse(argv, __doc__ or "", PLATFORMS)
    try:
        return VERBS[options.verb](options)
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
