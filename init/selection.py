"""Which model sets are wanted: the manifest's defaults, the user's variables, and what was added since."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from init.plan import Plan
from init.specs import ModelsSpec

TRUE = frozenset({"true", "1", "yes", "on"})
FALSE = frozenset({"false", "0", "no", "off"})
FILE = "sets.json"
MOST = 12
"""Names that a message lists."""


@dataclass
class Selection:
    chosen: list[str]
    """Names of the sets, in the plan's order."""
    problems: list[str] = field(default_factory=list)
    """What could not be understood, one sentence each."""


@dataclass
class Changes:
    """Sets that the user added or dropped while it ran; kept on the workspace."""

    added: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        self.dropped = [other for other in self.dropped if other != name]
        self.added = [*(other for other in self.added if other != name), name]

    def drop(self, name: str) -> None:
        self.added = [other for other in self.added if other != name]
        self.dropped = [*(other for other in self.dropped if other != name), name]


def sets(plan: Plan) -> list[ModelsSpec]:
    return [stage.spec for stage in plan.stages if isinstance(stage.spec, ModelsSpec)]


def select(plan: Plan, environ: Mapping[str, str], changes: Changes | None = None) -> Selection:
    """The sets to fetch.

    `MODEL_SETS` (or the name that the manifest gave it) is `a,b`: these and the required ones; `+a,-b`: besides the
    defaults, and without; `all`; `none`: not even the required ones. Older variables (aliases) change the defaults.
    """
    specs = sets(plan)
    names = [spec.set for spec in specs]
    required = {spec.set for spec in specs if spec.required}
    problems: list[str] = []
    chosen = {spec.set for spec in specs if spec.default} | required
    for variable, targets in plan.select.aliases.items():
        value = environ.get(variable, "").strip().lower()
        if value in TRUE:
            chosen |= set(targets)
        elif value in FALSE:
            chosen -= set(targets)
        elif value:
            problems.append(f"{variable}={value} is neither true nor false; it is passed over")
    words = environ.get(plan.select.env, "").replace(",", " ").split()
    if any(not word.startswith(("+", "-")) for word in words):
        chosen = set() if "none" in words else set(required)
    for word in words:
        name = word.lstrip("+-")
        if word == "all":
            chosen |= set(names)
        elif word == "none":
            continue
        elif name not in names:
            problems.append(
                f"{plan.select.env} names the set {name!r}, which {plan.image} does not have{closest(name, names)}"
            )
        elif word.startswith("-"):
            chosen.discard(name)
        else:
            chosen.add(name)
    if changes is not None:
        chosen = (chosen | set(changes.added)) - set(changes.dropped)
    return Selection([name for name in names if name in chosen], problems)


def closest(word: str, known: Iterable[str]) -> str:
    """What is meant instead, to follow `no … 'word'`: the known word that is close, else `MOST` of those there are."""
    words = list(known)
    found = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    if found:
        return f"; did you mean {found[0]}?"
    return f"; there is {', '.join(words[:MOST])}{', …' if len(words) > MOST else ''}" if words else "; there is none"


def read(state: Path) -> Changes:
    """What was added and dropped; nothing when the file is missing or damaged."""
    try:
        data = json.loads((state / FILE).read_text(encoding="utf-8"))
        return Changes([str(name) for name in data["added"]], [str(name) for name in data["dropped"]])
    except (OSError, ValueError, KeyError, TypeError):
        return Changes()


def write(state: Path, changes: Changes) -> None:
    """Raises OSError, for instance when the volume is full."""
    part = state / f"{FILE}.new"
    part.write_text(json.dumps({"added": changes.added, "dropped": changes.dropped}) + "\n", encoding="utf-8")
    part.replace(state / FILE)
