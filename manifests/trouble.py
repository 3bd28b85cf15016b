"""What a verb says when it cannot go on: what happened, why, and what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable


class Trouble(Exception):
    """A failure that the user can act on; `str()` is what they read."""

    def __init__(self, what: str, reason: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what, self.reason, self.remedy = what, reason.strip(), remedy

    def __str__(self) -> str:
        lines = [f"error: {self.what}"]
        if self.reason:
            lines += [f"  {line}" for line in self.reason.splitlines()]
        if self.remedy:
            lines.append(f"hint: {self.remedy}")
        return "\n".join(lines)


def told(action: Callable[[], int]) -> int:
    """The exit code of `action`; its trouble goes to stderr and is exit code 1."""
    try:
        return action()
    except Trouble as trouble:
        sys.stdout.flush()
        print(trouble, file=sys.stderr)
        return 1
