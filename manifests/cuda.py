"""Which CUDA release an image is made for."""

from __future__ import annotations

import re

from manifests.model import Manifest


def release(manifest: Manifest) -> str | None:
    """`12.8`: the latest that the base image's name (`cuda:12.8.1-…`), a package's build (`+cu128`), a toolkit or
    a conda label (`cuda-12.4.1`) says.

    None: no GPU is needed.
    """
    found = re.findall(r"\bcuda:(\d+)\.(\d+)", manifest.image.base)
    for env in manifest.python.envs.values():
        for text in [*env.packages, *env.index]:
            found += re.findall(r"\bcu(\d\d)(\d)\b", text)
            found += re.findall(r"^cuda-toolkit\b.*==(\d+)\.(\d+)", text)
        for text in [*env.conda.channels, *env.conda.packages] if env.conda is not None else []:
            found += re.findall(r"\bcuda-(\d+)\.(\d+)", text)
            found += re.findall(r"^cuda-(?:runtime|toolkit|version)[ =]+(\d+)\.(\d+)", text)
    return ".".join(map(str, max((int(major), int(minor)) for major, minor in found))) if found else None
