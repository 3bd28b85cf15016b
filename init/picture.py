"""The timeline as SVG: one file, no script, readable on light and dark."""

from __future__ import annotations

import textwrap
import time
from html import escape

from init import lines
from init.graph import SERVICE
from init.history import History, Span

ROW, TOP, LEFT, WIDE, RIGHT = 24, 64, 244, 748, 200
NAME, LINE = 26, 140
"""Letters that fit beside the bars, and below them on one line."""
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1c2733; }
  .quiet { fill: #5b6875; } .head { font-weight: 600; font-size: 15px; fill: #1c2733; }
  .key { font-weight: 600; }
  .grid { stroke: #d8dee5; } .page { fill: #ffffff; }
  .bar { fill: #9db4cc; } .critical { fill: #2f6fb5; }
  .service { fill: #8bb99a; } .critical.service { fill: #2e8b57; }
  .bar.failed { fill: #c8453b; } .bar.degraded { fill: #d99a1c; } .bar.interrupted { fill: #a9a9a9; }
  .foreseen { fill: #7d8791; opacity: .55; }
  @media (prefers-color-scheme: dark) {
    text, .head { fill: #e4e9ee; } .quiet { fill: #9aa7b4; } .grid { stroke: #36424e; } .page { fill: #171d23; }
    .bar { fill: #4d6a87; } .critical { fill: #6fb0f5; }
    .service { fill: #3f6b4e; } .critical.service { fill: #62c48b; }
  }
""".strip("\n")


def svg(past: History) -> str:
    """The picture. Names may hold anything: they are escaped."""
    rows, total = past.rows, max(past.last, 0.001)
    chain = " → ".join(f"{_name(key)} ({lines.span(past.took(key))})" for key in past.critical)
    below = textwrap.wrap(f"waited for: {chain}", LINE)
    bottom = TOP + ROW * len(rows)
    height, width = bottom + 44 + 18 * len(below), LEFT + WIDE + RIGHT
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(past.started))
    title = textwrap.shorten(past.title, 60, placeholder="…")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' role="img">',
        f"<title>{_safe(past.title)}: timeline of start {_safe(past.boot)}</title>",
        f"<style>\n{STYLE}\n</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
        f'<text x="12" y="26"><tspan class="head">{_safe(title)}</tspan><tspan class="quiet" dx="14">'
        f"{when}, {lines.span(past.last)}, start {_safe(past.boot)}</tspan></text>",
    ]
    for second in _ticks(total):
        x = LEFT + WIDE * second / total
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{bottom + 4}"/>')
        parts.append(f'<text class="quiet" x="{x:.1f}" y="{TOP - 13}" text-anchor="middle">{_tick(second)}</text>')
    for number, key in enumerate(rows):
        parts += _row(past, key, TOP + ROW * number, total)
    parts += _legend(past, bottom + 24)
    parts += [
        f'<text class="quiet" x="12" y="{bottom + 50 + 18 * number}">{_safe(line)}</text>'
        for number, line in enumerate(below)
    ]
    return "\n".join([*parts, "</svg>", ""])


def _row(past: History, key: str, y: int, total: float) -> list[str]:
    """The name, a bar for every stretch, and how long they took together."""
    name, weight = _name(key), ' class="key"' if key in past.critical else ""
    label = f"<title>{_safe(name)}</title>{_safe(name if len(name) <= NAME else name[: NAME - 1] + '…')}"
    end = max(past.last if span.end is None else span.end for span in past.of(key))
    foreseen = past.foreseen(key)
    took = lines.span(past.took(key)) + (f", foreseen {lines.about(foreseen)}" if foreseen is not None else "")
    return [
        f'<text x="{LEFT - 10}" y="{y + 15}" text-anchor="end"{weight}>{label}</text>',
        *(_bar(past, span, y, total) for span in past.of(key)),
        *_foreseen(past, key, y, total),
        f'<text class="quiet" x="{LEFT + WIDE * end / total + 6:.1f}" y="{y + 15}">{took}</text>',
    ]


def _foreseen(past: History, key: str, y: int, total: float) -> list[str]:
    """A thin line below the bar; what was foreseen beyond the picture's end is cut there."""
    if key not in past.predicted:
        return []
    start, end = (min(total, seconds) for seconds in past.predicted[key])
    x, width = LEFT + WIDE * start / total, WIDE * (end - start) / total
    if width <= 0:
        return []
    return [f'<rect class="foreseen" x="{x:.1f}" y="{y + ROW - 3}" width="{max(2.0, width):.1f}" height="2"/>']


def _legend(past: History, y: int) -> list[str]:
    """What the colours mean, as far as they occur."""
    texts = {
        "bar critical": "made the wait",
        "bar": "beside it",
        "bar critical service": "service that was waited for",
        "bar service": "service",
        "bar degraded": "degraded",
        "bar failed": "failed",
        "bar interrupted": "interrupted",
    }
    found = {_classes(past, span) for span in past.spans}
    parts, x = [], LEFT
    for names, text in texts.items():
        if names in found:
            parts.append(f'<rect class="{names}" x="{x}" y="{y - 10}" width="16" height="11" rx="3"/>')
            parts.append(f'<text class="quiet" x="{x + 22}" y="{y}">{text}</text>')
            x += 22 + 7 * len(text) + 18
    if past.predicted:
        parts.append(f'<rect class="foreseen" x="{x}" y="{y - 5}" width="16" height="2"/>')
        parts.append(f'<text class="quiet" x="{x + 22}" y="{y}">foreseen at the start</text>')
    return parts


def _classes(past: History, span: Span) -> str:
    if span.state in ("failed", "degraded", "interrupted"):
        return f"bar {span.state}"
    critical = " critical" if span.id in past.critical else ""
    return f"bar{critical}{' service' if span.id.startswith(SERVICE) else ''}"


def _bar(past: History, span: Span, y: int, total: float) -> str:
    end = past.last if span.end is None else span.end
    x, width = LEFT + WIDE * span.start / total, max(2.0, WIDE * (end - span.start) / total)
    waited = past.waited_for(span.id)
    words = f"{_name(span.id)}: {span.state}, {lines.span(span.start)} to {lines.span(end)}"
    words += f", waited for {_name(waited)}" if waited else ""
    return (
        f'<rect class="{_classes(past, span)}" x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="{ROW - 7}" rx="3">'
        f"<title>{_safe(words)}</title></rect>"
    )


def _ticks(total: float) -> list[float]:
    step = next(s for s in (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 36000, 1e9) if total / s <= 10)
    return [step * number for number in range(int(total / step) + 1)]


def _tick(second: float) -> str:
    minutes, rest = divmod(round(second), 60)
    if not minutes:
        return f"{second:g} s"
    return f"{minutes // 60}:{minutes % 60:02d} h" if minutes >= 60 else f"{minutes}:{rest:02d} min"


def _name(key: str) -> str:
    """A stage and a service are often called the same."""
    return f"{key.removeprefix(SERVICE)} (service)" if key.startswith(SERVICE) else key


def _safe(text: str) -> str:
    """Text for XML: escaped, and without the characters that XML cannot hold."""
    return escape("".join(c if c.isprintable() else "�" for c in text))
