"""What a manifest may say.

One model: the loader validates against it, the JSON Schema and the reference page derive from it. A field's docstring
is its documentation everywhere.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from manifests.deployment import Deploy
from manifests.environments import Python
from manifests.modelsets import Models
from manifests.origins import Kernel, Nodes, Source
from manifests.section import At, Section, Words
from manifests.values import (
    AptPackage,
    BaseImage,
    Duration,
    EnvName,
    Flag,
    GitUrl,
    Id,
    ImageName,
    ImageUser,
    Number,
    Port,
    RelativePath,
    Release,
    Requirement,
    ScreenSize,
    Size,
    Text,
)


class Image(Section):
    """What the image is made from."""

    base: BaseImage
    """Base image, as a registry reference without digest; the digest stands in the lock."""
    apt: list[AptPackage] = []
    """Distribution packages to install, on top of those that Firstlight itself needs."""
    user: ImageUser = "root"
    """The user that everything in the container runs as; created when it is not `root`."""
    env: dict[EnvName, Text] = {}
    """Environment variables of the image."""
    labels: dict[Text, Text] = {}
    """Further OCI labels."""


class Command(Section):
    """A stage of the author's own."""

    run: Words
    """A shell line (run by `sh -eu`), or a list of arguments."""
    env: Id | None = None
    """Python environment whose programs come first."""
    cwd: RelativePath | None = None
    """Folder: a source's name and what is below it; without it the workspace."""
    environment: dict[EnvName, Text] = {}
    """Environment variables."""
    inputs: list[RelativePath] = []
    """Files beside the manifest that are shipped to `{files}` and make the stage run again when they change."""
    needs: list[Text] = []
    """What must be done before."""
    uses: Literal["cpu", "net", "disk"] = "cpu"
    """What it mostly uses."""
    attempts: Annotated[Number, Field(ge=1, le=10)] = 2
    """How often it is tried."""
    within: Duration = 1800.0
    """Longest run of one attempt."""
    on_failure: Literal["fail", "degrade"] = "fail"
    """`degrade`: what needs it starts all the same."""
    consequence: Text | None = None
    """What the user misses when this fails."""
    at: At | None = None
    """When to run it, instead of the manifest's `at`."""


class Notebook(Section):
    """A notebook that guides through the set-up, at the workspace's top."""

    file: RelativePath
    """The notebook beside the manifest: it is in the image, and is what there is without a network."""
    git: GitUrl | None = None
    """Repository from which a newer one is taken at every start; `NOTEBOOK_REPO_URL` names another one."""
    ref: Text | None = None
    """Branch, tag or commit; without it the repository's own branch. The lock does not hold it: the newest is meant."""
    path: RelativePath | None = None
    """The notebook in the repository; without it the name of `file`. `NOTEBOOK_FILENAME` names another one."""


class Ready(Section):
    """How one sees that a service answers: one of `http`, `tcp`, `file`."""

    http: Text | None = None
    """Path that answers with a status below 400 on the service's port."""
    tcp: Flag = False
    """The service's port accepts a connection."""
    file: Text | None = None
    """This file or socket exists."""
    within: Duration = 300.0
    """Longest wait."""

    @model_validator(mode="after")
    def _one_probe(self) -> Ready:
        if [self.http is not None, self.tcp, self.file is not None].count(True) != 1:
            raise ValueError("needs one of `http`, `tcp`, `file`\na service is asked in one way")
        if self.http is not None and not self.http.startswith("/"):
            raise ValueError("`http` is a path and starts with `/`\nwrite it as `/health`, without host and port")
        return self


class Service(Section):
    """A program that supervisor keeps alive."""

    title: Text | None = None
    """Its name for people."""
    command: Words
    """Command line, split into words (no shell).
    `{port}`, `{workspace}`, `{models}`, `{source}`, `{files}` are replaced."""
    env: Id | None = None
    """Python environment whose programs come first."""
    cwd: RelativePath | None = None
    """Folder: a source's name and what is below it; without it the source of the same name, else the workspace."""
    environment: dict[EnvName, Text] = {}
    """Environment variables; the same replacements as in `command`."""
    port: Port | None = None
    """Public port. The program itself listens on `{port}`, on loopback."""
    open: Text = "/"
    """Path to open in the browser."""
    auth: Literal["portal", "none"] = "portal"
    """Who asks for the token: the portal, or nobody."""
    needs: list[Text] = []
    """What must be done before. `id?` waits until it ended, however it ended; `models:required`; `service:id`."""
    ready: Ready | None = None
    """When it counts as ready; without it as soon as it runs."""
    restarts: Annotated[Number, Field(ge=0, le=100)] = 3
    """How often it is started again, within ten minutes, before it counts as failed."""


class Jupyter(Section):
    """JupyterLab."""

    port: Port = 8888
    """Its port."""
    also: list[Port] = []
    """Further ports that lead to it."""
    packages: list[Requirement] = []
    """Further packages for JupyterLab's own environment."""


class Portal(Section):
    """The authenticating proxy in front of the apps."""

    port: Port = 1111
    """Port of its own page, with links to everything."""
    max_upload: Size | None = None
    """Largest request body; without it none is refused."""


class Desktop(Section):
    """A desktop in the browser, behind the portal: an X server with a window manager, for apps with windows."""

    provider: Literal["tigervnc", "kasmvnc"] = "tigervnc"
    """`tigervnc`: TigerVNC with noVNC, from the distribution. `kasmvnc`: KasmVNC, its own package from GitHub."""
    size: ScreenSize = "1920x1080"
    """Size of the screen until a browser fits it to its window."""
    port: Port = 6080
    """Public port."""
    frame_rate: Annotated[Number, Field(ge=1, le=60)] = 30
    """Most pictures per second and browser."""
    quality: Annotated[Number, Field(ge=0, le=9)] = 7
    """How sharp the pictures are: 0 needs the least of the link, 9 the most."""
    version: Release | None = None
    """With `kasmvnc`: which release of it; without it the one that Firstlight is tested with."""
    distribution: Literal["bookworm", "trixie", "noble"] | None = None
    """With `kasmvnc`: the base image's release of Debian or Ubuntu, where its name does not say so."""


class Manifest(Section):
    """One image."""

    manifest: Literal["1"]
    """Version of this format: 1."""
    name: ImageName
    """Name of the image; the file is called the same."""
    title: Text | None = None
    """Name for people."""
    extends: RelativePath | None = None
    """Parent manifest beside this one: maps merge, lists append, scalars replace, `!reset` starts over."""
    at: At = "start"
    """When set-up runs by default: `start` (small image) or `build` (baked)."""
    image: Image
    """What the image is made from."""
    python: Python = Python()
    """Python environments."""
    sources: dict[Id, Source] = {}
    """Source code of the apps."""
    nodes: Nodes | None = None
    """Custom nodes."""
    kernels: dict[Id, Kernel] = {}
    """Compiled extensions."""
    models: Models = Models()
    """Model files."""
    commands: dict[Id, Command] = {}
    """Stages of the author's own: the escape hatch."""
    notebook: Notebook | None = None
    """A notebook that guides through the set-up."""
    services: dict[Id, Service] = {}
    """Programs that run."""
    jupyter: Jupyter = Jupyter()
    """JupyterLab."""
    portal: Portal = Portal()
    """The portal."""
    workspace: RelativePath | None = None
    """Folder beside the manifest whose files are offered to the workspace: copied at the first start that has them,
    never over a user's file, and not again when the user has deleted them."""
    desktop: Desktop | None = None
    """A desktop in the browser; `desktop: {}` takes the defaults."""
    ssh: Flag = False
    """sshd on port 22, for the keys in `PUBLIC_KEY` (RunPod) or `SSH_PUBLIC_KEY` (Vast.ai): without one it does not
    start, and it never asks for a password."""
    deploy: Deploy = Deploy()
    """Where it runs."""
    test: list[Text] = []
    """Tests of the image: names of files in `tests/images/`, without `test_` and `.py`; parents' tests run too."""


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a manifest, for editors."""
    return Manifest.model_json_schema()
