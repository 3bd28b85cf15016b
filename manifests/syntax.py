"""What keeps a file from being YAML at all: its encoding, its syntax."""

from __future__ import annotations

from pathlib import Path

import yaml

from manifests.problems import Place, Problem, Refused


def decoded(file: Path, data: bytes) -> str:
    """The text of a manifest file. Raises Refused."""
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, len(before.rpartition(b"\n")[2].decode(errors="replace")) + 1
        place = Place(file, line, column, column + 1)
        raise Refused(
            [Problem(place, f"not UTF-8: byte 0x{data[error.start]:02x}", "save the file as UTF-8")]
        ) from None


def not_yaml(file: Path, text: str, error: yaml.MarkedYAMLError) -> Problem:
    """Where the parser gave up."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = text.split("\n")
    last = len(text.rstrip().split("\n"))
    context = ""
    if line > last:
        line, column, context = last, len(lines[last - 1].rstrip()), ", up to the end of the file"
    if error.context and error.context_mark and error.context_mark.line + 1 < line:
        context += f" ({error.context}, which starts in line {error.context_mark.line + 1})"
    place = Place(file, line, column, column + 1)
    return Problem(place, f"not YAML: {error.problem}{context}", _remedy(error.problem or ""))


def bad_character(file: Path, text: str, error: yaml.reader.ReaderError) -> Problem:
    """The character that YAML does not allow."""
    found = next((i for i, c in enumerate(text) if yaml.reader.Reader.NON_PRINTABLE.match(c)), 0)
    before = text[:found]
    line, column = before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1
    name = f"U+{ord(text[found]):04X}" if text else str(error.reason)
    return Problem(Place(file, line, column, column + 1), f"not YAML: the character {name}", "remove it")


def _remedy(problem: str) -> str | None:
    if "cannot start any token" in problem or "tab" in problem:
        return "indent with spaces, and put text that starts with `%`, `@` or a back quote into quotes"
    if "whitespace or line break" in problem:
        return "put a space after the tag: `{apt: !reset }`"
    if "mapping values are not allowed" in problem:
        return "put text that holds `: ` into quotes, and check the indentation"
    if "expected <block end>" in problem or "did not find expected" in problem or "end of stream" in problem:
        return "check the indentation, and that brackets and quotes are closed"
    return None
