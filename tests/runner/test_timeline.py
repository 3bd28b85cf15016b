"""What ran when, told from events."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import pytest

from init import history, picture, timeline
from init.journal import EVENTS, STATE
from tests.runner.support import House


def event(at: float, name: str, **fields: Any) -> dict[str, Any]:
    return {"at": 1000.0 + at, "boot": "b1", "event": name, **fields}


def boot(at: float = 0.2, name: str = "b1", title: str = "Demo") -> dict[str, Any]:
    needs = {"a": [], "b": ["a"], "c": [], "service:app": ["b", "c"]}
    return {**event(at, "boot", title=title, started=1000.0, needs=needs), "boot": name}


STAGES = [
    event(1, "stage", id="a", state="running"),
    event(1, "stage", id="c", state="running"),
    event(2, "stage", id="c", state="done"),
    event(4, "stage", id="a", state="verifying"),
    event(5, "stage", id="a", state="done"),
    event(5, "stage", id="b", state="running"),
    event(7, "stage", id="b", state="done"),
    event(7, "service", id="app", state="starting"),
    event(9, "service", id="app", state="ready"),
]


def test_spans_and_the_chain_that_made_the_wait() -> None:
    past = history.of([boot(), *STAGES])
    assert [(span.id, span.start, span.end, span.state) for span in past.spans] == [
        ("a", 1.0, 5.0, "done"),
        ("c", 1.0, 2.0, "done"),
        ("b", 5.0, 7.0, "done"),
        ("service:app", 7.0, 9.0, "ready"),
    ]
    assert past.critical == ["a", "b", "service:app"]
    assert past.waited_for("service:app") == "b"


def test_a_killed_runner_and_a_retry_show() -> None:
    past = history.of(
        [
            boot(),
            event(1, "stage", id="a", state="running"),
            event(3, "stage", id="a", state="running", message="still"),
            boot(4),
            event(5, "stage", id="a", state="running"),
            event(6, "stage", id="a", state="failed"),
            event(7, "stage", id="a", state="waiting"),
            event(7, "stage", id="a", state="running"),
        ]
    )
    assert [(span.start, span.end, span.state) for span in past.of("a")] == [
        (1.0, 3.0, "interrupted"),
        (5.0, 6.0, "failed"),
        (7.0, None, "running"),
    ]


def test_text_marks_the_chain() -> None:
    lines = timeline.text(history.of([boot(), *STAGES]), 80).splitlines()
    assert all(len(line) <= 80 for line in lines)
    starred = [line.split()[1] for line in lines if line.startswith("* ") and "waited" not in line]
    assert starred == ["a", "b", "service:app"]
    assert "* waited for: a (4.0 s) → b (2.0 s) → service:app (2.0 s)" in lines


@pytest.mark.parametrize("title", ["Demo", '<script>alert("1")</script> & \x07 ]]>'])
def test_the_picture_is_well_formed_whatever_the_names_are(title: str) -> None:
    bad = '"><script>alert(1)</script>'
    past = history.of([boot(title=title), *STAGES, event(9, "stage", id=bad, state="running")])
    text = picture.svg(past)
    root = xml.etree.ElementTree.fromstring(text)
    assert not [element for element in root.iter() if "script" in element.tag]
    assert "prefers-color-scheme: dark" in text
    bars = [element for element in root.iter() if element.get("class", "").startswith("bar")]
    assert len([bar for bar in bars if len(bar)]) == 5, "each with a tooltip; the legend has none"


def test_the_picture_says_what_its_colours_mean_and_what_was_waited_for() -> None:
    bad = [event(9, "stage", id="long" * 20, state="running"), event(10, "stage", id="long" * 20, state="failed")]
    root = xml.etree.ElementTree.fromstring(picture.svg(history.of([boot(), *STAGES, *bad])))
    texts = ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")]
    assert "waited for: a (4.0 s) → b (2.0 s) → app (service) (2.0 s)" in texts
    for word in ("made the wait", "beside it", "service that was waited for", "failed"):
        assert word in texts
    assert not {"degraded", "interrupted"} & {*texts}
    assert [element for element in root.iter() if element.get("class") == "bar failed"]


def test_which_start(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.paths.state.mkdir()
    starts = [boot(), *STAGES, boot(20, "b2", "Second")]
    (house.paths.state / EVENTS).write_text("".join(json.dumps(line) + "\n" for line in starts))
    assert "Second" in house.firstlight("timeline").stdout
    assert "nothing has run yet" in house.firstlight("timeline").stdout
    assert "Demo, start b1" in house.firstlight("timeline", "--boot=-1").stdout
    assert "Demo, start b1" in house.firstlight("timeline", "--boot", "b1").stdout
    missing = house.firstlight("timeline", "--boot", "b9")
    assert missing.returncode == 1
    assert "no start b9 is noted in" in missing.stderr
    drawn = house.firstlight("timeline", "--boot", "b1", "--svg", str(tmp_path / "t.svg"))
    assert (drawn.returncode, drawn.stdout) == (0, "")
    assert (tmp_path / "t.svg").read_text().startswith("<svg ")
    refused = house.firstlight("timeline", "--svg", str(tmp_path / "no" / "t.svg"))
    assert refused.returncode == 1
    assert "cannot be written: No such file or directory" in refused.stderr


def test_blame_has_the_slowest_first(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.paths.state.mkdir()
    (house.paths.state / EVENTS).write_text("".join(json.dumps(line) + "\n" for line in [boot(), *STAGES]))
    lines = [line.split() for line in house.firstlight("blame").stdout.splitlines()]
    assert [line[2:4] for line in lines] == [["*", "a"], ["*", "b"], ["*", "service:app"], ["c", "began"]]
    assert lines[1][-2:] == ["behind", "a"]


def test_what_runs_lasts_until_the_state_was_written(tmp_path: Path) -> None:
    starts = [boot(), event(1, "stage", id="a", state="running")]
    (tmp_path / EVENTS).write_text("".join(json.dumps(line) + "\n" for line in starts))
    (tmp_path / STATE).write_text("{}")
    os.utime(tmp_path / STATE, (1031.0, 1031.0))
    past = history.read(tmp_path)
    assert past is not None
    assert past.took("a") == 30.0


def test_without_events_there_is_nothing_to_tell(tmp_path: Path) -> None:
    for verb in ("timeline", "blame"):
        found = House(tmp_path).firstlight(verb)
        assert (found.returncode, "no start is noted" in found.stderr) == (1, True)
