"""Waiting for a condition, with a deadline: the tests' only way to wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], within: float = 30.0, every: float = 0.05, what: str = "") -> T:
    """The first truthy value of `condition`; AssertionError with its last value after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what or condition} (last: {value!r})")
        time.sleep(every)
