"""An image with a guide: it lies on the workspace, its kernel is there before any environment, and its cells answer."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

from tests.days.visomaster import cells, stage
from tests.images.machine import Machine
from tests.waiting import until


def test_the_guide_lies_on_the_workspace(container: Machine) -> None:
    until(lambda: stage(container, "guide")["state"] == "done", within=60, what="the guide is there")
    notebook = container.loaded.manifest.notebook
    assert notebook is not None
    there = container.run("cat", f"/workspace/{PurePosixPath(notebook.file).name}")
    assert there == container.run("cat", f"/opt/firstlight/files/{notebook.file}")
    kernel = json.loads(there)["metadata"]["kernelspec"]["name"]
    assert container.host.file(f"/opt/share/jupyter/kernels/{kernel}/kernel.json").exists


def test_each_of_its_cells_is_one_call(container: Machine) -> None:
    notebook = container.loaded.manifest.notebook
    assert notebook is not None
    book = json.loads((container.loaded.path.parent / notebook.file).read_text())
    codes = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]
    assert len(codes) >= 10
    for code in codes:
        assert code.startswith("from firstlight_lab import guide\n\nguide.") and code.endswith("()"), code
    assert all(not cell.get("outputs") for cell in book["cells"]), "it is shipped as it is before it was run"


def test_its_cells_answer_whatever_the_set_up_is_at(container: Machine) -> None:
    for call in ("guide.overview", "guide.services", "guide.gpu"):
        said = cells(container, only=call)[f"{call}()"]
        assert said.startswith("What is so: ") and "\nWhat it means: " in said, said
