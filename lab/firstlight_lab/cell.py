"""A cell of a guide: one live view that ends in three sentences, in a notebook or as plain text."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from . import runner
from .notebook import COLOURS, group, marked
from .outline import ENDED, SETTLED, Outline, lines, outline
from .reading import RUN, STATE, Reader, Reading, silent

PACE = 0.5
SILENT_FOR = 60.0
"""Seconds that a dead runner is waited for: supervisor starts it again."""
GO_ON = "Nothing. Go on with the next cell."
RUNNER_AWAY = "The set-up stands still; what runs goes on, and JupyterLab is not touched by it."


class Words(NamedTuple):
    """What every cell ends with."""

    so: str
    means: str
    do: str
    tone: str = "done"
    """`done`, `warning` or `failed`."""


class Machine:
    """What the runner of this machine says, and is asked."""

    def __init__(self) -> None:
        self.run = Path(os.environ.get("FIRSTLIGHT_RUN") or RUN)
        self.state = Path(os.environ.get("FIRSTLIGHT_STATE") or STATE)
        self._reader = Reader(self.run, self.state)

    @property
    def workspace(self) -> Path:
        return self.state.parent

    def look(self) -> Reading:
        """As the runner knows it now, else as it last wrote it down."""
        try:
            return Reading(runner.state(self.run))
        except (runner.Silent, runner.Refused):
            return silent(self._reader.look())

    def items(self) -> list[dict[str, Any]]:
        """Stages, and services with `service:` before their ids."""
        return items(self.look())

    def ask(self, do: str, **fields: Any) -> str:
        """Raises runner.Silent, runner.Refused."""
        return runner.ask(self.run, {"do": do, **fields})


def items(reading: Reading) -> list[dict[str, Any]]:
    state = reading.state or {}
    services = [{**one, "id": f"service:{one.get('id')}"} for one in state.get("services") or []]
    return [*(state.get("stages") or []), *services]


def settled(item: dict[str, Any]) -> bool:
    return item.get("state") in (SETTLED if str(item.get("id")).startswith("service:") else ENDED)


class Screen:
    """Where a cell shows itself: one output that is replaced, or lines where there is no notebook."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._last = ""

    def show(self, html: str, text: str) -> None:
        if html == self._last:
            return
        self._last = html
        shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        if getattr(shell, "kernel", None) is None:
            print(text, flush=True)
            return
        from IPython.display import display

        data = {"text/html": html, "text/plain": text}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(data, raw=True)


def follow(machine: Machine, ids: Sequence[str], screen: Screen) -> list[dict[str, Any]] | None:
    """Show these until each has ended; how they stand then. None when the user stopped watching, or the runner is away;
    that is said then."""
    heard = time.monotonic()
    try:
        while True:
            reading = machine.look()
            chosen = [item for item in items(reading) if item.get("id") in ids]
            if reading.problem is None:
                heard = time.monotonic()
                if all(map(settled, chosen)):
                    return chosen
            elif time.monotonic() - heard > SILENT_FOR or reading.state is None:
                tell(screen, Words(reading.problem.message, RUNNER_AWAY, reading.problem.remedy, "failed"))
                return None
            view = part(reading, ids)
            screen.show(_html(view), lines(view))
            time.sleep(PACE)
    except KeyboardInterrupt:
        tell(
            screen,
            Words("You stopped watching.", "The work itself goes on.", "Run this cell again to see it.", "warning"),
            part(machine.look(), ids),
        )
        return None


def part(reading: Reading, ids: Sequence[str]) -> Outline:
    """The outline of these only."""
    state = dict(reading.state or {})
    state["stages"] = [one for one in state.get("stages") or [] if one.get("id") in ids]
    state["services"] = [one for one in state.get("services") or [] if f"service:{one.get('id')}" in ids]
    names = {str(name).removeprefix("models:") for name in ids}
    state["sets"] = [one for one in state.get("sets") or [] if one.get("name") in names]
    return outline(Reading(state, reading.files, reading.problem), time.time())


def tell(screen: Screen, words: Words, view: Outline | None = None) -> None:
    """End the cell: what is so, what it means, and what to do."""
    parts = (("What is so", words.so), ("What it means", words.means), ("What to do", words.do))
    colour = COLOURS.get(words.tone, "inherit")
    said = "".join(f"<p><b>{title}.</b> {marked(text)}</p>" for title, text in parts if text)
    rows = "".join(group(title, rows) for title, rows in view.groups) if view is not None else ""
    screen.show(
        f'<div style="border-left: 4px solid {colour}; padding-left: 10px">{said}</div>{rows}',
        "\n".join([f"{title}: {text}" for title, text in parts if text] + ([lines(view)] if view is not None else [])),
    )


def ended(found: Sequence[dict[str, Any]], fine: Words) -> Words:
    """The sentences about what has ended: `fine`, or what is wrong with the first that is not."""
    bad = [item for item in found if item.get("state") in ("failed", "blocked", "degraded", "stopped")]
    if not bad:
        return fine
    first = next((item for item in bad if item.get("state") == "failed"), bad[0])
    means = " ".join(dict.fromkeys(str(item["consequence"]) for item in bad if item.get("consequence")))
    repair, mine = first.get("repair"), (first.get("result") or {}).get("without")
    do = f"Run the repair cell below (`guide.repair()`), or `{repair}` in a terminal." if repair else ""
    if mine and first.get("state") == "degraded":
        do = f"Correct {mine} or take it away, then run this cell again."
    tone = "warning" if first.get("state") == "degraded" else "failed"
    so = "; ".join(f"{item.get('title')}: {item.get('message') or item.get('state')}" for item in bad)
    return Words(so, means or "What needs it does not start.", do, tone)


def guarded(work: Callable[[Screen], None]) -> None:
    """One cell. A runner that is away or refuses is said, never raised."""
    screen = Screen()
    try:
        work(screen)
    except runner.Silent as away:
        tell(screen, Words(str(away), RUNNER_AWAY, "Run this cell again in a minute.", "failed"))
    except runner.Refused as refused:
        tell(screen, Words(f"The runner will not do it: {refused}", "Nothing has changed.", "", "warning"))
    except Exception as error:
        so = f"This cell could not make sense of what it found ({type(error).__name__}: {error})."
        tell(screen, Words(so, "The set-up is not touched by that.", "`!firstlight status` shows it.", "failed"))


def _html(view: Outline) -> str:
    problem = f'<div style="color: {COLOURS["warning"]}">{escape(view.problem)}</div>' if view.problem else ""
    return problem + "".join(group(title, rows) for title, rows in view.groups)
