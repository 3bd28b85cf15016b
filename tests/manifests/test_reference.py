"""What derives from the model is up to date, and the schema accepts what the loader accepts."""

from __future__ import annotations

import json
import re
import typing
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from manifests import catalog, load, lock, reference, values
from manifests.problems import Place, Problem

SCHEMA = json.loads(reference.schema_text())


def test_the_committed_files_are_up_to_date() -> None:
    again = "run `python -m manifests.reference`"
    assert reference.SCHEMA_FILE.read_text(encoding="utf-8") == reference.schema_text(), again
    assert reference.PAGE_FILE.read_text(encoding="utf-8") == reference.reference_page(), again
    for file, text in catalog.pages():
        assert file.read_text(encoding="utf-8") == text, "run `make docs`"


def test_a_page_without_a_place_for_the_table_is_refused() -> None:
    loaded = load.load("demo")
    with pytest.raises(ValueError, match="no place for the table: <!-- sets"):
        catalog.filled("# Page", loaded.manifest, lock.read(loaded))


def test_every_key_is_documented() -> None:
    rows = [line for line in reference.reference_page().splitlines() if line.startswith("| `")]
    assert rows
    assert not [row for row in rows if row.rstrip().endswith("|  |")]


class Tagged(yaml.SafeLoader):
    """An editor's YAML: it looks through the tag `!reset`."""


Tagged.add_multi_constructor("!reset", lambda loader, _, node: PLAIN[type(node)](loader, node))
PLAIN: dict[type, Any] = {
    yaml.MappingNode: yaml.SafeLoader.construct_mapping,
    yaml.SequenceNode: yaml.SafeLoader.construct_sequence,
}


@pytest.mark.parametrize("file", sorted(load.FOLDER.glob("*.yaml")), ids=lambda file: str(file.stem))
def test_manifests_name_the_schema_and_fit_it(file: Any) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=schema.json\n")
    assert misfits(yaml.load(text, Tagged), SCHEMA) == []


def test_the_schema_sees_mistakes() -> None:
    assert misfits({"manifest": 1, "imagee": {}}, SCHEMA) == ["imagee"]
    assert misfits({"manifest": 1, "services": {"a": {"prot": 1}}}, SCHEMA) == ["services.a.prot"]
    assert misfits({"manifest": 1, "services": {"a": {"port": ["80"]}}}, SCHEMA) == ["services.a.port"]


@pytest.mark.parametrize("port", [0, 65536, -1, "0", "65536", "99999", "080808", "x", "٨٠"])
def test_the_schema_knows_the_range_of_ports(port: Any) -> None:
    assert misfits({"manifest": 1, "jupyter": {"also": [1, 65535, "1", "65535", "080", port]}}, SCHEMA) == [
        "jupyter.also[5]"
    ]


def test_the_schema_knows_other_limits() -> None:
    assert misfits({"manifest": 1, "services": {"a": {"restarts": 101}}}, SCHEMA) == ["services.a.restarts"]
    assert misfits({"manifest": 1, "commands": {"a": {"attempts": 0}}}, SCHEMA) == ["commands.a.attempts"]


def test_the_schema_knows_how_things_are_called() -> None:
    assert misfits({"manifest": 1, "name": "n" * 63, "commands": {"c" * 63: None, "true": None}}, SCHEMA) == []
    for name in ("My Image", "-a", "a" * 64, "a--", ""):
        assert misfits({"manifest": 1, "name": name}, SCHEMA) == ["name"]
    for name in ("7", "A", "a b", "c" * 64):
        assert misfits({"manifest": 1, "commands": {name: None}}, SCHEMA) == [f"commands.{name}"]
        assert misfits({"manifest": 1, "services": {"a": {"env": name}}}, SCHEMA) == ["services.a.env"]
    image = {"user": "a b", "env": {"A-B": 1}}
    assert misfits({"manifest": 1, "image": image}, SCHEMA) == ["image.user", "image.env.A-B"]


@pytest.mark.parametrize(
    "accepted",
    [
        {"python": {"version": 3.10}},
        {"python": None, "at": None, "nodes": None, "jupyter": {"also": None}},
        {"image": {"apt": None, "env": {"A": 1, "B": True, "C": None}}},
        {"python": {"envs": {"app": None}}, "models": {"sets": {"a": {"default": "true"}}}},
        {"services": {"a": {"port": "8188", "ready": None, "restarts": None}}},
    ],
)
def test_the_schema_accepts_what_the_loader_accepts(accepted: dict[str, Any]) -> None:
    assert misfits({"manifest": 1, **accepted}, SCHEMA) == []


SCALARS = {
    name: kind
    for name, kind in vars(values).items()
    if typing.get_origin(kind) is typing.Annotated and kind is not values.Flag
}


@pytest.mark.parametrize("name", SCALARS)
@pytest.mark.parametrize("value", [7, 77, 1.5, True])
def test_the_schema_takes_numbers_and_flags_where_the_loader_does(name: str, value: Any) -> None:
    """The loader sees the text as written; an editor sees a number."""
    adapter: TypeAdapter[Any] = TypeAdapter(SCALARS[name])
    try:
        adapter.validate_python(json.dumps(value))
        accepted = True
    except ValidationError:
        accepted = False
    fitting = misfits(value, reference.for_editors(adapter.json_schema())) == []
    # What a pattern says of the text, a schema cannot say of a number.
    assert fitting == accepted or (fitting and name in ("AptPackage", "Sha256"))


def test_the_schema_refuses_a_number_as_a_duration() -> None:
    place = {"commands": {"a": {"run": "x", "within": 90}}}
    assert misfits({"manifest": 1, **place}, SCHEMA) == ["commands.a.within"]
    place["commands"]["a"]["within"] = "90s"
    assert misfits({"manifest": 1, **place}, SCHEMA) == []


def misfits(value: Any, schema: dict[str, Any], path: str = "") -> list[str]:
    """Paths of a value that do not fit; the part of JSON Schema that our schema uses."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        found = [misfits(value, one, path) for one in schema["anyOf"]]
        return [] if [] in found else found[0]
    if "enum" in schema and value not in schema["enum"]:
        return [path]
    kinds = schema.get("type", [])
    if kinds and not any(fits(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return [path]
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        return [path]
    if isinstance(value, int) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return [path]
    if isinstance(value, list):
        return [one for i, item in enumerate(value) for one in misfits(item, schema.get("items", {}), f"{path}[{i}]")]
    if isinstance(value, dict):
        known, more = schema.get("properties", {}), schema.get("additionalProperties", {})
        wrong = []
        for key, item in value.items():
            here = f"{path}.{key}".removeprefix(".")
            rule = known.get(key, more)
            called = re.search(schema.get("propertyNames", {}).get("pattern", ""), key)
            wrong += [here] if rule is False or not called else misfits(item, rule, here)
        return wrong
    return []


KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
    "boolean": (),
}


def fits(value: Any, kind: str) -> bool:
    return kind == "boolean" if isinstance(value, bool) else isinstance(value, KINDS[kind])


def test_a_caret_under_wide_and_long_text(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "x.yaml"
    file.write_text("名前: x\n" + "a" * 300 + "HERE" + "b" * 300 + "\n", encoding="utf-8")
    assert str(Problem(Place(file, 1, 5, 6), "t")).splitlines()[1:] == ["  名前: x", "        ^"]
    line, caret = str(Problem(Place(file, 2, 301, 305), "t")).splitlines()[1:]
    assert len(line) == 122
    assert line[caret.index("^") :].startswith("HERE")
    assert caret.count("^") == 4


def test_a_warning_without_a_place() -> None:
    assert str(Problem(None, "old", "new", "warning")) == "warning: old\n  hint: new"
