"""What a program finds in its environment when it runs in one of the apps' Python environments.

A virtual environment wants its programs first on PATH. One from conda wants more, which is found out when it is made
and kept beside it: what its packages' activation scripts set, and where its CUDA libraries are.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KEPT = Path(".firstlight", "activation.json")
"""Below the environment: `values` by variable, and `before`: folders that go before what the variable holds."""
PROGRAMS = "/usr/local/bin:/usr/bin:/bin"
"""Where they are when nothing says so."""


def variables(home: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """What the environment in `home` sets, on top of `environ`."""
    kept, environ = _kept(home), {"PATH": PROGRAMS, **environ}
    before = {"PATH": str(home / "bin"), **kept.get("before", {})}
    values = kept["values"] if "values" in kept else {"VIRTUAL_ENV": str(home)}
    joined = {name: os.pathsep.join(filter(None, (first, environ.get(name)))) for name, first in before.items()}
    return {**values, **joined}


def script(home: Path) -> str:
    """The same for a shell: `. bin/activate`."""
    kept = _kept(home)
    lines = [f"# . {home}/bin/activate"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in sorted(kept.get("values", {}).items())]
    for name, first in sorted({"PATH": str(home / "bin"), **kept.get("before", {})}.items()):
        lines.append(f'export {name}={shlex.quote(first)}"${{{name}:+:${name}}}"')
    return "\n".join(lines) + "\n"


def keep(home: Path, values: Mapping[str, str], before: Mapping[str, str]) -> None:
    file = home / KEPT
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"values": dict(values), "before": dict(before)}, indent=1, sort_keys=True) + "\n")


def _kept(home: Path) -> dict[str, Any]:
    try:
        kept = json.loads((home / KEPT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
