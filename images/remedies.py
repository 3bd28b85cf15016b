"""What to do about a build that failed, by what BuildKit or the step said."""

from __future__ import annotations

import re

REMEDIES: list[tuple[str, str]] = [
    (
        r"invalid reference format",
        "no image can be called so: correct --base or --tag",
    ),
    (
        r"No space left on device|no space left on device",
        "the disk of Docker is full: `docker builder prune` and `docker image prune` free what nothing uses",
    ),
    (
        r"docker-image://\S*buildkit-syft|buildkit-syft-scanner",
        "the SBOM generator is out of reach: `--no-sbom`, or name your copy of it in FIRSTLIGHT_SBOM_GENERATOR",
    ),
    (
        r"insufficient_scope|pull access denied|authorization failed|failed to authorize|unauthorized",
        "the registry wants a login: `docker login HOST`; check the image's name too",
    ),
    (
        r"failed to resolve source metadata|load metadata for .*(no such host|timeout|refused)",
        "the base image's registry is out of reach, or does not have it; `--base IMAGE` takes another one, and"
        " `python -m images.bases` makes one from distribution packages",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|certificate verification failed|invalid peer certificate"
        r"|UnknownIssuer|self.signed certificate",
        "this network has a certificate authority of its own: point SSL_CERT_FILE at a bundle with it, and build again",
    ),
    (
        r"Temporary failure resolving|Could not resolve host|Temporary failure in name resolution|dns error",
        "the build has no name service: check the network of Docker (`docker run --rm BASE cat /etc/resolv.conf`)",
    ),
    (
        r"E: Unable to locate package (?P<it>\S+)",
        "the distribution has no package {it}: correct `image.apt` of the manifest",
    ),
    (
        r"No solution found when resolving",
        "the packages of one environment contradict each other: relax a version in the manifest's `python.envs`",
    ),
    (
        r"hash mismatch|do not match the hashes|Hash mismatch",
        "an index serves another file than the one that was locked: do not go on before you know why",
    ),
    (
        r"exit code: 137|signal: killed|Killed",
        "the step was killed, most likely for want of memory: give Docker more, or build on a larger machine",
    ),
    (
        r"failed to calculate checksum|\"/[^\"]+\": not found",
        "a file that the Dockerfile copies is missing: render again",
    ),
    (r"429|toomanyrequests|rate limit", "the registry limits anonymous pulls: `docker login`, or wait"),
    (
        r"error getting credentials",
        "the credential helper of the docker configuration does not work: `docker login` again",
    ),
]


def remedy(text: str) -> str:
    """The remedy for the first known cause found in `text`; empty when none is known."""
    for pattern, words in REMEDIES:
        found = re.search(pattern, text)
        if found:
            return words.format(**found.groupdict())
    return ""
