"""Numbers in a manifest, as they are written: sizes, durations, flags.

A ValueError's message is what the user reads; a second line in it is the hint.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

MOST_BYTES = 10**18
MOST_SECONDS = 7 * 24 * 3600.0
MOST_DIGITS = 18
"""Of a whole number: no limit here needs more."""
_SHOWN = 60
"""Characters of a value that a message repeats."""
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?")
_SIZE_UNITS = {
    "": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_AMOUNT = r"([0-9]+(?:\.[0-9]+)?)"
_DURATION = re.compile(f"(?:{_AMOUNT}h)?(?:{_AMOUNT}m)?(?:{_AMOUNT}s)?")


def brief(value: Any) -> str:
    """A value as a message repeats it."""
    text = value if isinstance(value, str) else str(value)
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}…"


def flag(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise ValueError(f"expected true or false, found {value!r}\nwrite `true` or `false`")


def number(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"-?[0-9]+", value):
        raise ValueError(f"expected a whole number, found {value!r}\nwrite it in decimal digits")
    if len(value) > MOST_DIGITS:
        raise ValueError(f"the number {brief(value)} has {len(value)} digits\nit has at most {MOST_DIGITS}")
    return int(value)


def size(value: Any) -> Any:
    """Bytes."""
    if isinstance(value, int):
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is no size\nwrite it as `500MB`, `1.5GiB` or a number of bytes")
    unit = _SIZE_UNITS[match[2] or ""]
    if unit == 1 and "." in match[1]:
        raise ValueError(f"{value!r} is part of a byte\nwrite a unit, as `1.5GiB`, or a whole number of bytes")
    # First as a float, which is infinite where Decimal would take long.
    if float(match[1]) * unit >= MOST_BYTES or (bytes_ := int(Decimal(match[1]) * unit)) >= MOST_BYTES:
        raise ValueError(f"the size {brief(value)} is beyond every disk\ngive less than 1000000TB")
    return bytes_


def duration(value: Any) -> Any:
    """Seconds."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not value or match is None:
        raise ValueError(f"{value!r} is no duration\nwrite it as `90s`, `5m` or `1h30m`")
    hours, minutes, seconds = (float(group or 0) for group in match.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if total == 0:
        raise ValueError(f"{value!r} is no time at all\ngive more than zero, as `90s`, `5m` or `1h30m`")
    if total > MOST_SECONDS:
        raise ValueError(f"the duration {brief(value)} is too long\ngive a week at most: `{MOST_SECONDS / 3600:.0f}h`")
    return total
