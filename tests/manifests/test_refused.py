"""Each folder of `refused/` is a manifest that cannot be used, and all that is said about it, to the letter.

`FIRSTLIGHT_ACCEPT=1 pytest tests/manifests/test_refused.py` writes down what is said now; read the difference.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from manifests import enclosure, load
from manifests.problems import Refused

CASES = sorted(folder for folder in (Path(__file__).parent / "refused").iterdir() if folder.is_dir())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_says_everything_with_its_place(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case)
    with pytest.raises(Refused) as refused:
        load.load("manifest.yaml")
    expected = case / "expected.txt"
    if "FIRSTLIGHT_ACCEPT" in os.environ:
        expected.write_text(f"{refused.value}\n", encoding="utf-8")
    assert f"{refused.value}\n" == expected.read_text(encoding="utf-8")


def said(name: str | Path) -> str:
    """What is said about a manifest that is refused."""
    with pytest.raises(Refused) as refused:
        load.load(str(name))
    return str(refused.value)


def test_a_name_that_is_none() -> None:
    assert said("visomastr") == "error: there is no manifest `visomastr`\n  hint: did you mean `visomaster`?"
    assert said("../secret").startswith("error: there is no manifest ../secret\n")
    assert said("$(id)").startswith("error: there is no manifest `$(id)`\n  hint: there are `")


def test_a_parent_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(load.FOLDER.parent)
    assert said("_lab") == (
        "error: manifests/_lab.yaml is a parent and is not built itself\n  hint: name a manifest that extends it"
    )


def test_a_file_that_cannot_be_read() -> None:
    assert said("/proc/self/mem") == "error: /proc/self/mem cannot be read: Input/output error"


def test_a_file_called_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app.yaml").write_text("manifest: 1\nname: other\nimage: {base: debian:12}\n")
    monkeypatch.setattr(load, "FOLDER", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert said("app") == (
        "app.yaml:2:7: error: app.yaml calls itself `other`\n"
        "  name: other\n"
        "        ^^^^^\n"
        "  hint: write `name: app`, or rename the file"
    )


def test_two_manifests_of_one_name_beside_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "manifest: 1\nname: app\nimage: {base: debian:12}\n"
    (tmp_path / "one.yaml").write_text(text)
    (tmp_path / "link.yaml").symlink_to("one.yaml")
    (tmp_path / "_parent.yaml").write_text(text)
    (tmp_path / "compose.yaml").write_text("name: app\nservices: {}\n")
    (tmp_path / "longer.yaml").write_text("manifest: 1\nname: app-2\nimage: {base: 'name: app'}\n")
    (tmp_path / "inner.yaml").write_text("manifest: 1\nname: inner\nsources:\n  a:\n    name: app\n")
    (tmp_path / "broken.yaml").write_text("manifest: 1\nname: app\n  x: [\n")
    (tmp_path / "binary.yaml").write_bytes(b"manifest: 1\nname: app\n\xff\xfe")
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    monkeypatch.chdir(tmp_path)
    assert load.load("one.yaml").manifest.name == "app"
    (tmp_path / "two.yml").write_text('{"manifest": 1, "name": "app"}')
    assert said("./one.yaml") == (
        "one.yaml:2:7: error: two.yml beside it is called `app` as well\n"
        "  name: app\n"
        "        ^^^\n"
        "  hint: give one of them another name: both would have the lock app.lock.json"
    )
    assert "error: one.yaml beside it is called `app` as well\n" in said("two.yml")


@pytest.mark.parametrize("name", load.names())
def test_a_good_manifest_without_its_parent_lacks_nothing_else(name: str, tmp_path: Path) -> None:
    text = (load.FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    assert "\nextends: " in text
    for beside in load.FOLDER.iterdir():
        if beside.is_dir():
            shutil.copytree(beside, tmp_path / beside.name)
    child = tmp_path / "child.yaml"
    child.write_text(re.sub("\nextends: .*", "\nextends: none.yaml", text), encoding="utf-8")
    with pytest.raises(Refused) as refused:
        load.load(str(child))
    assert [problem.text for problem in refused.value.problems] == ["the parent 'none.yaml' does not exist"]


def test_a_huge_file(tmp_path: Path) -> None:
    hint = "put data into files beside the manifest"
    what = f"is no manifest: it has more than {load.MAX_BYTES} bytes"
    file, child = tmp_path / "huge.yaml", tmp_path / "child.yaml"
    file.touch()
    os.truncate(file, 1 << 40)
    assert said(file) == f"error: {file} {what}\n  hint: {hint}"
    child.write_text(f"manifest: 1\nname: child\nimage: {{base: debian:12}}\nextends: {file.name}\n")
    assert said(child) == (
        f"{child}:4:10: error: {file} {what}\n  extends: huge.yaml\n           ^^^^^^^^^\n  hint: {hint}"
    )


def test_a_file_that_does_not_say_how_large_it_is() -> None:
    assert "it has more than" in said("/proc/self/pagemap")


@pytest.mark.parametrize("text", ["[" * 500_000, "{a: " * 200_000, "- " * 500_000, "? " * 200_000])
def test_hostile_nesting_ends_early(tmp_path: Path, text: str) -> None:
    file = tmp_path / "deep.yaml"
    file.write_text(text)
    assert ": error: " in said(file)


def test_a_folder_with_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).touch()
    (tmp_path / "x.yaml").write_text("manifest: 1\nname: x\nimage: {base: debian:12}\nsources: {s: {path: .}}\n")
    monkeypatch.setattr(enclosure, "MOST_FILES", 3)
    monkeypatch.chdir(tmp_path)
    assert "error: . has more than 3 files\n" in said("x.yaml")


def test_two_files_for_one_place_in_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    ours = tmp_path / "ours"
    for folder in (own, ours):
        folder.mkdir()
        (folder / "data.txt").write_text(folder.name)
    parent = "manifest: 1\nimage: {base: debian:12}\ncommands: {a: {run: x, inputs: [data.txt]}}\n"
    (ours / "_parent.yaml").write_text(parent)
    child = "manifest: 1\nname: x\nextends: _parent.yaml\ncommands: {b: {run: x, inputs: [data.txt]}}\n"
    (own / "x.yaml").write_text(child)
    monkeypatch.setattr(load, "FOLDER", ours)
    monkeypatch.chdir(tmp_path)
    assert said("own/x.yaml") == (
        "own/x.yaml:4:33: error: ours/data.txt has the same place in the image\n"
        "  commands: {b: {run: x, inputs: [data.txt]}}\n"
        "                                  ^^^^^^^^\n"
        "  hint: rename one of them: both are shipped under this name"
    )
