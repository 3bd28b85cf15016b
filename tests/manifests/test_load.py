"""Merging, places, and what values mean."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from manifests import load, show, tree
from manifests.problems import Place

PARENT = """\
manifest: 1
name: parent
title: Parent
image:
  base: debian:12
  apt: [curl, git]
  env: {A: "1", B: "2"}
python: {version: 3.10, envs: {app: {packages: [torch], at: build}}}
jupyter: {port: 9999}
"""
CHILD = """\
manifest: 1
name: child
extends: _parent.yaml
image:
  base: debian:13
  apt: [tree]
  env: {B: null, C: on}
python: {envs: {app: {packages: !reset [numpy], kernel: 22:22, consequence: "3.10", index: {x: https://h/x}}}}
jupyter: !reset
portal: {max_upload: 1.5GiB}
services: {a: {command: run, ready: {file: /x, within: 1h30m}}}
"""


@pytest.fixture
def family(tmp_path: Path) -> Path:
    (tmp_path / "_parent.yaml").write_text(PARENT)
    (tmp_path / "child.yaml").write_text(CHILD)
    return tmp_path / "child.yaml"


def test_maps_merge_lists_append_scalars_replace(family: Path) -> None:
    manifest = load.load(str(family)).manifest
    assert manifest.image.base == "debian:13"
    assert manifest.image.apt == ["curl", "git", "tree"]
    assert manifest.image.env == {"A": "1", "C": "on"}
    assert manifest.python.envs["app"].packages == ["numpy"]
    assert manifest.python.envs["app"].at == "build"
    assert manifest.jupyter.port == 8888
    assert (manifest.name, manifest.title) == ("child", None)


def test_values_are_read_as_written(family: Path) -> None:
    manifest = load.load(str(family)).manifest
    assert manifest.python.version == "3.10"
    assert manifest.python.envs["app"].kernel == "22:22"
    assert manifest.portal.max_upload == 1_610_612_736
    ready = manifest.services["a"].ready
    assert ready is not None
    assert ready.within == 5400


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("7", 7),
        ("7 B", 7),
        ("1kB", 1_000),
        ("1KB", 1_000),
        ("500MB", 500_000_000),
        ("1.5 GB", 1_500_000_000),
        ("2TB", 2_000_000_000_000),
        ("1KiB", 1_024),
        ("1MiB", 1_048_576),
        ("1TiB", 1_099_511_627_776),
        ("123456789012345677", 123_456_789_012_345_677),
        ("123456.789012345678TB", 123_456_789_012_345_678),
    ],
)
def test_units_of_sizes(family: Path, text: str, size: int) -> None:
    family.write_text(CHILD.replace("1.5GiB", text))
    assert load.load(str(family)).manifest.portal.max_upload == size


def test_places_survive_merging(family: Path) -> None:
    loaded = load.load(str(family))
    parent = family.with_name("_parent.yaml")
    assert loaded.where["image", "apt", 1] == Place(parent, 6, 15, 18)
    assert loaded.where["image", "apt", 2] == Place(family, 6, 9, 13)
    assert loaded.where["image", "base"] == Place(family, 5, 9, 18)
    assert loaded.keys["image", "env", "C"].line == 7
    assert loaded.keys["image", "base"] == Place(family, 5, 3, 7), "the key of who says it last"
    assert loaded.keys["image", "env", "A"].file == parent
    assert loaded.chain == [parent, family]


def test_the_checksum_covers_the_parents(family: Path) -> None:
    before = load.load(str(family)).checksum
    assert before == load.load(str(family)).checksum
    assert len(bytes.fromhex(before)) == hashlib.sha256().digest_size
    parent = family.with_name("_parent.yaml")
    parent.write_text(PARENT + "# a word\n")
    assert load.load(str(family)).checksum != before


def test_three_generations(family: Path) -> None:
    grandchild = family.with_name("grandchild.yaml")
    grandchild.write_text("manifest: 1\nname: grandchild\nextends: child.yaml\nimage: {apt: !reset }\n")
    manifest = load.load(str(grandchild)).manifest
    assert manifest.image.apt == []
    assert manifest.services["a"].command == "run"


def test_files_lie_beside_the_file_that_names_them(family: Path) -> None:
    for name in ("probe.py", "kernel/setup.py"):
        (family.parent / name).parent.mkdir(exist_ok=True)
        (family.parent / name).touch()
    with family.open("a") as file:
        file.write("kernels: {k: {path: kernel, env: app, probe: probe.py}}\n")
    assert load.load(str(family)).beside("kernels", "k", "probe") == family.parent / "probe.py"


def test_a_parent_from_elsewhere_brings_its_own_files(family: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = family.parent / "ours"
    ours.mkdir()
    (ours / "data.txt").touch()
    (ours / "_ours.yaml").write_text(
        "manifest: 1\nimage: {base: debian:12}\ncommands: {a: {run: x, inputs: [data.txt]}}\n"
    )
    monkeypatch.setattr(load, "FOLDER", ours)
    family.write_text("manifest: 1\nname: child\nextends: _ours.yaml\n")
    assert load.load(str(family)).beside("commands", "a", "inputs", 0) == ours / "data.txt"


def test_our_parents_serve_manifests_anywhere(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("manifest: 1\nname: mine\nextends: _gpu-lab.yaml\n")
    loaded = load.load(str(tmp_path / "mine.yaml"))
    assert [file.name for file in loaded.chain] == ["_lab.yaml", "_gpu-runtime.yaml", "_gpu-lab.yaml", "mine.yaml"]


def test_what_show_prints_loads_to_the_same(tmp_path: Path) -> None:
    for name in load.names():
        loaded = load.load(name)
        data = {key: value for key, value in loaded.data.items() if key != "extends"}
        text = show.text(loaded)
        again = tree.read(tmp_path / "again.yaml", text.encode(), [])
        assert _plain(again) == data


def _plain(node: tree.Tree) -> object:
    if isinstance(node, tree.Map):
        return {key: _plain(value) for key, value in node.entries.items()}
    return [_plain(item) for item in node.items] if isinstance(node, tree.Items) else node.text


@pytest.mark.parametrize(
    "value",
    [
        "",
        "~",
        "null",
        "a\nb\n",
        "a: b",
        "- x",
        "#c",
        "'",
        "{x}",
        " pad ",
        "ü\t",
        "!reset",
        "\x85",
        "a\x85b\n",
        "\u2028",
        "\u2029\n",
        "\ufeff",
        "a\r\nb",
        "\r",
        "\x7f\xa0",
    ],
)
def test_show_quotes_what_needs_it(family: Path, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    family.write_text(CHILD.replace('"3.10"', json.dumps(value)))
    loaded = load.load(str(family))
    show.run_show(loaded)
    again = tree.read(family, capsys.readouterr().out.encode(), [])
    assert _plain(again) == {key: text for key, text in loaded.data.items() if key != "extends"}


def test_show_origin(family: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(family.parent)
    show.run_show(load.load("child.yaml"), origin=True)
    lines = capsys.readouterr().out.splitlines()
    assert "_parent.yaml:6  image.apt[0]: curl" in lines
    assert "child.yaml:6    image.apt[2]: tree" in lines
    assert "_parent.yaml:8  python.version: 3.10" in lines
    assert len(lines) == len({line.split(" ", 1)[1] for line in lines})


def test_show_as_json(family: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = load.load(str(family))
    show.run_show(loaded, json=True)
    assert json.loads(capsys.readouterr().out) == loaded.data
    show.run_show(loaded, origin=True, json=True)
    entries = json.loads(capsys.readouterr().out)
    base = next(entry for entry in entries if entry["path"] == ["image", "base"])
    assert base == {"path": ["image", "base"], "value": "debian:13", "file": str(family), "line": 5, "column": 9}


def test_check_of_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert show.run_check() == 0
    assert capsys.readouterr().out == "".join(f"{name}: fine\n" for name in load.names())


def test_check_reports_all_manifests(family: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = family.with_name("bad.yaml")
    bad.write_text("manifest: 1\nname: bad\n")
    assert show.run_check([str(family), str(bad)]) == 78
    out, err = capsys.readouterr()
    assert out == f"{family}: fine\n"
    assert err.startswith(f"{bad}:2:1: error: `image` is missing\n")
    assert show.run_check([str(bad)], json=True) == 78
    problem = json.loads(capsys.readouterr().out)["problems"][0]
    assert (problem["line"], problem["column"], problem["severity"]) == (2, 1, "error")


def test_anchors_may_be_used(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("manifest: 1\nname: a\nimage: {base: debian:12, apt: &p [git]}\njupyter: {packages: *p}\n")
    assert load.load(str(file)).manifest.jupyter.packages == ["git"]


def test_a_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes("\ufeffmanifest: 1\r\nname: a\r\nimage: {base: debian:12}\r\n".encode())
    assert load.load(str(file)).manifest.name == "a"
