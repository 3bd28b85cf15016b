"""The command `firstlight`. Loads no more than the verb needs: a container's start waits for three of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from init.complaint import Complaint

ALONE: Mapping[str, str] = {
    "boot": "init.boot",
    "onstart": "init.onstart",
    "serve": "init.serve",
    "run": "init.run",
    "health": "init.health",
    "token": "init.access",
    "desktop": "init.desktop",
}
"""Verbs with a module of their own, which reads its arguments itself."""


def main(argv: Sequence[str] | None = None) -> int:
    """0 fine, 1 a problem, 2 usage, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    own = ALONE.get(words[0]) if words and not {"-h", "--help"} & set(words[1:]) else None
    verb: Callable[[Sequence[str]], int] = import_module(own or "init.commands").main
    try:
        return verb(words[1:] if own else words)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 2
    except Complaint as error:
        print(f"firstlight: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader has seen enough (`| head`); Python must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
