"""BuildKit's progress (`--progress=rawjson`): read, kept as steps, and shown."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

KEPT_LINES = 200
_decoder = json.JSONDecoder()


def events(lines: Iterable[str]) -> Iterator[dict[str, Any] | str]:
    """Events as maps and everything else as lines of text, from the builder's standard error.

    buildx before 0.29 pretty-prints its objects over many lines, later ones write one a line.
    """
    held: list[str] = []
    for line in lines:
        if not held and not line.startswith("{"):
            yield line.rstrip("\n")
            continue
        held.append(line)
        if len(held) > 1 and not line.startswith("}"):
            continue
        text = "".join(held)
        while text.startswith("{"):
            try:
                event, end = _decoder.raw_decode(text)
            except ValueError:
                break
            yield event
            text = text[end:].lstrip()
        if text and not text.startswith("{"):
            yield text.rstrip("\n")
            text = ""
        held = [text] if text else []
    yield from (line.rstrip("\n") for line in held)


@dataclass
class Step:
    """One vertex of the build."""

    name: str
    started: float | None = None
    """Monotonic seconds at which it was first seen running."""
    seconds: float | None = None
    """How long it took; None: not ended."""
    cached: bool = False
    error: str = ""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    transfers: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Bytes done and in all, by what is transferred."""

    @property
    def running(self) -> bool:
        return self.started is not None and self.seconds is None

    @property
    def internal(self) -> bool:
        return self.name.startswith("[internal]")

    @property
    def detail(self) -> str:
        pairs = list(self.transfers.values())  # it is asked while another thread adds to them
        done, total = (sum(pair[n] for pair in pairs) for n in (0, 1))
        if total:
            return f"{done / 1e6:.0f} of {total / 1e6:.0f} MB"
        return self.lines[-1] if self.lines else ""


def _ignore(step: Step) -> None:
    pass


class Steps:
    """All steps so far, by digest, in the order of their appearance."""

    def __init__(self, on_end: Callable[[Step], None] = _ignore) -> None:
        self.by_digest: dict[str, Step] = {}
        self.text: list[str] = []
        """What the builder said besides events: its last error, an excerpt of the Dockerfile."""
        self._on_end = on_end

    def take(self, event: dict[str, Any] | str) -> None:
        if isinstance(event, str):
            self.text.append(event)
            return
        for vertex in event.get("vertexes") or []:
            self._vertex(vertex)
        for status in event.get("statuses") or []:
            step = self.by_digest.get(status.get("vertex", ""))
            if step and status.get("total"):
                step.transfers[status["id"]] = (status.get("current", 0), status["total"])
        for log in event.get("logs") or []:
            step = self.by_digest.get(log.get("vertex", ""))
            if step:
                text = base64.b64decode(log.get("data") or "").decode(errors="replace")
                step.lines.extend(line for line in re.split(r"[\r\n]+", text) if line.strip())

    def _vertex(self, vertex: dict[str, Any]) -> None:
        step = self.by_digest.setdefault(vertex["digest"], Step(_one_line(vertex.get("name", ""))))
        if vertex.get("started") and step.started is None:
            step.started = time.monotonic()
        if vertex.get("error"):
            step.error = vertex["error"]
        if vertex.get("completed") and step.seconds is None:
            step.cached = bool(vertex.get("cached"))
            step.seconds = time.monotonic() - (step.started or time.monotonic())
            self._on_end(step)

    @property
    def running(self) -> list[Step]:
        return [step for step in list(self.by_digest.values()) if step.running]

    @property
    def failed(self) -> Step | None:
        """The step that failed by itself; others are cancelled because of it."""
        wrong = [step for step in self.by_digest.values() if step.error]
        return next((step for step in wrong if "context canceled" not in step.error), wrong[0] if wrong else None)


def _one_line(name: str) -> str:
    """A step's name without what it mounts, which is long and the same everywhere."""
    words = [word for word in name.split() if not word.startswith("--mount=") and word != "\\"]
    return " ".join(words)


def _end_words(step: Step) -> str:
    if step.error:
        return "cancelled" if "context canceled" in step.error else "failed"
    return "cached" if step.cached else f"{step.seconds or 0:.1f} s"


class Lines:
    """Plain lines, for logs: each step when it ends, and what a long one does meanwhile."""

    def __init__(self, out: TextIO, every: float = 15.0) -> None:
        self._out, self._every, self._spoke = out, every, time.monotonic()
        self._over = threading.Event()
        self._named: set[str] = set()
        self._pulse = threading.Thread(target=self._beat, daemon=True)
        self.steps = Steps(self._ended)

    def __enter__(self) -> Lines:
        self._pulse.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._pulse.join()
        self._out.flush()

    def _say(self, text: str) -> None:
        print(text, file=self._out, flush=True)
        self._spoke = time.monotonic()

    def _ended(self, step: Step) -> None:
        if not step.internal or step.error:
            self._say(f"  {_end_words(step):>9}  {_short(step.name, 120)}")

    def _beat(self) -> None:
        while not self._over.wait(min(1.0, self._every)):
            running = [step for step in self.steps.running if not step.internal]
            for step in running:
                if step.name not in self._named:
                    self._named.add(step.name)
                    self._say(f"> {_short(step.name, 160)}")
            if time.monotonic() - self._spoke >= self._every:
                for step in running:
                    seconds = time.monotonic() - (step.started or 0)
                    self._say(f"  {seconds:7.0f} s  {_short(step.name, 60)}: {_short(step.detail, 80)}")


class Screen:
    """A live view for a terminal: ended steps scroll away above, running ones stand below."""

    def __init__(self, console: Console) -> None:
        self.steps = Steps(on_end=self._ended)
        self._live = Live(console=console, get_renderable=self._picture, refresh_per_second=5, transient=True)

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()

    def _ended(self, step: Step) -> None:
        if step.internal and not step.error:
            return
        style = "red" if step.error else "dim" if step.cached else ""
        self._live.console.print(
            Text(f"{_end_words(step):>9}  {step.name}", style=style, no_wrap=True, overflow="ellipsis")
        )

    def _picture(self) -> RenderableType:
        rows: list[RenderableType] = []
        for step in self.steps.running:
            seconds = time.monotonic() - (step.started or time.monotonic())
            rows.append(Text(f"{seconds:7.0f} s  {step.name}", style="bold", no_wrap=True, overflow="ellipsis"))
            if step.detail:
                rows.append(Text(f"           {step.detail}", style="dim", no_wrap=True, overflow="ellipsis"))
        return Group(*rows)


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def view(out: TextIO) -> Lines | Screen:
    """The view that suits `out`."""
    if out.isatty():
        return Screen(Console(file=out))
    return Lines(out)
