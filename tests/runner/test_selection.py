"""Which model sets are fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from init import selection
from init.paths import Paths
from init.plan import Plan, SelectSpec, Stage
from init.selection import Changes, select
from init.specs import FileSpec, ModelsSpec


def plan() -> Plan:
    flags = {"base": (True, True), "extra": (True, False), "big": (False, False), "vace": (False, False)}
    stages = [
        Stage(
            f"models:{name}",
            "models",
            name,
            [],
            ModelsSpec(name, [FileSpec(f"{name}.bin", "https://example.org/x")], default, required),
        )
        for name, (default, required) in flags.items()
    ]
    aliases = {"DOWNLOAD_VACE": ["vace"], "DOWNLOAD_BASE": ["base", "extra"]}
    return Plan("demo", "Demo", "0", Paths(), stages, [], select=SelectSpec("MODEL_SETS", aliases))


@pytest.mark.parametrize(
    ("environ", "chosen"),
    [
        ({}, "base extra"),
        ({"MODEL_SETS": ""}, "base extra"),
        ({"MODEL_SETS": "big"}, "base big"),
        ({"MODEL_SETS": "big, vace"}, "base big vace"),
        ({"MODEL_SETS": "big,-base"}, "big"),
        ({"MODEL_SETS": "+big,-extra"}, "base big"),
        ({"MODEL_SETS": "-base"}, "extra"),
        ({"MODEL_SETS": "all"}, "base extra big vace"),
        ({"MODEL_SETS": "all,-big"}, "base extra vace"),
        ({"MODEL_SETS": "none"}, ""),
        ({"MODEL_SETS": "none,+vace"}, "vace"),
        ({"DOWNLOAD_VACE": "true"}, "base extra vace"),
        ({"DOWNLOAD_VACE": "TRUE "}, "base extra vace"),
        ({"DOWNLOAD_VACE": "0"}, "base extra"),
        ({"DOWNLOAD_BASE": "false"}, ""),
        ({"DOWNLOAD_VACE": "true", "MODEL_SETS": "+big"}, "base extra big vace"),
        ({"DOWNLOAD_VACE": "true", "MODEL_SETS": "big"}, "base big"),
    ],
)
def test_choice(environ: dict[str, str], chosen: str) -> None:
    found = select(plan(), environ)
    assert (found.chosen, found.problems) == (chosen.split(), [])


def test_what_was_added_and_dropped_comes_last() -> None:
    assert select(plan(), {"MODEL_SETS": "none"}, Changes(["big"], [])).chosen == ["big"]
    assert select(plan(), {"MODEL_SETS": "all"}, Changes([], ["big"])).chosen == ["base", "extra", "vace"]


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        (
            {"MODEL_SETS": "+extr"},
            "MODEL_SETS names the set 'extr', which demo does not have; did you mean extra?",
        ),
        (
            {"MODEL_SETS": "+zz"},
            "MODEL_SETS names the set 'zz', which demo does not have; there is base, extra, big, vace",
        ),
        ({"DOWNLOAD_VACE": "maybe"}, "DOWNLOAD_VACE=maybe is neither true nor false; it is passed over"),
    ],
)
def test_what_is_not_understood_is_said_and_passed_over(environ: dict[str, str], problem: str) -> None:
    found = select(plan(), environ)
    assert (found.chosen, found.problems) == (["base", "extra"], [problem])


def test_changes_are_kept(tmp_path: Path) -> None:
    changes = Changes()
    changes.add("big")
    changes.drop("base")
    changes.drop("big")
    changes.add("vace")
    selection.write(tmp_path, changes)
    assert selection.read(tmp_path) == Changes(["vace"], ["base", "big"])


@pytest.mark.parametrize("text", ["", "[]", '{"added": 1}', "{"])
def test_a_damaged_file_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / selection.FILE).write_text(text)
    assert selection.read(tmp_path) == Changes()
