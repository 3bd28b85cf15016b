"""What the Dockerfile's template is told."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from images import shipped
from init.plan import Plan, Stage
from init.specs import KernelSpec, PythonSpec
from manifests import clashes, desktop, expand

if TYPE_CHECKING:
    from manifests.load import Loaded
    from manifests.lock import Lock
    from manifests.model import Manifest
    from manifests.problems import Problem

PACKAGES = (
    "aria2",
    "ca-certificates",
    "caddy",
    "git",
    "iproute2",
    "procps",
    "python3",
    "python3-venv",
    "tini",
    "util-linux",
)
"""What Firstlight itself needs of the distribution; the same for every image, so that they share the layer."""
COMPILER = ("build-essential", "python3-dev")
"""What kernels need besides."""
SSH = ("openssh-server",)
PARTS = "bake/files/"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
"""Certificate authorities, on Debian and Ubuntu."""
TOKENS = {"hf_token": ("hf://", "https://huggingface.co/"), "civitai_token": ("civitai://", "https://civitai.com/")}
"""Build secrets, and the addresses that they open."""
NOTEBOOK = ("NOTEBOOK_REPO_URL", "NOTEBOOK_FILENAME")
"""Build arguments of an image with a notebook, and variables of its containers: where a newer one comes from."""
OCI = "org.opencontainers.image."
OWN_LABELS = frozenset(OCI + name for name in ("base.name", "created", "revision", "title", "version"))
"""Labels that say where an image comes from, besides those below `io.firstlight.`: no manifest sets them."""


@dataclass(frozen=True)
class Baked:
    """A stage that runs while the image is built."""

    id: str
    plan: str
    """File of the context with the part of the plan that it is run from."""
    files: str | None
    """Folder of the context with the shipped files that it needs."""
    parts: list[str]
    """`I/N` for each layer; one empty text when it is not divided."""
    secrets: list[str]


def refusals(loaded: Loaded) -> list[Problem]:
    """What a Dockerfile has no way to say."""
    from manifests.problems import Problem

    problems = []
    for name in loaded.manifest.image.labels:
        place = loaded.keys.get(("image", "labels", name))
        if "=" in name or "\n" in name:
            what = "an `=`" if "=" in name else "a line break"
            problems.append(
                Problem(place, f"the label's name holds {what}", "labels are called like `org.example.name`")
            )
        elif name in OWN_LABELS or name.startswith("io.firstlight."):
            hint = "`title` of the manifest sets it" if name == f"{OCI}title" else "give yours another name"
            problems.append(Problem(place, f"Firstlight itself sets the label `{name}`", hint))
    return problems


def unpinned(loaded: Loaded, lock: Lock) -> list[Problem]:
    """Programs that an image would have to run unseen: the lock does not know their SHA-256."""
    from manifests.problems import Problem

    hint = f"with a network, `{loaded.verb('lock')}` looks it up"
    problems = [
        Problem(
            loaded.keys.get(("python", "envs", name, "conda")),
            f"the lock does not know the SHA-256 of micromamba {env.conda.micromamba}, which makes `{name}`",
            hint,
        )
        for name, env in loaded.manifest.python.envs.items()
        if env.conda is not None and lock.file(expand.micromamba(env.conda)).sha256 is None
    ]
    url = desktop.package_url(loaded.manifest)
    if url is not None and lock.file(url).sha256 is None:
        text = f"the lock does not know the SHA-256 of KasmVNC's package ({url})"
        hint = f"run `{loaded.verb('lock')}` where GitHub can be reached; `provider: tigervnc` needs no such package"
        place = loaded.keys.get(("desktop", "provider")) or loaded.keys.get(("desktop",))
        problems.append(Problem(place, text, hint))
    return problems


def values(
    manifest: Manifest, lock: Lock, plan: Plan, base: str | None, running: list[str], programs: tuple[str, ...]
) -> dict[str, Any]:
    """The template's variables. `running` are names of the rendered files that the container reads, `programs` of those
    that it runs."""
    from images.planning import baked

    image = manifest.image
    digest = lock.digest(image.base)
    own = [
        *(COMPILER if manifest.kernels else ()),
        *(SSH if manifest.ssh else ()),
        *desktop.packages(manifest),
        *image.apt,
    ]
    labels = {
        f"{OCI}title": plan.title,
        f"{OCI}version": lock.revision[:12],
        "io.firstlight.manifest": manifest.name,
        "io.firstlight.checksum": lock.checksum,
        "io.firstlight.lock": lock.revision,
        **image.labels,
    }
    config = sorted({name.partition("/")[0] for name in running if name not in ("plan.json", *programs)})
    folders = {name.partition("/")[0] for name in running if "/" in name}
    paths = plan.paths
    display = {"DISPLAY": desktop.DISPLAY} if manifest.desktop is not None else {}
    # Of an ARG and an ENV of one name the ENV wins: where the manifest sets one, that is the argument's default.
    arguments, env = NOTEBOOK if manifest.notebook is not None else (), {"LANG": "C.UTF-8", **display, **image.env}
    return {
        "manifest": manifest,
        "plan": plan,
        "base": base or (f"{image.base}@{digest}" if digest else image.base),
        "slug": re.sub(r"[^a-z0-9]+", "-", image.base.lower()).strip("-"),
        "packages": PACKAGES,
        "own": sorted(set(own) - set(PACKAGES)),
        "jupyter_packages": manifest.jupyter.packages,
        "user": image.user,
        "folders": [
            paths.disk,
            f"{paths.disk}/cache",
            f"{paths.disk}/cache/uv",
            paths.workspace,
            paths.logs,
            paths.run,
        ],
        "novnc": desktop.WEB in {service.id for service in plan.services},
        "kasmvnc": _kasmvnc(manifest, lock),
        "env": sorted((name, value) for name, value in env.items() if name not in arguments),
        "labels": sorted(labels.items()),
        "newline": any("\n" in text for text in (*image.env.values(), *labels.values(), *labels)),
        "arguments": [(name, image.env.get(name, "")) for name in arguments],
        "baked": [_baked(stage) for stage in baked(plan)],
        "shipped": any(shipped.of(stage) for stage in plan.stages),
        "config": [name for name in config if name not in folders],
        "config_folders": [name for name in config if name in folders],
        "ports": sorted([*expand.ports(manifest), *([clashes.SSH_PORT] if manifest.ssh else [])]),
        "home": paths.home,
        "disk": paths.disk,
        "control": str(paths.control),
        "bundle": BUNDLE,
    }


def _kasmvnc(manifest: Manifest, lock: Lock) -> dict[str, str | None] | None:
    """KasmVNC's package, where the desktop is KasmVNC's; a `sha256` of None is one that the lock does not know."""
    url = desktop.package_url(manifest)
    if url is None:
        return None
    return {"url": url, "sha256": lock.file(url).sha256, "codename": desktop.codename(manifest)}


def slug(stage: Stage) -> str:
    """A file name: `:` stands in none of the manifest's own names, and `+` neither."""
    return stage.id.replace(":", "+")


def excerpt_name(stage: Stage) -> str:
    return f"bake/{slug(stage)}.json"


def files_folder(stage: Stage) -> str:
    return PARTS + slug(stage)


def _baked(stage: Stage) -> Baked:
    layers = stage.spec.layers if isinstance(stage.spec, PythonSpec) else 1
    return Baked(
        id=stage.id,
        plan=excerpt_name(stage),
        files=files_folder(stage) if shipped.of(stage) else None,
        parts=[f"{number}/{layers}" for number in range(1, layers + 1)] if layers > 1 else [""],
        secrets=_secrets(stage),
    )


def _secrets(stage: Stage) -> list[str]:
    """Only a prebuilt wheel may lie behind a token: models are never baked."""
    if not isinstance(stage.spec, KernelSpec):
        return []
    wheels = stage.spec.wheels
    return [name for name, starts in TOKENS.items() if any(wheel.url.startswith(starts) for wheel in wheels)]
