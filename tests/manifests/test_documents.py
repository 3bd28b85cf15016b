"""Whole manifests in the documents are manifests."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from manifests import load

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = [
    (f"{file.name}-{number}", text)
    for file in sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    if file.exists()
    for number, text in enumerate(re.findall(r"^```yaml\n(.*?)^```", file.read_text(encoding="utf-8"), re.M | re.S))
    if re.search(r"^manifest: 1$", text, re.M)
]


@pytest.mark.parametrize(("name", "text"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_loads(tmp_path: Path, name: str, text: str) -> None:
    for parent in load.FOLDER.glob("*.yaml"):
        (tmp_path / parent.name).write_bytes(parent.read_bytes())
    shutil.copytree(load.FOLDER / "probes", tmp_path / "probes")
    file = tmp_path / f"{name}.yaml"
    file.write_text(text)
    assert load.load(str(file)).manifest.name
