"""ComfyUI's start, with an app of the same command line and HTTP interface; `make prove` takes ComfyUI itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.apps.flow import follow
from tests.apps.studio import studio
from tests.origin import Origin
from tests.stages import wheels
from tests.stages.wheels import served

STANDIN = Path(__file__).with_name("standin")


@pytest.mark.timeout(600)
def test_from_nothing_to_an_image(tmp_path: Path, origin: Origin) -> None:
    index = tmp_path / "index"
    for name, versions in {"torch": ("1.0", "2.0"), "soft": ("1.0",)}.items():
        for version in versions:
            wheels.add(index, name, version)
    with (
        served(index) as address,
        studio(
            tmp_path,
            origin,
            None,
            {"main.py": (STANDIN / "main.py").read_text(), "input/example.png": ""},
            packages=["torch==1.0"],
            index={"own": f"{address}/simple"},
            freeze=["torch"],
            wants={"PLAIN": "soft", "GREEDY": "torch==2.0"},
            cpu=False,
            environ={},
        ) as found,
    ):
        follow(found, within=240)
        assert found.ask("/system_stats").json["system"]["comfyui_version"] == "stand-in"
