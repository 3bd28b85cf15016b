"""The status as one sees it on a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from init import lines
from init.state import ServiceState, Snapshot, StageState
from init.views import Presence

GLYPHS: Mapping[str, tuple[str, str, str]] = {
    "done": ("✔", "+", "green"),
    "ready": ("✔", "+", "green"),
    "running": ("●", ">", "cyan"),
    "starting": ("●", ">", "cyan"),
    "verifying": ("◍", "=", "cyan"),
    "waiting": ("·", ".", "dim"),
    "skipped": ("–", "-", "dim"),
    "stopped": ("■", "#", "yellow"),
    "degraded": ("▲", "!", "yellow"),
    "failed": ("✘", "x", "red"),
    "blocked": ("◌", "o", "red"),
}
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
TONES: Mapping[str, str] = {
    "busy": "bold cyan",
    "ready": "bold green",
    "warning": "bold yellow",
    "error": "bold red",
}
AWAY: Mapping[str, tuple[str, str]] = {
    "away": (
        "The runner does not run",
        "supervisor starts it again; `firstlight logs init` tells why it ended.",
    ),
    "stopped": ("Nothing of it runs any more", "start the container, or `./buildkit.py run NAME --local`."),
}
BAR = 12
COMMAND = "`firstlight "
"""How a command begins that stands in a message."""


WIDEST = 4000
"""Columns where there is no terminal: nothing is cut there."""


def show(snapshot: Snapshot, runner: Presence = "here") -> None:
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(render(snapshot, runner, time.time(), console))
        return
    console.width = WIDEST
    for line in console.render_lines(render(snapshot, runner, time.time(), console), pad=False):
        print("".join(segment.text for segment in line).rstrip())


def follow(snapshots: Iterator[tuple[Snapshot, Presence]]) -> Snapshot:
    """Show until the last one, which stays on the screen and is returned."""
    console = Console(highlight=False)
    latest, runner = next(snapshots)

    def view() -> RenderableType:
        return render(latest, runner, time.time(), console, console.height - 1)

    with Live(get_renderable=view, console=console, refresh_per_second=8, vertical_overflow="crop"):
        for pair in snapshots:
            latest, runner = pair
    return latest


def render(
    snapshot: Snapshot, runner: Presence, now: float, console: Console, height: int | None = None
) -> RenderableType:
    """Everything; with a `height` in lines, what has ended well is drawn together when it would not fit."""
    plain = console.options.ascii_only
    parts = _all(snapshot, runner, now, plain, fold=False)
    if height is not None and _lines(parts, console) > height:
        parts = _all(snapshot, runner, now, plain, fold=True)
    return parts


def _lines(parts: RenderableType, console: Console) -> int:
    return len(console.render_lines(parts, pad=False))


def _all(snapshot: Snapshot, runner: Presence, now: float, plain: bool, fold: bool) -> Group:
    parts: list[RenderableType | None] = [_head(snapshot, runner, now)]
    if snapshot.message:
        parts.append(Text(snapshot.message, "yellow" if snapshot.phase != "failed" else "red"))
    stages = snapshot.stages
    if fold:
        parts += [_folded(stages, "done", plain), _folded(stages, "skipped", plain), _folded(stages, "waiting", plain)]
        stages = [stage for stage in stages if stage.state not in ("done", "skipped", "waiting")]
    if stages or snapshot.services:
        parts += ["", _table(stages, snapshot.services, now, plain)]
    parts += _troubles(snapshot)
    needed, free = snapshot.disk.get("needed", 0), snapshot.disk.get("free", 0)
    if needed:
        short = needed > free
        text = f"{lines.size(needed)} still to fetch, {lines.size(free)} free on the workspace"
        parts += ["", Text(text, "bold red" if short else "dim")]
    return Group(*[part for part in parts if part is not None])


def _head(snapshot: Snapshot, runner: Presence, now: float) -> Text:
    ended = [stage for stage in snapshot.stages if stage.state in ("done", "skipped", "degraded")]
    text = Text(snapshot.headline.text, TONES[snapshot.headline.tone])
    text.append(
        f"\n{len(ended)} of {len(snapshot.stages)} stages, started {lines.span(now - snapshot.boot.started)} ago", "dim"
    )
    if runner != "here":
        who, remedy = AWAY[runner]
        when = time.strftime("%H:%M:%S", time.localtime(snapshot.updated))
        text.append(f"\n{who}: this was so at {when}.", "bold yellow")
        text.append(f"\n{remedy}", "yellow")
    return text


def _folded(stages: Sequence[StageState], name: str, plain: bool) -> Text | None:
    ids = [stage.id for stage in stages if stage.state == name]
    if not ids:
        return None
    text = Text.assemble(_glyph(name, plain, 0.0), f" {len(ids)} {name}: ", (", ".join(ids), "dim"))
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _table(stages: Sequence[StageState], services: Sequence[ServiceState], now: float, plain: bool) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=1)
    table.add_column(min_width=12, max_width=26, no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right", width=10, no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    ended = {stage.id for stage in stages if stage.state in ("done", "skipped", "degraded")}
    for stage in stages:
        table.add_row(
            _glyph(stage.state, plain, now),
            Text(stage.id, _style(stage.state)),
            Text(_elapsed(stage.started, stage.ended, now) if stage.state != "waiting" else "", "dim"),
            _detail(stage, ended, plain),
        )
    if stages and services:
        table.add_row("", "", "", "")
    for service in services:
        until = service.ready_at if service.state == "ready" else None
        table.add_row(
            _glyph(service.state, plain, now),
            Text(service.title, "bold " + _style(service.state)),
            Text(_elapsed(service.started, until, now) if service.state in ("starting", "ready") else "", "dim"),
            _service(service),
        )
    return table


def _detail(stage: StageState, ended: set[str], plain: bool) -> RenderableType:
    if stage.state == "waiting":
        waits = [need for need in stage.needs if need not in ended]
        return _said(stage.message or (f"waits for {', '.join(waits)}" if waits else "waits for a free place"), "dim")
    if stage.state in ("running", "verifying") and stage.bytes_total:
        done, total = stage.bytes_done or 0, stage.bytes_total
        filled = min(BAR, BAR * done // total)
        full, empty = ("#", ".") if plain else ("█", "░")
        text = Text.assemble((full * filled + empty * (BAR - filled), "cyan"), f" {100 * done // total:3d} % ")
        text.append(_amount(done, total))
        if stage.state == "verifying":
            text.append(", verifying")
        elif stage.rate_bps:
            text.append(f", {lines.size(stage.rate_bps)}/s")
        else:
            text.append(f"  {stage.message}" if stage.message else "", "dim")
        return text
    if stage.state == "blocked":
        return _said(stage.message, "red")
    if stage.state in ("degraded", "failed"):
        return Text(f"{stage.state}, see below", _style(stage.state))
    if stage.state == "done" and stage.bytes_total and not stage.message:
        return Text(lines.size(stage.bytes_total), "dim")
    return _said(stage.message, "" if stage.state == "running" else "dim")


class _Advice:
    """A message with a command to type in it: the command is never cut, and begins a line of its own when both do not
    fit into one."""

    def __init__(self, message: str, style: str):
        self.text = Text(message, style, overflow="fold")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        at = self.text.plain.index(COMMAND)
        parts = self.text.divide([at]) if self.text.cell_len > options.max_width and at else [self.text]
        for part in parts:
            part.rstrip()
            part.no_wrap = False
            yield part


def _said(message: str, style: str) -> RenderableType:
    return _Advice(message, style) if COMMAND in message else Text(message, style)


def _amount(done: int, total: int) -> str:
    """`4.2 of 9.8 GB`."""
    first, second = lines.size(done), lines.size(total)
    return f"{first.split()[0]} of {second}" if first.split()[1] == second.split()[1] else f"{first} of {second}"


def _service(service: ServiceState) -> RenderableType:
    if service.state == "ready":
        text = Text(f"ready at {service.url}" if service.url else "ready")
        return text.append(f"  {service.restarts} restarts" if service.restarts else "", "yellow")
    if service.state == "waiting":
        return Text(f"starts after {', '.join(service.needs)}" if service.needs else "starts", "dim")
    if service.state == "failed":
        return Text("failed, see below", "red")
    return _said(service.message or service.state, "dim")


def _troubles(snapshot: Snapshot) -> list[RenderableType]:
    """What went wrong, what it means and what repairs it; what is only blocked is named with its cause."""
    parts: list[RenderableType] = []
    bad: list[StageState | ServiceState] = [s for s in snapshot.stages if s.state in ("degraded", "failed")]
    causes = {stage.repair for stage in bad}
    bad += [s for s in snapshot.services if s.state == "failed" and s.repair not in causes]
    for item in bad:
        style = _style(item.state)
        parts += ["", Text.assemble((f"{item.id} {item.state}", f"bold {style}"), ": ", item.message)]
        if item.consequence:
            parts.append(Padding(Text(item.consequence), (0, 0, 0, 2)))
        if item.repair:
            parts.append(Padding(Text.assemble(("to repair: ", "dim"), (item.repair, "bold")), (0, 0, 0, 2)))
    return parts


def _glyph(state: str, plain: bool, now: float) -> Text:
    fancy, simple, style = GLYPHS[state]
    if state in ("running", "starting") and not plain and now:
        fancy = SPINNER[int(now * 8) % len(SPINNER)]
    return Text(simple if plain else fancy, style)


def _style(state: str) -> str:
    return GLYPHS[state][2]


def _elapsed(started: float | None, ended: float | None, now: float) -> str:
    if started is None:
        return ""
    seconds = (ended or now) - started
    return "" if ended is not None and seconds < 0.05 else lines.span(max(0.0, seconds))
