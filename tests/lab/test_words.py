"""Amounts and times are worded alike in every view; the panel's own tests read the same table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from firstlight_lab import outline

from init import lines
from tests.lab.support import ROOT

WORDS = json.loads((ROOT / "lab" / "test" / "words.json").read_text())
SAID: dict[str, tuple[Callable[[float], str], ...]] = {
    "size": (lines.size, outline.size),
    "span": (lines.span, outline.span),
    "about": (lines.about,),
}


def cases() -> Iterator[tuple[Callable[[float], str], float, str]]:
    for name, functions in SAID.items():
        for function in functions:
            for value, text in WORDS[name]:
                yield function, value, text


@pytest.mark.parametrize(("say", "value", "text"), list(cases()))
def test_words(say: Callable[[float], str], value: float, text: str) -> None:
    assert say(value) == text
