"""`progress()`: the same state in a notebook, and as plain text where there are no widgets."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from html import escape
from pathlib import Path
from typing import Any

from . import runner
from .outline import Outline, Row, lines, outline
from .reading import RUN, STATE, Reader, Reading, silent

PACE = 1.0
COLOURS = {
    "ready": "var(--jp-success-color1, #2e7d32)",
    "done": "var(--jp-success-color1, #2e7d32)",
    "warning": "var(--jp-warn-color1, #b26a00)",
    "degraded": "var(--jp-warn-color1, #b26a00)",
    "error": "var(--jp-error-color1, #c62828)",
    "failed": "var(--jp-error-color1, #c62828)",
    "blocked": "var(--jp-error-color1, #c62828)",
    "running": "var(--jp-brand-color1, #1565c0)",
    "verifying": "var(--jp-brand-color1, #1565c0)",
    "starting": "var(--jp-brand-color1, #1565c0)",
}


def progress() -> Any:
    """Show what this machine is setting up, until nothing more happens by itself.

    In a notebook a widget, to be the last expression of a cell; elsewhere, or without ipywidgets, it prints and
    returns None. The folders FIRSTLIGHT_RUN and FIRSTLIGHT_STATE say where the state is.
    """
    source = _Source()
    widgets = _widgets()
    if widgets is None:
        print(lines(source.view()))
        return None
    head, bar, body = widgets.HTML(), widgets.FloatProgress(min=0.0, max=1.0), widgets.HTML()
    bar.layout.width = body.layout.width = "100%"
    bar.description_allow_html = False
    view = widgets.VBox([head, bar, body])
    _show(view, source.view())
    threading.Thread(target=_follow, args=(view, source), name="firstlight progress", daemon=True).start()
    return view


class _Source:
    def __init__(self) -> None:
        self._run = Path(os.environ.get("FIRSTLIGHT_RUN") or RUN)
        self._reader = Reader(self._run, Path(os.environ.get("FIRSTLIGHT_STATE") or STATE))
        self._last: tuple[Reading, bool] | None = None

    def view(self) -> Outline:
        self._last = self._look()
        reading, alive = self._last
        return outline(reading if alive else silent(reading), time.time())

    def changed(self) -> bool:
        reading, alive = self._look()
        return self._last is None or reading is not self._last[0] or alive is not self._last[1]

    def _look(self) -> tuple[Reading, bool]:
        return self._reader.look(), runner.alive(self._run)


def _follow(view: Any, source: _Source) -> None:
    """Keep `view` up to date; ends when it was closed, or nothing more will happen."""
    while view.comm is not None:
        time.sleep(PACE)
        if source.changed():
            now = source.view()
            _show(view, now)
            if now.settled and not now.problem:
                return


def _show(view: Any, now: Outline) -> None:
    head, bar, body = view.children
    head.value = _head(now)
    bar.value = now.share or 0.0
    bar.layout.display = None if now.share is not None else "none"
    body.value = "".join(group(title, rows) for title, rows in now.groups)


def _head(now: Outline) -> str:
    problem = f'<div style="color: {COLOURS["warning"]}">{escape(now.problem)}</div>' if now.problem else ""
    return f'<div style="color: {COLOURS.get(now.tone, "inherit")}"><b>{escape(now.headline)}</b></div>{problem}'


def group(title: str, rows: tuple[Row, ...]) -> str:
    """Rows under a title, as HTML."""
    body = "".join(_row(row) for row in rows)
    return (
        '<table style="width: 100%; table-layout: fixed">'
        f'<caption style="text-align: left"><b>{escape(title)}</b></caption>{body}</table>'
    )


def _row(row: Row) -> str:
    bar = "" if row.share is None else f' <progress max="1" value="{row.share:.3f}"></progress>'
    detail = "<br>".join(marked(text) for text in (row.detail, *row.notes) if text)
    return (
        f'<tr><th scope="row" style="text-align: left; width: 26%">{escape(row.title)}</th>'
        f'<td style="color: {COLOURS.get(row.state, "inherit")}; width: 12%">{escape(row.state)}</td>'
        f'<td style="text-align: left; overflow-wrap: anywhere">{detail}{bar}</td></tr>'
    )


def marked(text: str) -> str:
    """A text as HTML, with `commands` as such."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _widgets() -> Any:
    """ipywidgets, where a notebook can show them; else None."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if getattr(shell, "kernel", None) is None:
        return None
    try:
        import ipywidgets
    except ImportError:
        return None
    return ipywidgets
