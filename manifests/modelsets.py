"""What a manifest may say of model files."""

from __future__ import annotations

from pydantic import Field, model_validator

from manifests.section import Section
from manifests.values import EnvName, Flag, HttpUrl, HubRepo, Id, ModelUrl, RelativePath, Sha256, Size, Text


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
