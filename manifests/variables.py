"""Environment variables that a manifest must not set: secrets, Firstlight's own, and those that break what it sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from manifests.findings import Findings
from manifests.merge import Path
from manifests.model import Manifest

TOKENS = frozenset(
    {
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "CIVITAI_TOKEN",
        "JUPYTER_TOKEN",
        "JUPYTER_PASSWORD",
        "OPEN_BUTTON_TOKEN",
        "WEB_PASSWORD",
    }
)
"""Secrets of whoever runs the container."""
OWN = ("FIRSTLIGHT_", "SUPERVISOR_")
"""How variables begin that the runner and supervisor give to their programs, and take away from all others."""
ANYWHERE = {
    "PYTHONHOME": ("no Python but one would start with `PYTHONHOME`", "remove it; a service's Python is its `env`"),
    "VIRTUAL_ENV": ("`VIRTUAL_ENV` follows from `env`", "name an environment with `env` instead"),
}
"""What goes wrong, and the remedy, by the name of a variable."""
IN_IMAGE = {
    "PATH": (
        "`PATH` here would hide the base image's programs",
        "link a program into /usr/local/bin, or set `PATH` in the `environment` of what needs it",
    ),
    "PYTHONPATH": (
        "`PYTHONPATH` here would change every Python, the notebooks' too",
        "set it in the `environment` of the service that needs it",
    ),
    **{
        name: (
            f"`{name}` is set anew when the container starts",
            "remove it: JupyterLab's settings lie on the workspace",
        )
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_CONFIG_PATH", "JUPYTER_RUNTIME_DIR")
    },
}
IN_ENVIRONMENT = {
    "PATH": (
        "`PATH` here would hide the programs of its `env`",
        "link a program into /usr/local/bin, or write its whole path",
    ),
}


def check(manifest: Manifest, found: Findings) -> None:
    """Every variable that cannot mean anything good where it stands."""
    for path, variables, refused in _maps(manifest):
        for name in variables:
            if name in TOKENS:
                text, hint = f"`{name}` is a secret of whoever runs the container", "give it when the container starts"
                found.add((*path, name), text, f"{hint}; an image must not hold it", key=True)
            elif name.startswith(OWN):
                owner = "Firstlight" if name.startswith(OWN[0]) else "supervisor"
                found.add((*path, name), f"`{name}` is {owner}'s own variable", "choose another name", key=True)
            elif name in refused:
                found.add((*path, name), *refused[name], key=True)
    for platform, variables, hint in (
        ("runpod", manifest.deploy.runpod.env, "name a secret of RunPod's under `deploy.runpod.secrets`"),
        ("vast", manifest.deploy.vast.env, "put it into your account's environment variables at Vast.ai"),
    ):
        for name in TOKENS & set(variables):
            text = f"`{name}` is a secret, and a template shows it to whoever may see the template"
            found.add(("deploy", platform, "env", name), text, hint, key=True)
    select = manifest.models.select
    if select.env in select.aliases:
        path = ("models", "select", "aliases", select.env)
        found.add(path, f"`{select.env}` is `select.env` already", "remove it", key=True)


def _maps(manifest: Manifest) -> Iterator[tuple[Path, Mapping[str, str], Mapping[str, tuple[str, str]]]]:
    """Variables, where they stand, and which of them are refused there, with text and hint."""
    yield ("image", "env"), manifest.image.env, ANYWHERE | IN_IMAGE
    for name, kernel in manifest.kernels.items():
        yield ("kernels", name, "environment"), kernel.environment, ANYWHERE | IN_ENVIRONMENT
    for name, command in manifest.commands.items():
        # A command's own PATH comes behind its environment's programs.
        yield ("commands", name, "environment"), command.environment, ANYWHERE
    for name, service in manifest.services.items():
        refused = ANYWHERE | IN_ENVIRONMENT if service.env is not None else ANYWHERE
        yield ("services", name, "environment"), service.environment, refused
