"""Keeps secrets out of everything that is shown or kept.

Messages come from programs that know nothing of our promise: a URL with a signature in its query, a header, a token
echoed by a tool. All text passes through here before it reaches the state, the events or a log of the runner.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

LONGEST = 2000
"""Characters of one message; what is longer keeps its beginning and its end."""

_NAME = re.compile(r"(?i)TOKEN|PASSW(OR)?D|SECRET|(API|ACCESS|PRIVATE)_?KEY|CREDENTIAL|SIGNATURE")
_SCHEME = r"(?i)(\b[a-z][a-z0-9+.-]*://"
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(_SCHEME + r")[^\s/@\"'<>]*@"), r"\1…@"),
    # What closes a sentence or a quotation after the address stays.
    (re.compile(_SCHEME + r"[^\s?#\"'<>]*)\?[^\s\"'<>#]*?(?=[;,.:)\]]*(?:[\s\"'<>#]|$))"), r"\1?…"),
    (re.compile(r"(?i)\b(authorization:\s*\w+|bearer)\s+[A-Za-z0-9._~+/=-]{6,}"), r"\1 …"),
    (re.compile(r"(?i)\b(\w*(?:token|password|secret|signature|api_?key)\s*=\s*)[^\s&\"',;]+"), r"\1…"),
    (re.compile(r"\b(hf|ghp|gho|github_pat|rpa|sk)_[A-Za-z0-9_]{16,}"), r"\1_…"),
)
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def secrets(environ: Mapping[str, str]) -> list[str]:
    """Values of the variables that name a secret; short ones are left out, they would redact plain words."""
    return [value for name, value in environ.items() if _NAME.search(name) and len(value) >= 6]


class Redactor:
    def __init__(self, values: Iterable[str] = ()):
        self._values = sorted(set(values), key=len, reverse=True)

    def add(self, value: str) -> None:
        if len(value) >= 6 and value not in self._values:
            self._values = sorted({*self._values, value}, key=len, reverse=True)

    def text(self, text: str) -> str:
        """`text` without secrets, query strings and control characters, and no longer than `LONGEST`."""
        for value in self._values:
            text = text.replace(value, "…")
        for pattern, instead in _PATTERNS:
            text = pattern.sub(instead, text)
        text = _CONTROL.sub("", text.encode("utf-8", "replace").decode("utf-8"))
        if len(text) > LONGEST:
            text = f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"
        return text

    def value(self, value: Any) -> Any:
        """`value` with every string in it made safe."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        return value
