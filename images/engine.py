"""An image from a manifest, through `docker buildx build`."""

from __future__ import annotations

import dataclasses
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from images import buildx, content, daemon, dockerfile, doctor, layers, quoting
from manifests import load
from manifests.load import Loaded
from manifests.lock import Lock
from manifests.trouble import Trouble, told

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Built:
    tag: str
    """`NAME:` with 12 digits of its content's checksum, unless another tag was asked for."""
    digest: str
    """Digest of what the builder made: of the index where the image carries attestations."""


def tags(name: str, checksum: str, tag: str | None = None) -> list[str]:
    """The image's references on this machine: the tag that was asked for, the one that names its content, and `:dev`,
    which is whatever was built last."""
    own = checksum[: content.DIGITS]
    return list(dict.fromkeys([f"{name}:{tag or own}", f"{name}:{own}", f"{name}:dev"]))


def build_arguments(dockerfile: str) -> dict[str, str]:
    """What the Dockerfile asks for: the commit that this checkout is at, and a line feed, which it cannot write; and
    the commit's time for BuildKit, which dates with it what it makes."""
    git = ["git", "log", "-1", "--format=%H %cI %ct"]
    done = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False)
    known = {quoting.NEWLINE_ARG: "\n"}
    if done.returncode == 0:
        revision, created, epoch = done.stdout.split()
        known |= {"FIRSTLIGHT_REVISION": revision, "FIRSTLIGHT_CREATED": created, "SOURCE_DATE_EPOCH": epoch}
    asked = [*re.findall(r"^ARG (\w+)", dockerfile, re.MULTILINE), "SOURCE_DATE_EPOCH"]
    return {key: value for key, value in known.items() if key in asked}


def given(words: Sequence[str], dockerfile: str) -> dict[str, str]:
    """Build arguments as the user wrote them, `NAME=VALUE`. Raises Trouble for one that nothing asks for."""
    asked = [name for name in re.findall(r"^ARG (\w+)", dockerfile, re.MULTILINE) if not name.startswith("FIRSTLIGHT_")]
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in asked:
            what = f"{name} has no value" if not equals else f"this image's Dockerfile does not ask for {name}"
            known = (
                f"it asks for {', '.join(asked)}" if asked else "it asks for none; a `notebook` in its manifest would"
            )
            raise Trouble(f"--build-arg {word} is refused", what, f"write NAME=VALUE; {known}")
        if re.match(r"[a-z+]+://[^/]*@", value, re.IGNORECASE):
            hint = "take an address that needs none"
            raise Trouble(
                f"--build-arg {name} is refused", "its address holds a password: the image would hold it", hint
            )
        found[name] = value
    return found


def with_at(loaded: Loaded, at: str | None) -> Loaded:
    """The manifest with another default for when set-up runs; entries that say their own keep it."""
    if at is None:
        return loaded
    return dataclasses.replace(loaded, manifest=loaded.manifest.model_copy(update={"at": at}))


def free_disk(root: str) -> str:
    """A sentence about the disk below Docker's folder; empty when that is on another machine."""
    if not Path(root).is_dir():
        return ""
    free = shutil.disk_usage(root).free
    low = (
        " (low: a GPU image with everything baked in takes 40 GB and more while it is built)"
        if free < doctor.LOW_DISK
        else ""
    )
    return f"{free / 1e9:.0f} GB free for Docker at {root}{low}"


def build(
    loaded: Loaded,
    lock: Lock,
    *,
    at: str | None = None,
    base: str | None = None,
    push: str | None = None,
    tag: str | None = None,
    printing: bool = False,
    sbom: bool = True,
    compression: str = "zstd",
    build_args: Sequence[str] = (),
) -> Built:
    """Render the manifest and build it. Raises Trouble, and Refused for a program that the lock does not pin.

    `push` is the registry (`HOST/PATH`) whose caches are read, and where this image's own is written; the image itself
    is pushed by `images.push`.
    """
    from images import context
    from manifests.problems import Refused

    loaded = with_at(loaded, at)
    if problems := dockerfile.unpinned(loaded, lock):
        raise Refused(problems)
    name = loaded.manifest.name
    if printing:
        cache = buildx.cache(push, name) if push else None
        return _printed(loaded, lock, base=base, tag=tag, cache=cache, sbom=sbom, build_args=build_args)
    client = daemon.connect()
    builder = daemon.builder(client)
    can, limits = buildx.extras(builder, name, push, others=load.names(), sbom=sbom, compression=compression)
    disk = free_disk(client.info().get("DockerRootDir", ""))
    with tempfile.TemporaryDirectory(prefix="firstlight-context-") as scratch:
        files = context.make(loaded, Path(scratch), lock, base)
        arguments = build_arguments(files["Dockerfile"]) | given(build_args, files["Dockerfile"])
        checksum = content.checksum(Path(scratch), files, arguments)
        names = tags(name, checksum, tag)
        for line in [f"building {names[0]}", *([disk] if disk else []), *limits]:
            print(line, flush=True)
        labels = {content.LABEL: checksum}
        digest = buildx.build(
            Path(scratch), names, can, arguments=arguments, labels=labels, load=not builder.own, what=names[0]
        )
    size = client.images.get(names[0]).attrs["Size"]
    print(f"built {names[0]} (also {', '.join(names[1:])}): {size / 1e6:.0f} MB, {digest}", flush=True)
    for line in layers.large(client.images.get(names[0]).history(), loaded.manifest.python.envs):
        print(line, flush=True)
    return Built(names[0], digest)


def _printed(
    loaded: Loaded,
    lock: Lock,
    *,
    base: str | None,
    tag: str | None,
    cache: str | None,
    sbom: bool,
    build_args: Sequence[str],
) -> Built:
    """Put the context into build/NAME and print the command that builds it, for Docker's own builder with the
    containerd image store."""
    from images import context

    folder = ROOT / "build" / loaded.manifest.name
    files = context.make(loaded, folder, lock, base)
    arguments = build_arguments(files["Dockerfile"]) | given(build_args, files["Dockerfile"])
    checksum = content.checksum(folder, files, arguments)
    names = tags(loaded.manifest.name, checksum, tag)
    can = buildx.Extras(
        provenance=True, sbom=buildx.SBOM_GENERATOR if sbom else None, compression="zstd", cache_to=cache
    )
    metadata = folder.with_name(f"{folder.name}.metadata.json")
    labels = {content.LABEL: checksum}
    argv = buildx.command(folder, names, can, metadata=metadata, arguments=arguments, labels=labels)
    print(shlex.join(argv))
    return Built(names[0], "")


def run_build(
    loaded: Loaded,
    lock: Lock,
    *,
    at: str | None = None,
    base: str | None = None,
    push: bool = False,
    tag: str | None = None,
    registry: str | None = None,
    printing: bool = False,
    sbom: bool = True,
    build_args: Sequence[str] = (),
) -> int:
    """The verb `build`: exit code. `push` needs `registry`; the image is tested before, unless it passed already."""
    assert registry or not push

    def action() -> int:
        built = build(
            loaded,
            lock,
            at=at,
            base=base,
            push=registry,
            tag=tag,
            printing=printing,
            sbom=sbom,
            build_args=build_args,
        )
        if not push or printing:
            return 0
        from images import push as pushing
        from images import testing

        assert registry is not None
        if not testing.passed(loaded, built.tag) and (code := testing.run_test(loaded, image=built.tag)):
            return code
        pushing.push(loaded, built.tag, registry)
        return 0

    return told(action)
