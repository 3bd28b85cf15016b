"""The control environment's packages, as the installers want them."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

FILE = Path(__file__).with_name("control.txt")


@lru_cache(maxsize=1)
def text() -> str:
    """Every package with version and hashes."""
    return FILE.read_text(encoding="utf-8")


def only(name: str) -> str:
    """The entry of one package, with its hashes. Raises KeyError."""
    found = re.search(rf"^{re.escape(name)}==(?:.*\\\n)*.*\n", text(), re.MULTILINE)
    if found is None:
        raise KeyError(f"{name} is not in {FILE.name}")
    return found[0]


def constraints() -> str:
    """Versions alone: what the manifest adds to the environment may not move them."""
    return "".join(f"{line}\n" for line in re.findall(r"^([\w.-]+==.*?) *\\?$", text(), re.MULTILINE))
