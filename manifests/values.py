"""Scalars of a manifest: what is written as text, and the type it must have.

The loader hands every scalar over as it is written, so `3.10` stays `3.10` and `22:22` stays `22:22`; a type here says
what the text means. A ValueError's message is what the user reads; a second line in it is the hint.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Pep508
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?")
_SIZE_UNITS = {
    "": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")
_REFERENCE = re.compile(
    r"(?:[a-zA-Z0-9.-]+(?::\d+)?/)?[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*(?::[\w][\w.-]{0,127})?"
)

_SECRET = "a URL must not hold a password\ngive it as an environment variable or a build secret"


def _flag(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise ValueError(f"expected true or false, found {value!r}\nwrite `true` or `false`")


def _number(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        return int(value)
    raise ValueError(f"expected a whole number, found {value!r}\nwrite it in decimal digits")


def _size(value: Any) -> Any:
    if isinstance(value, int):
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is no size\nwrite it as `500MB`, `1.5GiB` or a number of bytes")
    unit = _SIZE_UNITS[match[2] or ""]
    if unit == 1 and "." in match[1]:
        raise ValueError(f"{value!r} is part of a byte\nwrite a unit, as `1.5GiB`, or a whole number of bytes")
    return int(float(match[1]) * unit)


def _duration(value: Any) -> Any:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not value or match is None:
        raise ValueError(f"{value!r} is no duration\nwrite it as `90s`, `5m` or `1h30m`")
    hours, minutes, seconds = (float(group or 0) for group in match.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if total == 0:
        raise ValueError(f"{value!r} is no time at all\ngive more than zero, as `90s`, `5m` or `1h30m`")
    return total


def _pattern(pattern: str, what: str, hint: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(f"{value!r} is no valid {what}\n{hint}")
        return value

    return check


def _relative_path(value: str) -> str:
    path = PurePosixPath(value)
    if not value or "\0" in value or "\n" in value:
        raise ValueError(f"{value!r} is no path\nname a file or a folder")
    if "\\" in value:
        raise ValueError(f"the path {value!r} holds a backslash\nseparate folders with `/`")
    if path.is_absolute() or value.startswith("~"):
        raise ValueError(f"path {value!r} is absolute\nwrite it relative to its root")
    if ".." in path.parts:
        raise ValueError(f"path {value!r} leaves its root\npaths must stay below their root: remove `..`")
    return path.as_posix()


def _url(schemes: tuple[str, ...]) -> Callable[[str], str]:
    names = ", ".join(schemes)

    def check(value: str) -> str:
        try:
            parts = urlsplit(value)
        except ValueError as error:
            raise ValueError(f"{value!r} is no URL: {error}\nwrite it as `{schemes[0]}://host/…`") from None
        if not parts.scheme:
            raise ValueError(f"{value!r} is no complete URL\nwrite it as `{schemes[0]}://…`")
        if parts.scheme not in schemes:
            raise ValueError(f"URL {value!r} has the scheme {parts.scheme!r}\nallowed: {names}")
        if not parts.netloc or re.search(r"\s", value):
            raise ValueError(f"{value!r} is no complete URL\nwrite it as `{schemes[0]}://host/…`")
        if parts.username or parts.password:
            raise ValueError(_SECRET)
        return value

    return check


def _requirement(value: str) -> str:
    try:
        address = Pep508(value).url
    except InvalidRequirement as error:
        raise ValueError(
            f"{value!r} is no requirement: {str(error).splitlines()[0]}\nwrite it as `name==1.2`"
        ) from None
    if address is not None:
        parts = urlsplit(address)
        if parts.scheme in ("", "file") or parts.scheme.endswith("+file"):
            hint = "name a version or an https address, or bring the project as a source with `path`"
            raise ValueError(f"{value!r} lies on this machine, and an image has nothing of it\n{hint}")
        if parts.password:
            raise ValueError(_SECRET)
    return value


_NEVER_A_NUMBER = WithJsonSchema({"type": ["string", "boolean"]})
"""For editors, which read `7` and `true` as a number and a flag: `true` is a name as well, `7` is none."""
_TEXT_ALONE = WithJsonSchema({"type": ["string"]})

Text = Annotated[str, Field()]
Flag = Annotated[bool, BeforeValidator(_flag)]
Number = Annotated[int, BeforeValidator(_number)]
Port = Annotated[int, BeforeValidator(_number), Field(ge=1, le=65535)]
Size = Annotated[int, BeforeValidator(_size), WithJsonSchema({"type": ["string", "integer"], "title": "size"})]
"""Bytes."""
Duration = Annotated[float, BeforeValidator(_duration), WithJsonSchema({"type": ["string"], "title": "duration"})]
"""Seconds."""
Id = Annotated[
    str,
    AfterValidator(_pattern(r"[a-z][a-z0-9._-]*", "name", "small letters, digits, `-`, `_` and `.`, a letter first")),
    _NEVER_A_NUMBER,
]
ImageName = Annotated[
    str,
    AfterValidator(
        _pattern(
            r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*",
            "image name",
            "small letters and digits, joined by `-`, `_` or `.`",
        )
    ),
]
ImageUser = Annotated[
    str,
    AfterValidator(_pattern(r"[a-z_][a-z0-9_-]{0,31}", "user name", "small letters, digits, `-`, `_`")),
    _NEVER_A_NUMBER,
]
BaseImage = Annotated[
    str,
    AfterValidator(_pattern(_REFERENCE.pattern, "image reference", "write it as `registry/name:tag`, without digest")),
]
AptPackage = Annotated[
    str,
    AfterValidator(_pattern(r"[a-z0-9][a-z0-9+.-]+(?:=[\w.+:~-]+)?", "package name", "as `apt-cache show` knows it")),
]
EnvName = Annotated[
    str,
    AfterValidator(
        _pattern(r"[A-Za-z_][A-Za-z0-9_]*", "environment variable name", "letters, digits and `_`, no digit first")
    ),
    _NEVER_A_NUMBER,
]
PackageName = Annotated[
    str,
    AfterValidator(
        _pattern(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", "package name", "the name alone, without version")
    ),
]
Sha256 = Annotated[str, AfterValidator(_pattern(r"[0-9a-f]{64}", "SHA-256", "64 hexadecimal digits in small letters"))]
HubRepo = Annotated[
    str,
    AfterValidator(
        _pattern(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", "Hugging Face repository", "write it as `owner/name`")
    ),
    _TEXT_ALONE,
]
Requirement = Annotated[str, AfterValidator(_requirement)]
RelativePath = Annotated[str, AfterValidator(_relative_path)]
HttpUrl = Annotated[str, AfterValidator(_url(("https", "http"))), _TEXT_ALONE]
GitUrl = HttpUrl
ModelUrl = Annotated[str, AfterValidator(_url(("https", "http", "hf", "civitai"))), _TEXT_ALONE]
