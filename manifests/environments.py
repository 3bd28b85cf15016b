"""What a manifest may say of Python environments."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from manifests.section import At, Section
from manifests.values import (
    CondaChannel,
    CondaPackage,
    CondaRelease,
    HttpUrl,
    Id,
    Number,
    PackageName,
    RelativePath,
    Requirement,
    Text,
)

MOST_LAYERS = 20
"""Image layers that one environment may be spread over."""


class Conda(Section):
    """Packages from conda channels, beside those from Python indexes: micromamba then makes the environment."""

    channels: Annotated[list[CondaChannel], Field(min_length=1)]
    """Where to look, the first one first: `conda-forge`, `nvidia/label/cuda-12.4.1`, or an address."""
    packages: list[CondaPackage] = []
    """What to take from there (`cudnn`, `cuda-runtime=12.4.1`); Python itself goes without saying."""
    micromamba: CondaRelease = "2.8.1-0"
    """Release of the program that does it; its SHA-256 stands in the lock."""


class PythonEnv(Section):
    """A Python environment, made by uv, or with `conda` by micromamba."""

    packages: list[Requirement] = []
    """Requirements (PEP 508), installed in one resolution."""
    version: Text | None = None
    """Python version of this environment, instead of `python.version`; `system`: the base image's `python3`."""
    conda: Conda | None = None
    """Make it from conda channels, Python included; `packages` still come from Python indexes, by uv."""
    index: dict[Id, HttpUrl] = {}
    """Extra package indexes by name, searched before the default one."""
    index_strategy: Literal["first-index", "unsafe-best-match"] = "first-index"
    """uv's `--index-strategy`."""
    freeze: list[PackageName] = []
    """Packages that nothing installed later may move: constraints for uv and pip, and a check after each node."""
    forbid: list[PackageName] = []
    """Packages that must not be installed here (they would shadow another one)."""
    requirements_from: RelativePath | None = None
    """File of the workspace in which a user may put a requirements.txt of their own: what it names is installed as it
    says, what else is in `packages` stays. A file that cannot be installed is passed over, and that is said."""
    layers: Annotated[Number, Field(ge=1, le=MOST_LAYERS)] = 1
    """With `at: build`: over how many image layers of about the same size it is spread."""
    kernel: Text | None = None
    """Show this environment as a notebook kernel under this name; `ipykernel` is then installed."""
    at: At | None = None
    """When to make it, instead of the manifest's `at`."""
    consequence: Text | None = None
    """What the user misses when this fails."""

    @model_validator(mode="after")
    def _one_python(self) -> PythonEnv:
        if self.conda is not None and self.version == "system":
            raise ValueError(
                "`conda` brings a Python of its own, and `version` asks for the base image's\nkeep one of them"
            )
        return self


class Python(Section):
    """Python environments of the apps; JupyterLab and the runner have their own."""

    version: Text | None = None
    """Python version of every environment, such as `3.12`; without it the base image's `python3`."""
    envs: dict[Id, PythonEnv] = {}
    """Environments by name."""
