"""Environment variables as the user gives them to `run`: `--env KEY=VALUE`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from manifests.trouble import Trouble


def given(pairs: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """`KEY=VALUE`, or `KEY` for the value that it has here. Raises Trouble."""
    values: dict[str, str] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
            raise Trouble(f"--env {key!r} is no variable", "", "write --env KEY=VALUE")
        if not sign and key not in environ:
            raise Trouble(f"--env {key} has no value", f"{key} is not set here either", f"write --env {key}=VALUE")
        values[key] = value if sign else environ[key]
    return values
