"""What sessions see of the container's environment: shells that a platform's own sshd or JupyterLab opens know nothing
of it, so `firstlight boot` leaves it in a file that login shells and interactive bash read (`etc/profile.sh`)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from init import access, privacy
from init.paths import Paths

KEYS = ("PUBLIC_KEY", "SSH_PUBLIC_KEY")
"""Who may come in by SSH, as RunPod and Vast.ai say it."""
OWN = frozenset({"HOME", "HOSTNAME", "LOGNAME", "MAIL", "OLDPWD", "PWD", "SHELL", "SHLVL", "TERM", "USER", "_"})
"""What a session knows better."""
FILE = "environment.sh"


def shown(environ: Mapping[str, str]) -> dict[str, str]:
    """Without what opens JupyterLab and the portal, and without supervisor's own."""
    return {
        name: value
        for name, value in sorted(environ.items())
        if name not in (*access.PRIVATE, *KEYS)
        and not name.startswith("SUPERVISOR_")
        and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)
    }


def script(environ: Mapping[str, str]) -> str:
    """Lines for any POSIX shell. What the session has set already stays; PATH is the container's, since a login shell
    has just set it to the distribution's."""
    lines = ["# The container's environment, written by `firstlight boot` for shells that do not have it."]
    for name, value in shown(environ).items():
        unless = "" if name == "PATH" else f'[ -n "${{{name}+x}}" ] || '
        if name not in OWN:
            lines.append(f"{unless}export {name}={shlex.quote(value)}")
    return "\n".join(lines) + "\n"


def write(paths: Paths, environ: Mapping[str, str]) -> None:
    """Raises OSError."""
    privacy.write(Path(paths.run, FILE), script(environ))
