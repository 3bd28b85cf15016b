"""Requirement files as pip reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from init.stages.requirements import name_of, parse, read, without_frozen
from tests.stages.bench import write


def test_lines(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "requirements.txt": "# top\n\nnumpy>=1 # why\nfoo \\\n  ==1.0\n-r sub/more.txt\n--extra-index-url https://x.org/s\n"
            "git+https://host/r.git@main#egg=thing\n-e ./local\n--pre\n-c pins.txt\n--no-binary :all:\n"
            "bar==1 --hash=sha256:00 \\\n --hash=sha256:11\n",
            "sub/more.txt": "-r ../requirements.txt\n./here\nbaz[x]>=2; python_version > '3'\n-r ../../outside.txt\n",
        },
    )
    found = read(tmp_path / "requirements.txt", tmp_path)
    assert [(line.text, line.name) for line in found.lines] == [
        ("numpy>=1", "numpy"),
        ("foo   ==1.0", "foo"),
        (str(tmp_path / "sub/here"), None),
        ("baz[x]>=2; python_version > '3'", "baz"),
        ("git+https://host/r.git@main#egg=thing", "thing"),
        (str(tmp_path / "local"), None),
        ("bar==1 --hash=sha256:00  --hash=sha256:11", "bar"),
    ]
    assert found.options == [
        "--extra-index-url", "https://x.org/s", "--prerelease", "allow", "--constraints", str(tmp_path / "pins.txt"),
    ]  # fmt: skip
    assert found.lines[3].place == "sub/more.txt:3"
    assert len(found.problems) == 2 and "leads out of its folder" in found.problems[0]
    assert "--no-binary is passed over" in found.problems[1]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "r.txt").write_bytes("numpy\r\nfoo==1\r\n".encode(encoding))
    assert [line.text for line in read(tmp_path / "r.txt", tmp_path).lines] == ["numpy", "foo==1"]


def test_names() -> None:
    assert name_of("Fake_Torch>=1") == "fake-torch"
    assert name_of("https://x.org/a/torch-2.0%2Bcu128-cp311-none-any.whl") == "torch"
    assert name_of("torch @ https://x.org/t.whl") == "torch"
    assert name_of("git+https://x.org/y") is None


def test_frozen_lines() -> None:
    lines = parse(
        [
            "torch>=1",
            "Torch==1.0",
            "torch[opt]>=1",
            "torch @ https://x/t.whl",
            "torch==9; sys_platform == 'win32'",
            "other",
        ],
        "r",
    )
    rest, kept = without_frozen(lines, {"torch": "2.0+cu128"})
    assert [line.text for line in rest] == ["torch[opt]", "other"]
    assert [str(line) for line in kept] == [
        "asks for Torch==1.0, kept 2.0+cu128",
        "asks for torch @ https://x/t.whl, kept 2.0+cu128",
    ]
