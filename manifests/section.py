"""What the sections of a manifest have in common."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from manifests.values import Text

At = Literal["start", "build"]
Words = list[Text] | Text


class Section(BaseModel):
    """A map with known keys only."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, defer_build=True)
