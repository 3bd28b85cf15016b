"""The timeline as SVG: one file, no script, readable on light and dark."""

from __future__ import annotations

from html import escape

from init import lines
from init.timeline import History, Span

ROW, TOP, LEFT, WIDE, RIGHT = 24, 56, 220, 760, 110
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1c2733; }
  .quiet { fill: #5b6875; } .head { font-weight: 600; font-size: 15px; }
  .grid { stroke: #d8dee5; } .page { fill: #ffffff; }
  .bar { fill: #9db4cc; } .critical { fill: #2f6fb5; }
  .service { fill: #8bb99a; } .critical.service { fill: #2e8b57; }
  .failed { fill: #c8453b; } .degraded { fill: #d99a1c; } .interrupted { fill: #a9a9a9; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e4e9ee; } .quiet { fill: #9aa7b4; } .grid { stroke: #36424e; } .page { fill: #171d23; }
    .bar { fill: #4d6a87; } .critical { fill: #6fb0f5; }
    .service { fill: #3f6b4e; } .critical.service { fill: #62c48b; }
  }
""".strip("\n")


def svg(past: History) -> str:
    """The picture. Names may hold anything: they are escaped."""
    rows = past.rows
    height, width = TOP + ROW * len(rows) + 40, LEFT + WIDE + RIGHT
    total = max(past.last, 0.001)
    chain = " → ".join(past.critical)
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{_safe(past.title)}: timeline of start {_safe(past.boot)}</title>",
        f"<style>\n{STYLE}\n</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
        f'<text class="head" x="12" y="24">{_safe(past.title)}</text>',
        f'<text class="quiet" x="{LEFT}" y="24">start {_safe(past.boot)}, {lines.span(past.last)}</text>',
    ]
    for second in _ticks(total):
        x = LEFT + WIDE * second / total
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{height - 34}"/>')
        parts.append(f'<text class="quiet" x="{x:.1f}" y="{TOP - 12}" text-anchor="middle">{_tick(second)}</text>')
    for number, key in enumerate(rows):
        y = TOP + ROW * number
        weight = ' font-weight="600"' if key in past.critical else ""
        parts.append(f'<text x="{LEFT - 10}" y="{y + 15}" text-anchor="end"{weight}>{_safe(_short(key))}</text>')
        parts += [_bar(past, span, y, total) for span in past.of(key)]
        ends = [past.last if span.end is None else span.end for span in past.of(key)]
        x = LEFT + WIDE * max(ends) / total + 6
        parts.append(f'<text class="quiet" x="{x:.1f}" y="{y + 15}">{lines.span(past.took(key))}</text>')
    parts.append(f'<text class="quiet" x="12" y="{height - 14}">waited for: {_safe(chain)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _bar(past: History, span: Span, y: int, total: float) -> str:
    end = past.last if span.end is None else span.end
    x, width = LEFT + WIDE * span.start / total, max(2.0, WIDE * (end - span.start) / total)
    names = ["bar"]
    names += ["critical"] if span.id in past.critical else []
    names += ["service"] if span.id.startswith("service:") else []
    names += [span.state] if span.state in ("failed", "degraded", "interrupted") else []
    waited = past.waited_for(span.id)
    words = f"{span.id}: {span.state}, {lines.span(span.start)} to {lines.span(end)}"
    words += f", waited for {waited}" if waited else ""
    return (
        f'<rect class="{" ".join(names)}" x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="{ROW - 7}" rx="3">'
        f"<title>{_safe(words)}</title></rect>"
    )


def _ticks(total: float) -> list[float]:
    step = next(s for s in (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 36000, 1e9) if total / s <= 10)
    return [step * number for number in range(int(total / step) + 1)]


def _tick(second: float) -> str:
    return f"{second:g} s" if second < 60 else f"{second / 60:g} min" if second < 3600 else f"{second / 3600:g} h"


def _short(key: str) -> str:
    name = key.removeprefix("service:")
    return name if len(name) <= 30 else f"{name[:29]}…"


def _safe(text: str) -> str:
    """Text for XML: escaped, and without the characters that XML cannot hold."""
    return escape("".join(c if c.isprintable() else "�" for c in text))
