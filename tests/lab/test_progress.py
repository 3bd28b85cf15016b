"""`progress()`: the state in a notebook, in a real kernel, and as text where there are no widgets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from init import state
from tests.lab.support import ROOT, Place, snapshot_with
from tests.waiting import until

HOSTILE = "<script>alert(1)</script>\x1b[31m" + "x" * 10_000


def write(place: Place, **fields: Any) -> None:
    """A state with fields of a later runner."""
    data = json.loads(state.dump(snapshot_with())) | fields
    draft = place.run / ".draft"
    draft.write_text(json.dumps(data))
    draft.replace(place.run / "state.json")


def stage(name: str, status: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "kind": "command", "title": name, "needs": [], "state": status, "message": "", **fields}


def later() -> dict[str, Any]:
    """Much of everything, as it is now."""
    return {
        "headline": {"text": "Test in about 6 min", "tone": "busy", "repair": None, "service": "app"},
        "progress": 0.25,
        "stages": [
            stage(
                "nodes", "failed", consequence="nodes are gone", repair="firstlight retry nodes", started=1, ended=4.2
            ),
            stage(
                "models:big",
                "running",
                started=time.time() - 70,
                bytes_done=2_500_000_000,
                bytes_total=10**10,
                rate_bps=312e6,
                message="aria2",
            ),
            stage("after", "waiting", waits_for=["nodes", "models:big"]),
        ],
        "services": [
            {"id": "app", "title": "App", "state": "starting", "started": time.time() - 3, "message": "loads"}
        ],
        "sets": [
            {"name": "big", "bytes_total": 10**10, "bytes_have": 2_500_000_000, "selected": True, "files": 2},
            {"name": "huge", "bytes_total": 10**12, "bytes_have": 0, "problem": "needs 1.00 TB, 4.1 GB are free"},
        ],
    }


def text(place: Place) -> str:
    """What a plain Python without any package prints."""
    words = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'lab')!r})\n"
             "from firstlight_lab import progress\nassert progress() is None\n"
             "assert not {'jupyter_server', 'tornado', 'ipywidgets', 'traitlets'} & set(sys.modules)"]  # fmt: skip
    environ = {**os.environ, "FIRSTLIGHT_RUN": str(place.run), "FIRSTLIGHT_STATE": str(place.state)}
    return subprocess.run(words, env=environ, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.fixture
def place(tmp_path: Any) -> Place:
    return Place(tmp_path / "place")


def test_bytes_are_said_once(place: Place) -> None:
    said = "2.5 GB of 10.0 GB, 312 MB/s, 3 files left"
    running = stage("models:big", "running", bytes_done=2_500_000_000, bytes_total=10**10, rate_bps=312e6, message=said)
    write(place, stages=[running])
    with place.runner():
        shown = text(place)
    assert f"running    {said}" in shown


def test_plain_text_without_ipywidgets(place: Place) -> None:
    write(place, **later())
    with place.runner():
        shown = text(place)
    lines = shown.splitlines()
    assert lines[0] == "Test in about 6 min [25%]"
    assert "  nodes       failed     3.2 s" in lines
    assert "              nodes are gone" in lines
    assert "              to repair: firstlight retry nodes" in lines
    assert any(
        line.startswith("  models:big  running    ") and line.endswith(" s, 2.5 GB of 10.0 GB, 312 MB/s, aria2")
        for line in lines
    )
    assert "  after       waiting    waits for nodes, models:big" in lines
    assert "  big   selected   2.5 GB of 10.0 GB" in lines
    assert "        needs 1.00 TB, 4.1 GB are free" in lines


def test_the_state_as_it_is_today(place: Place) -> None:
    write(place)
    with place.runner():
        shown = text(place).splitlines()
    assert shown[0] == "Starting [0%]"
    assert "  nodes       done       4.5 s" in shown


@pytest.mark.parametrize(
    ("text_", "said"),
    [
        (None, "Nothing was started here yet: there is no state.json in "),
        ("{", "state.json cannot be read: "),
        ('{"schema": "firstlight.state/9"}', "was written by another version of Firstlight: "),
        (
            '{"schema": "firstlight.state/1"}',
            "The runner does not run: this was so earlier. supervisor starts it again",
        ),
    ],
)
def test_bad_days_in_plain_text(place: Place, text_: str | None, said: str) -> None:
    if text_ is not None:
        (place.run / "state.json").write_text(text_)
    assert said in text(place).splitlines()[1]


def test_fields_may_hold_anything(place: Place) -> None:
    odd: list[Any] = [None, 5, -1, 1e400, True, "x", [], [1], {}, {"a": 1}, [{}], [{"id": 5, "state": []}]]
    known = later()
    names = [*known, "phase", "title", "message", "updated", "eta_s"]
    from firstlight_lab.outline import lines, outline
    from firstlight_lab.reading import Reading, silent

    for value in odd:
        lines(outline(silent(Reading(dict.fromkeys(names, value))), 1.0))
        items = [dict.fromkeys([*known["stages"][1], *known["sets"][1], "waits_for", "ready_at"], value)]
        lines(outline(Reading({"stages": items, "services": items, "sets": items}), 1.0))


class Kernel:
    def __init__(self, client: BlockingKernelClient):
        self._client = client

    def run(self, code: str) -> str:
        """What it prints. An error fails the test."""
        printed: list[str] = []

        def hear(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        reply = self._client.execute_interactive(code, output_hook=hear, timeout=60)
        assert reply["content"]["status"] == "ok", "\n".join(reply["content"]["traceback"])
        return "".join(printed)

    def shown(self) -> tuple[str, float, str]:
        """Headline, share and table of the widget `view`, as the front end has them."""
        code = "import json; print(json.dumps([child.value for child in view.children]))"
        head, share, body = json.loads(self.run(code))
        return head, share, body

    def following(self) -> bool:
        code = "import threading; print([t.name for t in threading.enumerate()])"
        return "firstlight progress" in self.run(code)


@pytest.fixture
def kernel(place: Place) -> Iterator[Kernel]:
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "lab"),
        "FIRSTLIGHT_RUN": str(place.run),
        "FIRSTLIGHT_STATE": str(place.state),
    }
    manager, client = start_new_kernel(env=environ)
    try:
        yield Kernel(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_widget_follows_until_everything_has_settled(place: Place, kernel: Kernel) -> None:
    write(place, **later())
    with place.runner():
        kernel.run("from firstlight_lab import progress\nview = progress()\nview")
        head, share, body = kernel.shown()
        assert "<b>Test in about 6 min</b>" in head
        assert share == 0.25
        assert "312 MB/s" in body and "to repair: firstlight retry nodes" in body
        assert kernel.run("import sys; print('jupyter_server' in sys.modules, 'tornado.web' in sys.modules)") == (
            "False False\n"
        )
        ready = {"text": "Test is ready", "tone": "ready"}
        write(place, headline=ready, progress=1.0, phase="ready", stages=[stage("nodes", "done")], services=[])
        # Its parts follow one after the other.
        until(lambda: "Test is ready" in (shown := kernel.shown())[0] and shown[1] == 1.0, what="it is ready, whole")
        until(lambda: not kernel.following(), what="the thread ends")


def test_a_widget_calls_things_what_the_panel_calls_them(place: Place, kernel: Kernel) -> None:
    skipped = stage("models:big", "skipped", message="not selected; `firstlight models add big` fetches it")
    sets = [{"name": "big", "stage": "models:big", "bytes_total": 10**9, "bytes_have": 0}]
    write(place, stages=[skipped | {"title": "Big models"}], services=[], sets=sets)
    with place.runner():
        kernel.run("from firstlight_lab import progress\nview = progress()")
        body = kernel.shown()[2]
        assert body.count(">Big models</th>") == 2
        assert "not selected; <code>firstlight models add big</code> fetches it" in body


def test_a_widget_that_is_closed_is_left_alone(place: Place, kernel: Kernel) -> None:
    write(place, **later())
    with place.runner():
        kernel.run("from firstlight_lab import progress\nview = progress()")
        assert kernel.following()
        kernel.run("view.close()")
        until(lambda: not kernel.following(), what="the thread ends")


def test_a_widget_tells_that_the_runner_died(place: Place, kernel: Kernel) -> None:
    write(place, **later())
    with place.runner():
        kernel.run("from firstlight_lab import progress\nview = progress()")
        assert "does not run" not in kernel.shown()[0]
    until(lambda: "The runner does not run: this was so at " in kernel.shown()[0])
    with place.runner():
        until(lambda: "does not run" not in kernel.shown()[0])


def test_hostile_text_is_escaped(place: Place, kernel: Kernel) -> None:
    items = [stage(HOSTILE, HOSTILE, message=HOSTILE, consequence=HOSTILE, repair=HOSTILE, waits_for=[HOSTILE])]
    sets = [{"name": HOSTILE, "license": HOSTILE, "problem": HOSTILE}]
    write(place, headline={"text": HOSTILE, "tone": HOSTILE}, stages=items, services=items, sets=sets)
    with place.runner():
        kernel.run("from firstlight_lab import progress\nview = progress()")
        head, _, body = kernel.shown()
    assert "&lt;script&gt;" in head and body.count("&lt;script&gt;") > 10
    assert "<script" not in head + body and "\x1b" not in head + body
    assert "x" * 400 not in head + body
