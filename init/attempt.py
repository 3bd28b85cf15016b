"""One stage from its record to its end: nothing to do, or attempts with growing pauses until one holds."""

from __future__ import annotations

import contextlib
import errno
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from init import record, workplace
from init.failure import StageFailed
from init.lines import span
from init.plan import Plan, Stage
from init.record import Record
from init.redact import Redactor
from init.specs import ModelsSpec
from init.stages import Handler
from init.stages.context import Outcome

LATE = 15.0
"""Seconds after its deadline at which a handler that is busy without a child is told to give up."""


class Interrupted(Exception):
    """The runner ends, or the user took the stage back."""


@dataclass
class End:
    """How a stage ended."""

    state: Literal["done", "skipped", "degraded", "failed"]
    message: str = ""
    consequence: str | None = None
    result: dict[str, Any] = field(default_factory=dict)
    mark: str = ""
    """Goes into the fingerprints of what is made on top of it."""
    took: float | None = None
    """Seconds; None when a record spared the work."""


@dataclass
class Attempt:
    """What one stage needs to run. `cancel` ends it from outside, with Interrupted."""

    plan: Plan
    stage: Stage
    handler: Handler
    environ: Mapping[str, str]
    redactor: Redactor
    tell: Callable[..., None]
    """Changes fields of the stage's state."""
    marks: Mapping[str, str]
    """Of the stages that it hard-needs."""
    results: Mapping[str, dict[str, Any]]
    fetcher: Callable[[], Any] = lambda: None
    again: bool = False
    """Work even if the record says that it is done."""
    pause: Callable[[int], float] = lambda attempt: min(60.0, 2.0 * 4.0 ** (attempt - 1))
    part: tuple[int, int] | None = None
    echo: Callable[[str], None] | None = None
    """Baking: shows the programs' lines, which then also run at full priority."""
    cancel: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._current = threading.Event()
        self._began = time.time()
        self._over = False
        self._telling = threading.Lock()
        self._fingerprint = ""

    def end(self) -> None:
        """Once this returns, nothing more is told."""
        with self._telling:
            self.cancel.set()
        self._current.set()

    def fresh(self) -> bool:
        """Whether there is work in any case: nothing was done before that could spare it."""
        return self.again or record.read(self.plan, self.stage) is None

    def run(self) -> End:
        """Raises Interrupted; every other mishap is an End."""
        try:
            return self._attempts()
        finally:
            self._over = True

    def _attempts(self) -> End:
        attempts, attempt = max(1, self.stage.attempts), 1
        while True:
            if self.cancel.is_set():
                raise Interrupted
            try:
                return self._once(attempt)
            except StageFailed as error:
                failure = error
            if self.cancel.is_set():
                raise Interrupted
            text = _sentence(failure)
            if not failure.retry or attempt >= attempts:
                return self._failed(failure, text)
            wait = self.pause(attempt)
            self._tell(message=f"attempt {attempt} of {attempts} failed: {text}; again in {wait:.0f} s", rate_bps=None)
            if self.cancel.wait(wait):
                raise Interrupted
            attempt += 1

    def _once(self, attempt: int) -> End:
        self._current = threading.Event()
        if self.cancel.is_set():
            raise Interrupted
        log = workplace.log_file(self.plan, self.stage.id)
        late = threading.Timer(self.stage.within + LATE, self._current.set)
        late.daemon = True
        timed = self.stage.kind != "models"
        try:
            context = workplace.context(
                self.plan,
                self.stage,
                environ=self.environ,
                redactor=self.redactor,
                results=self.results,
                report=self._report,
                cancel=self._current,
                fetcher=self.fetcher,
                part=self.part,
                echo=self.echo,
            )
            known = None if self.again and attempt == 1 else record.read(self.plan, self.stage)
            fingerprint = self._fingerprint = record.fingerprint(self.stage, self.handler.abi(context), self.marks)
            if known and known.fingerprint == fingerprint and self.part is None and intact(self.plan, self.stage):
                return End(known.state, known.message, known.consequence, known.result, self._mark(known))
            record.drop(self.plan, self.stage)
            self._tell(state="running", attempt=attempt, message="")
            if timed:
                late.start()
            outcome = self.handler.run(context)
            if self.cancel.is_set() and outcome.state != "done":
                raise Interrupted
            return self._done(outcome, fingerprint)
        except (StageFailed, Interrupted):
            if self._current.is_set() and not self.cancel.is_set():
                raise StageFailed(f"did not end within {span(self.stage.within)} and was stopped") from None
            raise
        except Exception as error:
            self._write_traceback(log)
            raise _failure(error, log) from error
        finally:
            late.cancel()

    def _done(self, outcome: Outcome, fingerprint: str) -> End:
        took = time.time() - self._began
        end = End(outcome.state, outcome.message, outcome.consequence, outcome.result, fingerprint, took)
        if outcome.state != "skipped" and (self.part is None or self.part[0] == self.part[1]):
            end.mark = self._keep(outcome.state, outcome, fingerprint, took)
        return end

    def _failed(self, failure: StageFailed, text: str) -> End:
        consequence, took = failure.consequence or self.stage.consequence, time.time() - self._began
        if self.stage.on_failure == "fail":
            return End("failed", text, consequence, failure.result, took=took)
        end = End("degraded", text, consequence, failure.result, self._fingerprint, took)
        if not failure.retry and self._fingerprint:
            # It would end the same way at every start, and what needs it would wait for that every time.
            with contextlib.suppress(StageFailed):
                outcome = Outcome("degraded", text, consequence, failure.result)
                end.mark = self._keep("degraded", outcome, self._fingerprint, took)
        return end

    def _keep(self, state: Literal["done", "degraded"], outcome: Outcome, fingerprint: str, took: float) -> str:
        kept = Record(
            stage=self.stage.id,
            fingerprint=fingerprint,
            state=state,
            ended=record.now(),
            took=None if self.echo else round(took, 2),
            message=self.redactor.text(outcome.message),
            consequence=outcome.consequence,
            result=self.redactor.value(outcome.result),
            made=[str(path) for path in outcome.made],
        )
        try:
            record.write(self.plan, self.stage, kept)
        except OSError as error:
            raise StageFailed(
                f"its work is done, but cannot be noted down: {error.strerror or error}",
                hint="free some space on the disk",
            ) from None
        return self._mark(kept)

    def _mark(self, kept: Record) -> str:
        # Model files are what their hashes say, however often they were fetched.
        return kept.fingerprint if self.stage.kind == "models" else kept.mark

    def _report(
        self,
        *,
        message: str | None = None,
        done: int | None = None,
        total: int | None = None,
        rate: float | None = None,
        verifying: bool = False,
    ) -> None:
        told = {"message": message, "bytes_done": done, "bytes_total": total, "rate_bps": rate}
        changes: dict[str, Any] = {name: value for name, value in told.items() if value is not None}
        self._tell(state="verifying" if verifying else "running", **changes)

    def _tell(self, **changes: Any) -> None:
        # Whoever took the stage back has said how it stands: a late word must not set it at work again.
        with self._telling:
            if not (self._over or self.cancel.is_set()):
                self.tell(**changes)

    def _write_traceback(self, log: Path) -> None:
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("a", encoding="utf-8") as file:
                file.write(self.redactor.text(traceback.format_exc()) + "\n")
        except OSError:
            pass


def intact(plan: Plan, stage: Stage) -> bool:
    """Whether what the record stands for is still there. Model files are as they were verified, and were on the disk
    before the machine last went down; other stages are judged by what they noted as made."""
    if not isinstance(stage.spec, ModelsSpec):
        return True
    from init.fetch.ledger import Ledger

    ledger = Ledger(plan.paths.state)
    return all(ledger.vouches(plan.models, file) for file in stage.spec.files)


def _sentence(failure: StageFailed) -> str:
    return f"{failure.message}; {failure.hint}" if failure.hint else failure.message


def _failure(error: Exception, log: Path) -> StageFailed:
    if isinstance(error, OSError) and error.errno is not None:
        place = f" ({error.filename})" if error.filename else ""
        hint = "free some space, or take a larger disk" if error.errno in (errno.ENOSPC, errno.EDQUOT) else f"see {log}"
        return StageFailed(f"{error.strerror}{place}", hint=hint)
    return StageFailed(f"unexpected {type(error).__name__}: {error}", hint=f"see {log}")
