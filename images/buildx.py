"""One run of `docker buildx build`: its command line, its progress, and what its failure means."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from images import daemon, progress, remedies
from images.daemon import Builder
from manifests.trouble import Trouble

SBOM_GENERATOR = "docker/buildkit-syft-scanner:stable-1"
SECRETS = {"hf_token": "HF_TOKEN", "civitai_token": "CIVITAI_TOKEN"}
"""Build secrets that come from the environment: id and variable."""
SHOWN_LINES = 20


@dataclass(frozen=True)
class Extras:
    """What goes beyond a plain image, where the builder can."""

    provenance: bool = False
    sbom: str | None = None
    """The generator's image."""
    compression: str | None = None
    """Of layers that are made: `zstd`, `gzip`, `uncompressed`; None: what the builder does by itself."""
    cache_from: tuple[str, ...] = ()
    cache_to: str | None = None
    rewrites: bool = False
    """Files that are newer than SOURCE_DATE_EPOCH get its date: what is made twice is the same layer."""


def command(
    folder: Path,
    names: list[str],
    extras: Extras,
    *,
    metadata: Path,
    arguments: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    load: bool = False,
) -> list[str]:
    """The command line of the build; `arguments` are those of the Dockerfile, `labels` come on top of its own."""
    argv = ["docker", "buildx", "build", "--progress=rawjson", f"--metadata-file={metadata}"]
    argv += [f"--build-arg={key}={value}" for key, value in (arguments or {}).items()]
    argv += [f"--label={key}={value}" for key, value in (labels or {}).items()]
    bundle = daemon.ca_bundle()
    if bundle:
        argv.append(f"--secret=id=ca,src={bundle}")
    argv += [f"--secret=id={key},env={variable}" for key, variable in SECRETS.items() if os.environ.get(variable)]
    argv.append(f"--provenance={'mode=max' if extras.provenance else 'false'}")
    if extras.sbom:
        argv.append(f"--attest=type=sbom,generator={extras.sbom}")
    argv += [f"--cache-from=type=registry,ref={place}" for place in extras.cache_from]
    if extras.cache_to:
        compression = f",compression={extras.compression}" if extras.compression else ""
        argv.append(
            f"--cache-to=type=registry,ref={extras.cache_to},mode=max,oci-mediatypes=true,image-manifest=true{compression}"
        )
    if extras.compression:
        form = f"compression={extras.compression},oci-mediatypes=true"
        argv.append(f'--output=type=image,"name={",".join(names)}",{form}')
    elif extras.rewrites and load:
        argv.append(f'--output=type=docker,"name={",".join(names)}",rewrite-timestamp=true')
    else:
        argv += [f"--tag={name}" for name in names]
        argv += ["--load"] if load else []
    return [*argv, str(folder)]


def cache(registry: str, name: str) -> str:
    """Where a registry keeps the cache of an image."""
    return f"{registry}/{name}:cache"


def extras(
    builder: Builder,
    name: str,
    registry: str | None,
    *,
    others: Iterable[str] = (),
    sbom: bool = True,
    compression: str = "zstd",
) -> tuple[Extras, list[str]]:
    """What this builder can add, and a sentence for each thing that it cannot.

    `others` are the images whose caches are read besides its own: what they have in common is built once.
    """
    words = builder.limits
    generator = None
    if builder.keeps_oci and sbom:
        generator = os.environ.get("FIRSTLIGHT_SBOM_GENERATOR", SBOM_GENERATOR)
        if not daemon.image_reachable(generator):
            words.append(
                f"no SBOM: its generator {generator} is out of reach (FIRSTLIGHT_SBOM_GENERATOR names another)"
            )
            generator = None
    places = [cache(registry, image) for image in dict.fromkeys([name, *others])] if registry else []
    with ThreadPoolExecutor() as pool:
        there = pool.map(daemon.image_reachable, places)
    return (
        Extras(
            provenance=builder.keeps_oci,
            sbom=generator,
            compression=compression if builder.keeps_oci else None,
            cache_from=tuple(place for place, found in zip(places, there, strict=True) if found),
            cache_to=places[0] if places and builder.caches_to_registry else None,
            rewrites=builder.rewrites,
        ),
        words,
    )


def build(
    folder: Path,
    names: list[str],
    extras: Extras,
    *,
    arguments: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    load: bool = False,
    what: str = "the image",
) -> str:
    """Build the context in `folder`; the digest. Raises Trouble: the step that failed, its last lines, a remedy."""
    with tempfile.TemporaryDirectory(prefix="firstlight-build-") as scratch:
        metadata = Path(scratch, "metadata.json")
        argv = command(folder, names, extras, metadata=metadata, arguments=arguments, labels=labels, load=load)
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
