"""What a manifest may say of source code: apps, their custom nodes, extensions compiled from it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from manifests.section import At, Section, Words
from manifests.values import (
    Duration,
    EnvName,
    Flag,
    GitUrl,
    Id,
    ModelUrl,
    RelativePath,
    Requirement,
    Sha256,
    Size,
    Text,
)


class Origin(Section):
    """Where source code comes from: `git` with `ref`, or `path`."""

    git: GitUrl | None = None
    """Git repository, over http(s)."""
    ref: Text | None = None
    """Branch, tag or commit; the lock keeps the commit."""
    path: RelativePath | None = None
    """Folder beside the manifest, copied into the image instead of cloning."""
    submodules: Flag = False
    """Fetch submodules too."""

    @model_validator(mode="after")
    def _one_origin(self) -> Origin:
        if (self.git is None) == (self.path is None):
            raise ValueError("needs either `git` or `path`\nname a repository, or a folder beside the manifest")
        if self.git is not None and self.ref is None:
            raise ValueError("`git` needs a `ref`\nwrite a branch, a tag or a commit")
        return self


class Instead(Section):
    """A folder of the workspace in which a user may put code of their own."""

    folder: RelativePath
    """The folder, below the workspace."""
    holds: RelativePath
    """A file in it that shows that it is this app's code, such as `main.py`; without it the folder is passed over."""


class Source(Origin):
    """An app's source code, on the container's disk."""

    env: Id | None = None
    """Environment into which the source's requirements are installed."""
    requirements: list[RelativePath] = ["requirements.txt"]
    """Requirement files of the source; those that do not exist are passed over."""
    persist: list[RelativePath] = []
    """Folders of the source that live on the workspace, so that they outlive the container."""
    instead: Instead | None = None
    """Code of the user's that is used in place of this, when it is there: linked, and never changed by git."""
    uploads: list[RelativePath] = []
    """Folders of the source that are those of the same name at the workspace's top, where users put their files."""
    needs: list[Text] = []
    """What must be done before."""
    at: At | None = None
    """When to fetch it, instead of the manifest's `at`."""
    consequence: Text | None = None
    """What the user misses when this fails."""


class Node(Origin):
    """A custom node: a plug-in repository with its own requirements and install script."""

    name: Id | None = None
    """Folder name; without it the repository's."""
    packages: list[Requirement] = []
    """Requirements that the node forgot to list."""
    optional: Flag = False
    """The app starts without it when it cannot be installed."""
    consequence: Text | None = None
    """What the user misses when this fails."""


class Nodes(Section):
    """Custom nodes of one app."""

    into: RelativePath
    """Folder for them; its first part is a source's name."""
    env: Id
    """Environment into which their requirements go, under its `freeze`."""
    items: Annotated[list[Node], Field(alias="list")] = []
    """The nodes, installed in this order."""
    needs: list[Text] = []
    """What must be done before, besides the source and the environment."""
    at: At | None = None
    """When to install them, instead of the manifest's `at`."""


class Wheel(Section):
    """A prebuilt wheel."""

    url: ModelUrl
    """Where it is."""
    sha256: Sha256
    """What it must be."""
    arch: list[Text] = []
    """Compute capabilities it holds code for; empty: it does not depend on one."""


class Kernel(Origin):
    """An extension compiled for the machine at hand."""

    env: Id
    """Environment to build against and to install into."""
    subdirectory: RelativePath | None = None
    """Folder of the project within its repository."""
    packages: list[Requirement] = []
    """Build requirements, installed into the environment first (the build is not isolated)."""
    arch: list[Text] = []
    """CUDA compute capabilities it may be compiled for (`8.9`); empty: host code, no GPU needed."""
    exclusive: list[Text] = []
    """Capabilities never compiled together with others (`9.0`)."""
    wheels: list[Wheel] = []
    """Prebuilt wheels, tried first."""
    environment: dict[EnvName, Text] = {}
    """Environment variables of the build."""
    memory_per_job: Size = 4_000_000_000
    """Memory one compile job may need; bounds how many run at once."""
    probe: RelativePath
    """Python file beside the manifest that runs the kernel. Exit 0: works; 1: broken; 2: not for this machine."""
    adds: dict[Id, Words] = {}
    """Arguments added to a service's command once the probe has passed."""
    on_failure: Literal["degrade", "fail"] = "degrade"
    """`degrade`: what needs it starts without it."""
    consequence: Text | None = None
    """What the user misses without it."""
    within: Duration = 3600.0
    """Longest build."""
    needs: list[Text] = []
    """What must be done before, besides the environment."""
    at: At | None = None
    """When to build it, instead of the manifest's `at`."""
