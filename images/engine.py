"""An image from a manifest, through `docker buildx build`."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from images import daemon, progress, remedies
from images.daemon import Builder
from images.trouble import Trouble, told
from manifests.load import Loaded
from manifests.lock import Lock

ROOT = Path(__file__).resolve().parent.parent
SBOM_GENERATOR = "docker/buildkit-syft-scanner:stable-1"
SECRETS = {"hf_token": "HF_TOKEN", "civitai_token": "CIVITAI_TOKEN"}
"""Build secrets that come from the environment: id and variable."""
LOW_DISK = 10_000_000_000
SHOWN_LINES = 20


@dataclass(frozen=True)
class Built:
    tag: str
    """`NAME:` with 12 digits of the lock's checksum, unless another tag was asked for."""
    digest: str
    """Digest of what the builder made: of the index where the image carries attestations."""


@dataclass(frozen=True)
class Extras:
    """What goes beyond a plain image, where the builder can."""

    provenance: bool = False
    sbom: str | None = None
    """The generator's image."""
    compression: str | None = None
    """Of layers that are made: `zstd`, `gzip`, `uncompressed`; None: what the builder does by itself."""
    cache_from: str | None = None
    cache_to: str | None = None


def tags(name: str, revision: str, tag: str | None = None) -> list[str]:
    """The image's references on this machine. The first names the content; `:dev` is whatever was built last."""
    return [f"{name}:{tag or revision[:12] or 'unlocked'}", f"{name}:dev"]


def command(
    folder: Path,
    names: list[str],
    extras: Extras,
    *,
    metadata: Path,
    arguments: Mapping[str, str] | None = None,
    load: bool = False,
) -> list[str]:
    """The command line of the build; `arguments` are those of the Dockerfile."""
    argv = ["docker", "buildx", "build", "--progress=rawjson", f"--metadata-file={metadata}"]
    argv += [f"--build-arg={key}={value}" for key, value in (arguments or {}).items()]
    bundle = daemon.ca_bundle()
    if bundle:
        argv.append(f"--secret=id=ca,src={bundle}")
    argv += [f"--secret=id={key},env={variable}" for key, variable in SECRETS.items() if os.environ.get(variable)]
    argv.append(f"--provenance={'mode=max' if extras.provenance else 'false'}")
    if extras.sbom:
        argv.append(f"--attest=type=sbom,generator={extras.sbom}")
    if extras.cache_from:
        argv.append(f"--cache-from=type=registry,ref={extras.cache_from}")
    if extras.cache_to:
        compression = f",compression={extras.compression}" if extras.compression else ""
        argv.append(
            f"--cache-to=type=registry,ref={extras.cache_to},mode=max,oci-mediatypes=true,image-manifest=true{compression}"
        )
    if extras.compression:
        form = f"compression={extras.compression},oci-mediatypes=true"
        argv.append(f'--output=type=image,"name={",".join(names)}",{form}')
    else:
        argv += [f"--tag={name}" for name in names]
        argv += ["--load"] if load else []
    return [*argv, str(folder)]


def extras(
    builder: Builder, name: str, registry: str | None, *, sbom: bool = True, compression: str = "zstd"
) -> tuple[Extras, list[str]]:
    """What this builder can add, and a sentence for each thing that it cannot."""
    words = builder.limits
    generator = None
    if builder.keeps_oci and sbom:
        generator = os.environ.get("FIRSTLIGHT_SBOM_GENERATOR", SBOM_GENERATOR)
        if not daemon.image_reachable(generator):
            words.append(
                f"no SBOM: its generator {generator} is out of reach (FIRSTLIGHT_SBOM_GENERATOR names another)"
            )
            generator = None
    cache = f"{registry}/{name}:cache" if registry else None
    return (
        Extras(
            provenance=builder.keeps_oci,
            sbom=generator,
            compression=compression if builder.keeps_oci else None,
            cache_from=cache if cache and daemon.image_reachable(cache) else None,
            cache_to=cache if builder.caches_to_registry else None,
        ),
        words,
    )


def build_arguments(dockerfile: str) -> dict[str, str]:
    """What the Dockerfile asks for: the commit that this checkout is at, and a line feed, which it cannot write."""
    git = ["git", "log", "-1", "--format=%H %cI"]
    done = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False)
    known = {"NEWLINE": "\n"}
    if done.returncode == 0:
        known["REVISION"], known["CREATED"] = done.stdout.split()
    asked = re.findall(r"^ARG (\w+)", dockerfile, re.MULTILINE)
    return {key: value for key, value in known.items() if key in asked}


def with_at(loaded: Loaded, at: str | None) -> Loaded:
    """The manifest with another default for when set-up runs; entries that say their own keep it."""
    if at is None:
        return loaded
    return dataclasses.replace(loaded, manifest=loaded.manifest.model_copy(update={"at": at}))


def build_folder(
    folder: Path,
    names: list[str],
    extras: Extras,
    *,
    arguments: Mapping[str, str] | None = None,
    load: bool = False,
    what: str = "the image",
) -> str:
    """Build the context in `folder`; the digest. Raises Trouble: the step that failed, its last lines, a remedy."""
    with tempfile.TemporaryDirectory(prefix="firstlight-build-") as scratch:
        metadata = Path(scratch, "metadata.json")
        argv = command(folder, names, extras, metadata=metadata, arguments=arguments, load=load)
        environ = os.environ | {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1", "BUILDX_GIT_INFO": "false"}
        with progress.view(sys.stdout) as shown:
            code = _follow(argv, environ, shown)
        if code:
            raise failure(shown.steps, what)
        data: dict[str, Any] = json.loads(metadata.read_text(encoding="utf-8"))
        return str(data.get("containerimage.digest") or data.get("containerimage.config.digest", ""))


def _follow(argv: list[str], environ: dict[str, str], shown: progress.Lines | progress.Screen) -> int:
    """Run the builder and hand its events to the view; its exit status. Stopping us stops the build."""
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environ,
    ) as process:
        assert process.stderr is not None
        try:
            for event in progress.events(process.stderr):
                shown.steps.take(event)
            return process.wait()
        except BaseException:
            process.terminate()
            raise


def failure(steps: progress.Steps, what: str) -> Trouble:
    """What the user reads when BuildKit failed."""
    said = [line for line in steps.text if line.strip()]
    last = next((line.removeprefix("ERROR: ") for line in reversed(said) if line.startswith("ERROR: ")), "")
    step = steps.failed
    if step is None:
        whole = "\n".join(said)
        return Trouble(f"{what} was not built", last or whole, remedies.remedy(whole))
    lines = list(step.lines)
    reason = [f"in step {step.name}", *(f"| {line}" for line in lines[-SHOWN_LINES:]), step.error or last]
    return Trouble(
        f"{what} was not built", "\n".join(reason), remedies.remedy("\n".join([*lines, step.error, last, *said]))
    )


def free_disk(root: str) -> str:
    """A sentence about the disk below Docker's folder; empty when that is on another machine."""
    if not Path(root).is_dir():
        return ""
    free = shutil.disk_usage(root).free
    low = (
        " (low: a GPU image with everything baked in takes 40 GB and more while it is built)" if free < LOW_DISK else ""
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
) -> Built:
    """Render the manifest and build it. Raises Trouble.

    `push` is the registry (`HOST/PATH`) whose cache is read and written; the image itself is pushed by `images.push`.
    """
    from images import render

    loaded = with_at(loaded, at)
    name = loaded.manifest.name
    names = tags(name, lock.revision, tag)
    if printing:
        return _printed(loaded, lock, names, base=base, cache=f"{push}/{name}:cache" if push else None, sbom=sbom)
    client = daemon.connect()
    builder = daemon.builder(client)
    can, limits = extras(builder, name, push, sbom=sbom, compression=compression)
    disk = free_disk(client.info().get("DockerRootDir", ""))
    for line in [f"building {names[0]}", *([disk] if disk else []), *limits]:
        print(line, flush=True)
    with tempfile.TemporaryDirectory(prefix="firstlight-context-") as scratch:
        files = render.context(loaded, Path(scratch), lock, base)
        arguments = build_arguments(files["Dockerfile"])
        digest = build_folder(Path(scratch), names, can, arguments=arguments, load=not builder.own, what=names[0])
    size = client.images.get(names[0]).attrs["Size"]
    print(f"built {names[0]} (also {names[1]}): {size / 1e6:.0f} MB, {digest}", flush=True)
    return Built(names[0], digest)


def _printed(loaded: Loaded, lock: Lock, names: list[str], *, base: str | None, cache: str | None, sbom: bool) -> Built:
    """Put the context into build/NAME and print the command that builds it, for a builder that can do everything."""
    from images import render

    folder = ROOT / "build" / loaded.manifest.name
    files = render.context(loaded, folder, lock, base)
    can = Extras(provenance=True, sbom=SBOM_GENERATOR if sbom else None, compression="zstd", cache_to=cache)
    metadata = folder.with_name(f"{folder.name}.metadata.json")
    argv = command(folder, names, can, metadata=metadata, arguments=build_arguments(files["Dockerfile"]))
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
) -> int:
    """The verb `build`: exit code. With `push` the image is tested before it is pushed, unless it passed already."""

    def action() -> int:
        if push and not registry:
            raise Trouble("--push needs to know where to", "", "add --registry HOST/PATH")
        built = build(loaded, lock, at=at, base=base, push=registry, tag=tag, printing=printing, sbom=sbom)
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
