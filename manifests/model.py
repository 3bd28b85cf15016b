"""What a manifest may say.

One model: the loader validates against it, the JSON Schema and the reference page derive from it. A field's docstring
is its documentation everywhere.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from manifests.values import (
    AptPackage,
    BaseImage,
    CondaChannel,
    CondaPackage,
    CondaRelease,
    Duration,
    EnvName,
    Flag,
    GitUrl,
    HttpUrl,
    HubRepo,
    Id,
    ImageName,
    ImageUser,
    ModelUrl,
    Number,
    PackageName,
    Port,
    RelativePath,
    Release,
    Requirement,
    ScreenSize,
    Sha256,
    Size,
    Text,
)

At = Literal["start", "build"]
MOST_LAYERS = 20
"""Image layers that one environment may be spread over."""
Words = list[Text] | Text


class Section(BaseModel):
    """A map with known keys only."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, defer_build=True)


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


class ModelFile(Section):
    """One file of a set."""

    path: RelativePath | None = None
    """Path in the set's `hf` repository or below its `url`."""
    url: ModelUrl | None = None
    """Its own address: `https://…`, `hf://owner/repo/path` or `civitai://VERSION`."""
    to: RelativePath | None = None
    """Where it goes below `models.into`; without it the path itself, without `under`, below the set's `to`."""
    size: Size | None = None
    """Its size, if known."""
    sha256: Sha256 | None = None
    """Its SHA-256, if known."""

    @model_validator(mode="after")
    def _one_place(self) -> ModelFile:
        if (self.path is None) == (self.url is None):
            raise ValueError("needs either `path` or `url`\na path is relative to the set's `hf` or `url`")
        if self.url is not None and self.url.startswith("civitai:") and self.to is None:
            raise ValueError("a civitai file needs `to`\nits name is not known before the download: give it one")
        return self


class ModelSet(Section):
    """Files that are wanted together."""

    title: Text | None = None
    """What the set is, in a few words."""
    default: Flag = False
    """Fetched unless the user chooses otherwise."""
    required: Flag = False
    """Part of `models:required`: the app waits for it."""
    hf: HubRepo | None = None
    """Hugging Face repository of the files, `owner/name`."""
    revision: Text = "main"
    """Branch, tag or commit of that repository."""
    url: HttpUrl | None = None
    """Address that the files' paths are relative to, instead of `hf`."""
    under: RelativePath | None = None
    """Folder of the repository that the paths are relative to, and that the destination leaves out."""
    to: RelativePath | None = None
    """Folder below `models.into`."""
    files: list[ModelFile | RelativePath] = Field(min_length=1)
    """The files: a path, or a map."""
    license: Text | None = None
    """Licence, as an SPDX name or an address."""
    consequence: Text | None = None
    """What the user misses without it."""

    @model_validator(mode="after")
    def _paths_have_a_root(self) -> ModelSet:
        paths = [f for f in self.files if isinstance(f, str) or f.path is not None]
        if self.hf is not None and self.url is not None:
            raise ValueError("has both `hf` and `url`\nkeep one of them, or make two sets")
        if paths and self.hf is None and self.url is None:
            raise ValueError("has paths, and neither `hf` nor `url`\nsay what the paths are relative to")
        return self


class Select(Section):
    """How the user chooses sets."""

    env: EnvName = "MODEL_SETS"
    """Variable with the choice: `a,b` (only these), `+a,-b` (besides, without), `all`, `none`."""
    aliases: dict[EnvName, Id | list[Id]] = {}
    """Older variables: `true` adds the sets, `false` takes them off."""


class Models(Section):
    """Model files, on the workspace."""

    into: RelativePath = "models"
    """Folder below the workspace."""
    sets: dict[Id, ModelSet] = {}
    """Sets by name, fetched in this order: required ones first."""
    select: Select = Select()
    """How the user chooses."""


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


class RunPod(Section):
    """RunPod template."""

    ports: list[Text] = []
    """Ports as `8188/http`, `22/tcp`; without them those of the services."""
    disk: Size | None = None
    """Container disk; without it derived."""
    volume: Size | None = None
    """Volume; without it derived from the models."""
    env: dict[EnvName, Text] = {}
    """Environment variables of the template."""
    secrets: dict[EnvName, Id] = {}
    """Environment variables that come from RunPod's secrets: the secret's name by variable."""


class Vast(Section):
    """Vast.ai template."""

    filters: dict[Text, Text] = {}
    """Further search filters: a field of Vast.ai's offers and what it must be, such as `gpu_name: in [RTX_4090]` or
    `inet_down: ">= 500"`. One that is derived for the same field gives way."""
    disk: Size | None = None
    """Disk; without it derived."""
    env: dict[EnvName, Text] = {}
    """Environment variables of the template."""


class Deploy(Section):
    """Where it runs."""

    gpu_memory: Size | None = None
    """Memory that a GPU must have, such as `24GB`."""
    runpod: RunPod = RunPod()
    """RunPod."""
    vast: Vast = Vast()
    """Vast.ai."""


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
