"""The verbs `check` and `show`: problems, and a manifest as it stands after merging with its parents."""

from __future__ import annotations

import json as jsons
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import yaml

from manifests import merge
from manifests.load import load, names
from manifests.problems import Problem, Refused, ordered, printable, report, shown

if TYPE_CHECKING:
    from manifests.load import Loaded

REFUSED = 78


def run_check(wanted: Sequence[str] | None = None, *, json: bool = False) -> int:
    """Print every problem of these manifests (of all, without any). 0 when there is none, else 78."""
    problems: list[Problem] = []
    fine: list[str] = []
    for name in wanted or names():
        try:
            load(name)
            fine.append(name)
        except Refused as refused:
            problems += refused.problems
    return told(ordered(problems), fine, json=json)


def told(problems: Sequence[Problem], fine: Sequence[str] = (), *, json: bool = False) -> int:
    """Print what was found, and the names of the manifests that are fine. 0 without a problem, else 78."""
    if json:
        print(jsons.dumps({"fine": list(fine), "problems": [_json(problem) for problem in problems]}, indent=1))
    else:
        if problems:
            print(report(problems), file=sys.stderr)
        for name in fine:
            print(f"{name}: fine")
    return REFUSED if problems else 0


def run_show(loaded: Loaded, *, origin: bool = False, json: bool = False) -> int:
    """Print the merged manifest; with `origin` a line for every value, with the place that it comes from."""
    if origin and json:
        print(jsons.dumps([_origin(loaded, path, value) for path, value in merge.leaves(loaded.data)], indent=1))
    elif origin:
        print(origins(loaded), end="")
    elif json:
        print(jsons.dumps(loaded.data, indent=1, ensure_ascii=False))
    else:
        print(text(loaded), end="")
    return 0


def text(loaded: Loaded) -> str:
    """The merged manifest as YAML that loads to the same again: without `extends`, which it has behind it."""
    merged = {key: value for key, value in loaded.data.items() if key != "extends"}
    written: str = yaml.dump(
        merged, Dumper=_AsWritten, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False
    )
    return written


def origins(loaded: Loaded) -> str:
    """`FILE:LINE  path: value`, a line for every value, in the order of the merged manifest."""
    lines = []
    for path, value in merge.leaves(loaded.data):
        place = loaded.where[path]
        plain = value if isinstance(value, str) else jsons.dumps(value)
        lines.append((f"{shown(place.file)}:{place.line}", printable(f"{spelled(path)}: {plain}")))
    width = max((len(where) for where, _ in lines), default=0)
    return "".join(f"{where:<{width}}  {what}\n" for where, what in lines)


def spelled(path: merge.Path) -> str:
    """A path as `image.apt[0]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _origin(loaded: Loaded, path: merge.Path, value: Any) -> dict[str, Any]:
    place = loaded.where[path]
    return {"path": list(path), "value": value, "file": str(place.file), "line": place.line, "column": place.column}


def _json(problem: Problem) -> dict[str, Any]:
    place = problem.place
    where = {"file": str(place.file), "line": place.line, "column": place.column, "end": place.end} if place else {}
    return {**where, "severity": problem.severity, "text": problem.text, "hint": problem.hint}


class _AsWritten(yaml.SafeDumper):
    """Writes text plain where the loader reads it back as text: nothing else means anything to it."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    # Line breaks of YAML 1.1 that only an escape keeps as they are.
    if set(value) & set("\r\x85\u2028\u2029\ufeff"):
        style: str | None = '"'
    else:
        style = "'" if value in ("", "~", "null") else "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_AsWritten.add_representer(str, _text)
