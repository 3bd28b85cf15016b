"""The model for editors (JSON Schema) and for readers (the reference page)."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from manifests import values
from manifests.fields import flat
from manifests.model import Manifest, schema

SCHEMA_FILE = Path(__file__).resolve().parent / "schema.json"
PAGE_FILE = Path(__file__).resolve().parent.parent / "docs" / "manifest.md"

_NAMES: list[tuple[Any, str]] = [
    (values.AptPackage, "distribution package"),
    (values.BaseImage, "image reference"),
    (values.Duration, "duration"),
    (values.EnvName, "variable name"),
    (values.Flag, "`true` or `false`"),
    (values.HttpUrl, "URL"),
    (values.HubRepo, "`owner/name`"),
    (values.Id, "name"),
    (values.ImageName, "image name"),
    (values.ImageUser, "user name"),
    (values.ModelUrl, "URL"),
    (values.PackageName, "package name"),
    (values.Port, "port"),
    (values.RelativePath, "path"),
    (values.Release, "release"),
    (values.Requirement, "requirement"),
    (values.ScreenSize, "screen size"),
    (values.Sha256, "SHA-256"),
    (values.Size, "size"),
    (values.Text, "text"),
]
_NOTHING = {"type": "null"}
_LIMITS = {"ge": "minimum", "le": "maximum"}
_INTRODUCTION = """\
# Every key of a manifest

Generated from `manifests/model.py` by `./buildkit.py schema --markdown`. How to write one: \
[write-a-manifest.md](write-a-manifest.md).

- A size is written `500MB`, `1.5GiB` or as a number of bytes; a duration `90s`, `5m` or `1h30m`, more than zero and a \
week at most; a name has at most 63 characters; a path is relative and stays below its root.
- No address holds a secret, neither a password nor a token or a signature in its query: it would stand in the image.
- Values are read as written: `3.10`, `22:22` and `on` are text. A key without a value (also `~` or `null`) takes the \
parent's value away; the empty text is `''`.
- With `extends`, maps merge, lists append, scalars replace. `!reset` before a value drops what the parent says: \
`apt: !reset [git]`, or `apt: !reset` for nothing at all. `manifest`, `name`, `title` and `extends` are not inherited.
- Files that a manifest names lie beside the file that names them, in its folder or below.
"""


def schema_text() -> str:
    """JSON Schema for editors, byte-stable."""
    made = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:firstlight:manifest:1",
        **for_editors(schema()),
        "required": ["manifest"],
    }
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def for_editors(node: Any) -> Any:
    """What an editor must accept: any scalar as text (it reads `3.10` as a number), numbers and flags in quotes, and
    maps that are complete only together with a parent's."""
    if isinstance(node, list):
        return [for_editors(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {
        # What stands below `properties` are keys of a manifest, and one of them is called `default`.
        key: {name: _unsettable(for_editors(one)) for name, one in value.items()}
        if key == "properties"
        else _unsettable(for_editors(value))
        if key == "additionalProperties" and value is not False
        else for_editors(value)
        for key, value in node.items()
        if key not in ("required", "default")
    }
    if made.get("type") == "string" and "enum" not in made and "const" not in made:
        made["type"] = ["string", "number", "boolean"]
    if made.get("type") == "integer":
        made |= {"type": ["integer", "string"], "pattern": "^-?[0-9]+$"}
        # pydantic's own words, behind a validator that runs before.
        made |= {words: made.pop(limit) for limit, words in _LIMITS.items() if limit in made}
    if "patternProperties" in made:
        ((pattern, entries),) = made.pop("patternProperties").items()
        made |= {"propertyNames": {"pattern": pattern}, "additionalProperties": _unsettable(entries)}
    if made.get("type") == "boolean":
        made |= {"type": ["boolean", "string"], "pattern": "^(true|false)$"}
    if made.get("const") == "1":
        del made["const"]
        made["type"], made["enum"] = ["string", "integer"], ["1", 1]
    return made


def _unsettable(node: Any) -> Any:
    """The same, or no value: that takes a parent's value away."""
    if "anyOf" in node:
        return node if _NOTHING in node["anyOf"] else {**node, "anyOf": [*node["anyOf"], _NOTHING]}
    if "$ref" in node:
        return {**{k: v for k, v in node.items() if k != "$ref"}, "anyOf": [{"$ref": node["$ref"]}, _NOTHING]}
    kinds = node["type"] if isinstance(node["type"], list) else [node["type"]]
    made = {**node, "type": [*kinds, "null"]}
    return made | {"enum": [*node["enum"], None]} if "enum" in node else made


def reference_page() -> str:
    """The reference page as Markdown, byte-stable."""
    return _INTRODUCTION + "".join(_section(path, model) for path, model in _sections())


def _sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """Each section once, by the path at which it stands first, in the manifest's order."""
    seen: set[type[BaseModel]] = set()

    def walk(path: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
        if model in seen:
            return
        seen.add(model)
        yield path, model
        for name, field in model.model_fields.items():
            here = f"{path}.{field.alias or name}".removeprefix(".")
            for suffix, kind in _models(field.annotation):
                yield from walk(here + suffix, kind)

    yield from walk("", Manifest)


def _models(kind: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    """Sections within a type, and what stands between: `[]` in a list, `.NAME` in a map."""
    for one in flat(kind):
        origin, args = typing.get_origin(one), get_args(one)
        if isinstance(one, type) and issubclass(one, BaseModel):
            yield "", one
        elif origin in (list, dict):
            yield from ((("[]" if origin is list else ".NAME") + rest, model) for rest, model in _models(args[-1]))


def _section(path: str, model: type[BaseModel]) -> str:
    title = f"`{path}`" if path else "Top level"
    about = " ".join((model.__doc__ or "").split())
    hints = typing.get_type_hints(model, include_extras=True)
    rows = [
        f"| `{field.alias or name}` | {_type(hints[name])} | {_default(field, hints[name])} | {_cell(field)} |\n"
        for name, field in model.model_fields.items()
    ]
    return f"\n## {title}\n\n{about}\n\n| key | type | default | meaning |\n|---|---|---|---|\n{''.join(rows)}"


def _type(hint: Any) -> str:
    """A type in the reader's words."""
    named = next((words for known, words in _NAMES if hint == known), None)
    if named:
        return named
    origin, args = typing.get_origin(hint), get_args(hint)
    if origin is typing.Annotated:
        return _type(args[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(one) for one in args if one is not type(None))
    if origin is typing.Literal:
        return " or ".join(f"`{one}`" for one in args)
    if origin is list:
        return f"list of {_type(args[0])}"
    if origin is dict:
        return f"map of {_type(args[0])} to {_type(args[1])}"
    return {int: "number", str: "text"}.get(hint, "map")


def _default(field: FieldInfo, hint: Any) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value is None or value in ([], {}) or isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if hint == values.Duration:
        return f"`{_duration(value)}`"
    if hint == values.Size:
        return f"`{value // 10**9}GB`"
    return f"`{', '.join(value) if isinstance(value, list) else value}`"


def _duration(seconds: float) -> str:
    hours, minutes = int(seconds) // 3600, int(seconds) % 3600 // 60
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "") or f"{int(seconds)}s"


def _cell(field: FieldInfo) -> str:
    return " ".join((field.description or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
    PAGE_FILE.write_text(reference_page(), encoding="utf-8")
