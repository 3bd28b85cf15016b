"""A manifest, and its deployment to a platform that answers on this machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from manifests import load, lock
from manifests.load import Loaded
from manifests.trouble import Trouble
from targets import deploying
from tests.targets.platform import Platform

IMAGE = "ghcr.io/me/case:0123456789ab"


def manifest(folder: Path, **more: Any) -> Loaded:
    data = {"manifest": 1, "name": "case", "image": {"base": "debian:13"}, **more}
    (folder / "case.yaml").write_text(json.dumps(data))
    return load.load(str(folder / "case.yaml"))


def deploy(
    loaded: Loaded,
    platform: Platform,
    *,
    environ: Mapping[str, str] | None = None,
    image: str | None = IMAGE,
    apply: bool = True,
    json: bool = False,
) -> int:
    """`environ`: instead of one with the address and a key that is valid."""
    told = platform.environ if environ is None else environ
    return deploying.deploy(loaded, lock.read(loaded), platform.target, image, told, apply=apply, json=json)


def refused(loaded: Loaded, platform: Platform, **options: Any) -> Trouble:
    with pytest.raises(Trouble) as caught:
        deploy(loaded, platform, **options)
    assert platform.key not in str(caught.value)
    return caught.value
