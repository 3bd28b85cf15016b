"""Values as literals of the syntaxes that templates write.

Each function returns text that the syntax's own parser reads back as exactly `value`, or raises Unquotable where the
syntax has no way to say it.
"""

from __future__ import annotations

import html as markup
import json as javascript
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

NEWLINE_ARG = "FIRSTLIGHT_NEWLINE"
NEWLINE = f"${{{NEWLINE_ARG}:?build with --build-arg {NEWLINE_ARG} set to a line feed}}"
"""A Dockerfile has no escape for a line feed in ENV and LABEL: an ARG carries it, a build without it fails."""


class Unquotable(ValueError):
    """The syntax cannot express this value."""

    def __init__(self, value: str, syntax: str, reason: str):
        super().__init__(f"{value!r} cannot stand in a {syntax}: {reason}")


def docker(value: object) -> str:
    """A word of ENV, LABEL or ARG. With line feeds the Dockerfile must declare NEWLINE_ARG before."""
    text = str(value)
    if "\0" in text:
        raise Unquotable(text, "Dockerfile", "it holds a NUL")
    escaped = re.sub(r'([\\"$])', r"\\\1", text)
    return '"' + escaped.replace("\n", NEWLINE) + '"'


def shell(value: object) -> str:
    """One word of a POSIX shell line."""
    if "\0" in str(value):
        raise Unquotable(str(value), "shell line", "it holds a NUL")
    return shlex.quote(str(value))


def supervisor(value: object, word: bool = False, expansions: int = 1) -> str:
    """A value in supervisord.conf; with `word` one word of a `command`.

    supervisor strips a value, cuts it at a `;` or `#` that follows white space, and then expands `%(name)s`: once, and
    that of `stdout_logfile` and `stderr_logfile` twice.
    """
    text = str(value)
    if re.search(r"[\0\r\n]", text):
        raise Unquotable(text, "supervisord.conf", "it holds a line break")
    if word:
        # A quoted word may pause anywhere: between the white space and the character that would begin a comment.
        text = re.sub(r"(\s)(?=[;#])", r"\1''", shlex.quote(text))
    elif re.search(r"(^|\s)[;#]", text):
        raise Unquotable(text, "supervisord.conf", "it would begin a comment there")
    elif text != text.strip():
        raise Unquotable(text, "supervisord.conf", "it begins or ends with white space")
    return text.replace("%", "%" * 2**expansions)


def caddy(value: object) -> str:
    """A token of a Caddyfile. What Caddy replaces later, at each request (`{http.…}`), is left to the directive."""
    text = str(value)
    if "{$" in text:
        raise Unquotable(text, "Caddyfile", "`{$` is replaced before anything else is read")
    if re.search(r"[\0\r]", text):
        raise Unquotable(text, "Caddyfile", "it holds a NUL or a carriage return")
    if not re.search(r'(?<!\\)(\\\\)*\\("|$)', text):
        return '"' + text.replace('"', '\\"') + '"'
    if "`" in text:
        raise Unquotable(text, "Caddyfile", 'it holds a back quote and a backslash before `"` or at its end')
    return f"`{text}`"


def python(value: object) -> str:
    """A Python literal of text, numbers, None, and lists and dicts of them."""
    return repr(value)


def json(value: Any) -> str:
    """A JSON literal, also safe within `<script>`."""
    text = javascript.dumps(value, ensure_ascii=False, sort_keys=True)
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def html(value: object) -> str:
    """Text, or an attribute within quotes."""
    return markup.escape(str(value))


FILTERS: Mapping[str, Callable[..., str]] = {
    "docker": docker,
    "shell": shell,
    "supervisor": supervisor,
    "caddy": caddy,
    "python": python,
    "json": json,
    "html": html,
}
