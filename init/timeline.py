"""`firstlight timeline` and `blame`: what ran when, what was waited for, and which chain made the wait."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from init import history, lines
from init.history import History


def text(past: History, width: int) -> str:
    """Bars on a common scale, `width` columns wide."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(past.started))
    drawn = f"{bars(past, width)}x failed   ! degraded   ~ interrupted\n" if past.rows else "nothing has run yet\n"
    return f"{past.title}, start {past.boot}, {when}\n{drawn}"


def bars(past: History, width: int) -> str:
    """A line for each that ran, and the chain that made the wait."""
    rows, out = past.rows, []
    name = min(26, max(len(key) for key in rows))
    space = max(20, width - name - 14)
    scale = space / max(past.last, 0.001)
    out.append(f"{'':{name + 13}}{'0 s':<{space - 12}}{lines.span(past.last):>12}")
    for key in rows:
        bar = [" "] * space
        for span in past.of(key):
            first = min(space - 1, int(span.start * scale))
            last = min(space, max(first + 1, round((past.last if span.end is None else span.end) * scale)))
            mark = {"failed": "x", "degraded": "!", "interrupted": "~"}.get(
                span.state, "█" if key in past.critical else "▒"
            )
            bar[first:last] = mark * (last - first)
        star = "*" if key in past.critical else " "
        out.append(f"{star} {_cut(key, name):<{name}} {lines.span(past.took(key)):>10} {''.join(bar)}".rstrip())
    chain = " → ".join(f"{key} ({lines.span(past.took(key))})" for key in past.critical)
    out += ["", f"* waited for: {chain}"]
    return "\n".join(out) + "\n"


def main(folder: Path, boot: str | None, svg: Path | None) -> int:
    """0; 1 when there is no such start, or the picture cannot be written."""
    past = history.read(folder, boot)
    if past is None:
        what = f"no start {boot}" if boot else "no start"
        print(f"firstlight: {what} is noted in {folder / 'events.ndjson'}", file=sys.stderr)
        return 1
    if svg is None:
        print(text(past, _width()), end="")
        return 0
    from init import picture

    try:
        svg.write_text(picture.svg(past), encoding="utf-8")
    except OSError as error:
        print(f"firstlight: {svg} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def blame(folder: Path) -> int:
    """Everything that ran, the slowest first."""
    past = history.read(folder)
    if past is None:
        print(f"firstlight: no start is noted in {folder / 'events.ndjson'}", file=sys.stderr)
        return 1
    for key in sorted(past.rows, key=past.took, reverse=True):
        star = "*" if key in past.critical else " "
        waited = past.waited_for(key)
        began = f"after {lines.span(past.of(key)[0].start)}"
        print(
            f"{lines.span(past.took(key)):>12} {star} {key:<28} began {began}"
            + (f", behind {waited}" if waited else "")
        )
    return 0


def _cut(word: str, width: int) -> str:
    return word if len(word) <= width else f"{word[: width - 1]}…"


def _width() -> int:
    try:
        return min(160, os.get_terminal_size(sys.stdout.fileno()).columns - 1)
    except OSError:
        return 99
