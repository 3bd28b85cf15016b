"""A stage that could not do its work."""

from __future__ import annotations

from typing import Any


class StageFailed(Exception):
    """A stage could not do its work.

    `message` says what happened, in one sentence; `hint` what to do about it. `retry=False` when another attempt
    would end the same way (a bad hash in the manifest, a compile error). `result` keeps what was found out, as
    `Outcome.result` does.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        retry: bool = True,
        consequence: str | None = None,
        result: dict[str, Any] | None = None,
    ):
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.retry = retry
        self.consequence = consequence
        self.result = result or {}
