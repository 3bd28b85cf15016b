"""Which CUDA release an image is made for."""

from __future__ import annotations

import re

from manifests.model import Manifest


def release(manifest: Manifest) -> str | None:
    """`12.8`: the latest that the base image's name (`cuda:12.8.1-…`), a package's build (`+cu128`) or a toolkit says.

    None: no GPU is needed.
    """
    found = re.findall(r"\bcuda:(\d+)\.(\d+)", manifest.image.base)
    for env in manifest.python.envs.values():
        for text in [*env.packages, *env.index]:
            found += re.findall(r"\bcu(\d\d)(\d)\b", text)
            found += re.findall(r"^cuda-toolkit\b.*==(\d+)\.(\d+)", text)
    return ".".join(map(str, max((int(major), int(minor)) for major, minor in found))) if found else None
