"""BuildKit's events, in both forms that buildx writes them in."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from rich.console import Console

from images.progress import Lines, Screen, Steps, events
from tests.waiting import until

STEP = {"digest": "sha256:1", "name": "[control 2/3] RUN echo {\n}"}


def event(**changes: Any) -> dict[str, Any]:
    return {"vertexes": [STEP | changes]}


def log(text: str) -> dict[str, Any]:
    return {"logs": [{"vertex": "sha256:1", "stream": 1, "data": base64.b64encode(text.encode()).decode()}]}


STREAM: list[dict[str, Any]] = [
    event(),
    event(started="2026-01-01T00:00:00Z"),
    log("one\r\ntwo\n"),
    event(completed="x", error="no"),
]


@pytest.mark.parametrize("indent", [None, 2])
def test_events_are_read_in_both_forms(indent: int | None) -> None:
    text = (
        "".join(json.dumps(item, indent=indent) + "\n" for item in STREAM)
        + "Dockerfile:3\n  3 | >>> RUN x\nERROR: no\n"
    )
    assert list(events(io.StringIO(text))) == [*STREAM, "Dockerfile:3", "  3 | >>> RUN x", "ERROR: no"]


def test_words_between_events_are_kept() -> None:
    text = 'WARNING: no output\n{"a": 1}\n{"b": 2}{"c": 3}\nERROR: x\n'
    assert list(events(io.StringIO(text))) == ["WARNING: no output", {"a": 1}, {"b": 2}, {"c": 3}, "ERROR: x"]


def test_an_object_that_never_ends_is_shown_as_it_is() -> None:
    assert list(events(io.StringIO('{"a":\n 1,\n'))) == ['{"a":', " 1,"]


def test_steps_keep_their_last_lines_and_their_error() -> None:
    steps = Steps()
    for item in STREAM:
        steps.take(item)
    failed = steps.failed
    assert failed is not None
    assert (failed.name, list(failed.lines), failed.error) == ("[control 2/3] RUN echo { }", ["one", "two"], "no")


def test_the_step_that_failed_is_not_one_that_was_cancelled() -> None:
    steps = Steps()
    steps.take({"vertexes": [{"digest": "a", "name": "other", "error": "context canceled"}]})
    steps.take({"vertexes": [{"digest": "b", "name": "guilty", "error": "exit code: 1"}]})
    assert steps.failed is not None
    assert steps.failed.name == "guilty"


def test_plain_lines_name_each_step_when_it_ended() -> None:
    out = io.StringIO()
    view = Lines(out)  # it is not entered: nobody looks between the two events
    for item in (event(started="x"), event(started="x", completed="x", cached=True)):
        view.steps.take(item)
    assert out.getvalue().splitlines() == ["     cached  [control 2/3] RUN echo { }"]


def test_a_long_step_tells_what_it_does() -> None:
    out = io.StringIO()
    with Lines(out, every=0.05) as view:
        view.steps.take(event(started="x"))
        view.steps.take(log("downloading\n"))
        until(lambda: "> [control 2/3] RUN echo { }\n" in out.getvalue() and "downloading" in out.getvalue(), within=10)
        view.steps.take({"statuses": [{"vertex": "sha256:1", "id": "layer", "current": 5_000_000, "total": 9_000_000}]})
        until(lambda: "5 of 9 MB" in out.getvalue(), within=10)


def test_the_screen_shows_what_runs_and_leaves_what_ended() -> None:
    out = io.StringIO()
    with Screen(Console(file=out, force_terminal=True, width=100)) as view:
        view.steps.take(event(started="x"))
        view.steps.take(log("downloading\n"))
        until(lambda: "downloading" in out.getvalue(), within=10)
        view.steps.take(event(completed="x", error="exit code: 1"))
    assert "failed  [control 2/3]" in out.getvalue()
