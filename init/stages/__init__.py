"""The kinds of stage, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

from init.stages.context import Context, Outcome


@dataclass(frozen=True)
class Handler:
    """How a kind of stage is run, and what besides its spec decides whether a finished one still counts."""

    module: str

    def run(self, context: Context) -> Outcome:
        """Do the work. Raises StageFailed."""
        work: Callable[[Context], Outcome] = import_module(self.module).run
        return work(context)

    def abi(self, context: Context) -> dict[str, str]:
        """Facts about this machine that what was made depends on; quick, and the same before and after `run`."""
        facts: Callable[[Context], dict[str, str]] | None = getattr(import_module(self.module), "abi", None)
        return facts(context) if facts is not None else {}


HANDLERS: Mapping[str, Handler] = {
    kind: Handler(f"init.stages.{kind}")
    for kind in ("gpu", "python", "git", "nodes", "kernel", "models", "command", "notebook")
}
"""Modules are imported when first used: a runner without models never loads what fetches them."""
