"""The state in rows of plain text, for views that are neither the panel nor a terminal of the runner's.

What a row says is the runner's wording. Fields may be missing or hold anything: what cannot be shown is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .logs import clean
from .reading import Reading

LONGEST = 300
"""Letters of one text."""
ENDED = frozenset({"done", "skipped", "degraded", "failed", "blocked"})
SETTLED = frozenset({"ready", "failed", "stopped"})
ACTIVE = frozenset({"running", "verifying", "starting"})


@dataclass(frozen=True)
class Row:
    id: str
    title: str
    """What the panel calls it."""
    state: str
    detail: str
    notes: tuple[str, ...] = ()
    """What it means, and what repairs it."""
    share: float | None = None


@dataclass(frozen=True)
class Outline:
    headline: str
    tone: str
    share: float | None
    problem: str
    groups: tuple[tuple[str, tuple[Row, ...]], ...]
    settled: bool
    """Nothing more will happen by itself."""


def outline(reading: Reading, now: float) -> Outline:
    state = reading.state or {}
    problem = reading.problem
    head = state.get("headline")
    head = head if isinstance(head, dict) else {}
    phase = _text(state.get("phase"))
    title = _text(state.get("title")) or "Firstlight"
    headline = _text(head.get("text")) or f"{title}: {_text(state.get('message')) or phase or 'not known'}"
    if head.get("repair"):
        headline += f" ({_text(head['repair'])})"
    stages, services, sets = (_items(state.get(name)) for name in ("stages", "services", "sets"))
    titles = {_text(item.get("id")): _text(item.get("title")) for item in stages}
    groups = (
        ("Stages", tuple(_row(item, now) for item in stages)),
        ("Services", tuple(_row(item, now) for item in services)),
        ("Models", tuple(_set(item, titles) for item in sets)),
    )
    return Outline(
        headline=headline,
        tone=_text(head.get("tone")) or "busy",
        share=_share(state.get("progress"), 1),
        problem=f"{_text(problem.message)} {_text(problem.remedy)}" if problem else "",
        groups=tuple(group for group in groups if group[1]),
        settled=phase in ("ready", "degraded", "failed")
        and all(item.get("state") in ENDED for item in stages)
        and all(item.get("state") in SETTLED for item in services),
    )


def lines(view: Outline) -> str:
    """The outline as plain text."""
    share = "" if view.share is None else f" [{view.share:.0%}]"
    out = [f"{view.headline}{share}"] + ([view.problem] if view.problem else [])
    for title, rows in view.groups:
        width = min(26, max(len(row.id) for row in rows))
        out += ["", title]
        for row in rows:
            out.append(f"  {row.id:<{width}}  {row.state:<9}  {row.detail}".rstrip())
            out += [f"  {'':{width}}  {note}" for note in row.notes]
    return "\n".join(out)


def size(count: float) -> str:
    """Bytes for people: `4.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or abs(count) >= 99.95 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} TB"


def span(seconds: float) -> str:
    """Seconds for people: `3.2 s`, `2 min 05 s`, `1 h 12 min`, `3 d 02 h`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def _row(item: Mapping[str, Any], now: float) -> Row:
    state = _text(item.get("state"))
    done, total, rate = (_number(item.get(name)) for name in ("bytes_done", "bytes_total", "rate_bps"))
    words = []
    started, ended = _number(item.get("started")), _number(item.get("ended") or item.get("ready_at"))
    if started is not None and (ended is not None or state in ACTIVE):
        words.append(span(max(0.0, (now if ended is None else ended) - started)))
    message = _text(item.get("message"))
    # The runner's sentence begins with the bytes, where it has any.
    if state in ACTIVE and done is not None and f" of {size(total or 0)}" not in message:
        words.append(size(done) + (f" of {size(total)}" if total else ""))
        words += [f"{size(rate)}/s"] if rate else []
    if waits := ", ".join(_text(each) for each in _list(item.get("waits_for"))):
        words.append(_text(f"waits for {waits}"))
    words += [message]
    repair = _text(item.get("repair"))
    notes = (_text(item.get("consequence")), f"to repair: {repair}" if repair else "")
    share = _share(done, total) if state in ACTIVE else None
    name, detail = _text(item.get("id")), ", ".join(filter(None, words))
    return Row(name, _text(item.get("title")) or name, state, detail, tuple(filter(None, notes)), share)


def _set(item: Mapping[str, Any], titles: Mapping[str, str]) -> Row:
    have, total = _number(item.get("bytes_have")), _number(item.get("bytes_total"))
    words = [f"{size(have or 0)} of {size(total)}" if total is not None else size(have or 0)]
    verified, files = _number(item.get("verified")), _number(item.get("files"))
    words += ["verified"] if verified and files and verified >= files else []
    words += [_text(item.get("license"))]
    state = "paused" if item.get("paused") is True else "selected" if item.get("selected") is True else ""
    notes = tuple(filter(None, [_text(item.get("problem"))]))
    name, detail = _text(item.get("name")), ", ".join(filter(None, words))
    return Row(name, titles.get(_text(item.get("stage"))) or name, state, detail, notes, _share(have, total))


def _items(value: Any) -> list[dict[str, Any]]:
    return [item for item in _list(value) if isinstance(item, dict)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    """One line without control characters, and not too long."""
    if not isinstance(value, str):
        return ""
    text = " ".join(clean(value[: 10 * LONGEST].encode("utf-8", "replace")).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _number(value: Any) -> float | None:
    try:
        number = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _share(part: Any, whole: Any) -> float | None:
    part, whole = _number(part), _number(whole)
    return min(1.0, max(0.0, part / whole)) if part is not None and whole else None
