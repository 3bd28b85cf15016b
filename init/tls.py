"""HTTPS at the edge, where `ENABLE_HTTPS` asks for it.

`Paths.run` holds certificate and key of this boot in one file; JupyterLab and the portal speak HTTPS while it is there.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from init import privacy
from init.paths import Paths

GIVEN = (Path("/etc/instance.crt"), Path("/etc/instance.key"))
"""Where Vast.ai puts the certificate that it has signed for an instance, and its key."""
NAME = "tls.pem"


def file(paths: Paths) -> Path:
    return Path(paths.run, NAME)


def on(paths: Paths) -> bool:
    """Whether JupyterLab and the portal speak HTTPS in this boot."""
    return file(paths).exists()


def wanted(environ: Mapping[str, str]) -> bool:
    return environ.get("ENABLE_HTTPS", "").strip().lower() in ("true", "1", "yes", "on")


def ensure(paths: Paths, environ: Mapping[str, str], given: tuple[Path, Path] = GIVEN) -> None:
    """Leave the pair of this boot in `Paths.run`: the platform's, else one that is made once and kept on the workspace.
    Tells which; none where plain HTTP is spoken. Raises OSError."""
    file(paths).unlink(missing_ok=True)
    if not wanted(environ):
        return
    if environ.get("RUNPOD_POD_ID"):
        text = "ENABLE_HTTPS is passed over: RunPod's proxy speaks HTTPS to browsers and plain HTTP to this machine"
        print(f"firstlight: {text}", file=sys.stderr, flush=True)
        return
    from init import certificate

    if pair := certificate.pair(paths.state / NAME, given, environ):
        privacy.write(file(paths), pair)
