"""Scalars of a manifest: what is written as text, and the type it must have.

The loader hands every scalar over as it is written, so `3.10` stays `3.10` and `22:22` stays `22:22`; a type here says
what the text means. A ValueError's message is what the user reads; a second line in it is the hint.
"""

from __future__ import annotations

import re
from typing import Annotated

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Pep508
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from manifests import addresses, amounts, paths
from manifests.amounts import brief

MOST_NAME = 63
"""Characters of a name: as many as one part of a host name has."""
MOST_REFERENCE = 255
"""Characters of an image reference, for Docker and registries."""
LEAST_SCREEN, MOST_SCREEN = (320, 240), (7680, 4320)
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REFERENCE = rf"(?:[a-zA-Z0-9.-]+(?::[0-9]{{1,5}})?/)?{_PART}(?:/{_PART})*(?::\w[\w.-]{{0,127}})?"
_PORT = "0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"


def _pattern(pattern: str, what: str, hint: str, most: int | None = None) -> AfterValidator:
    compiled = re.compile(pattern, re.ASCII)

    def check(value: str) -> str:
        if most is not None and len(value) > most:
            raise ValueError(f"the {what} {brief(value)} has {len(value)} characters\nit has at most {most}")
        if not compiled.fullmatch(value):
            raise ValueError(f"{brief(value)} is no valid {what}\n{hint}")
        return value

    return AfterValidator(check)


def _for_editors(pattern: str, *kinds: str, most: int | None = None) -> WithJsonSchema:
    """`kinds`: what else than text an editor takes it for: `true` is a name as well, and `7` one of an image."""
    bound = f"(?=.{{1,{most}}}$)" if most is not None else ""
    return WithJsonSchema({"type": ["string", *kinds], "pattern": f"^{bound}{pattern}$"})


def _screen(value: str) -> str:
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", value)
    if match is None:
        raise ValueError(f"{brief(value)} is no screen size\nwrite it as `1920x1080`, in pixels")
    width, height = int(match[1]), int(match[2])
    if not (LEAST_SCREEN[0] <= width <= MOST_SCREEN[0] and LEAST_SCREEN[1] <= height <= MOST_SCREEN[1]):
        least, most = ("x".join(map(str, size)) for size in (LEAST_SCREEN, MOST_SCREEN))
        raise ValueError(f"no screen has {width}x{height} pixels\ngive something between `{least}` and `{most}`")
    return f"{width}x{height}"


def _requirement(value: str) -> str:
    try:
        address = Pep508(value).url
    except InvalidRequirement as error:
        raise ValueError(
            f"{brief(value)} is no requirement: {str(error).splitlines()[0]}\nwrite it as `name==1.2`"
        ) from None
    if address is not None:
        addresses.requirement(address)
    return value


_TEXT_ALONE = WithJsonSchema({"type": ["string"]})

Text = Annotated[str, Field()]
Flag = Annotated[bool, BeforeValidator(amounts.flag)]
Number = Annotated[int, BeforeValidator(amounts.number)]
Port = Annotated[
    int,
    BeforeValidator(amounts.number),
    Field(ge=1, le=65535),
    WithJsonSchema({"type": ["integer", "string"], "minimum": 1, "maximum": 65535, "pattern": f"^{_PORT}$"}),
]
Size = Annotated[int, BeforeValidator(amounts.size), WithJsonSchema({"type": ["string", "integer"], "title": "size"})]
"""Bytes."""
Duration = Annotated[
    float, BeforeValidator(amounts.duration), WithJsonSchema({"type": ["string"], "title": "duration"})
]
"""Seconds."""
_ID = r"[a-z][a-z0-9._-]*"
Id = Annotated[
    str,
    _pattern(_ID, "name", "small letters, digits, `-`, `_` and `.`, a letter first", MOST_NAME),
    _for_editors(_ID, "boolean", most=MOST_NAME),
]
ImageName = Annotated[
    str,
    _pattern(_PART, "image name", "small letters and digits, joined by `-`, `_` or `.`", MOST_NAME),
    _for_editors(_PART, "number", "boolean", most=MOST_NAME),
]
_USER = r"[a-z_][a-z0-9_-]{0,31}"
ImageUser = Annotated[
    str,
    _pattern(_USER, "user name", "small letters, digits, `-`, `_`"),
    _for_editors(_USER, "boolean"),
]
BaseImage = Annotated[
    str,
    _pattern(_REFERENCE, "image reference", "write it as `registry/name:tag`, without digest", MOST_REFERENCE),
]
AptPackage = Annotated[
    str, _pattern(r"[a-z0-9][a-z0-9+.-]+(?:=[\w.+:~-]+)?", "package name", "as `apt-cache show` knows it")
]
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
EnvName = Annotated[
    str,
    _pattern(_VARIABLE, "environment variable name", "letters, digits and `_`, no digit first"),
    _for_editors(_VARIABLE, "boolean"),
]
CondaChannel = Annotated[str, AfterValidator(addresses.channel)]
CondaPackage = Annotated[
    str,
    _pattern(
        r"(?:[A-Za-z0-9][\w./-]*::)?[A-Za-z0-9_][\w.-]*(?:[=<>!~ ][\w.*+!=<>~|, -]*)?",
        "conda package",
        "as conda writes it: `cudnn`, `cuda-runtime=12.4.1`, `numpy>=1.26,<2`",
    ),
]
_RELEASE = r"[0-9]+\.[0-9]+\.[0-9]+-[0-9]+"
CondaRelease = Annotated[
    str, _pattern(_RELEASE, "release of micromamba", "version and build number, as `2.8.1-0`"), _for_editors(_RELEASE)
]
PackageName = Annotated[
    str, _pattern(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", "package name", "the name alone, without version")
]
Sha256 = Annotated[str, _pattern(r"[0-9a-f]{64}", "SHA-256", "64 hexadecimal digits in small letters")]
HubRepo = Annotated[
    str, _pattern(addresses.REPOSITORY, "Hugging Face repository", "write it as `owner/name`"), _TEXT_ALONE
]
Requirement = Annotated[str, AfterValidator(_requirement)]
ScreenSize = Annotated[str, AfterValidator(_screen), _for_editors(r"[0-9]{1,5}x[0-9]{1,5}")]
Release = Annotated[str, _pattern(r"[0-9]+\.[0-9]+\.[0-9]+", "release", "write it as `1.4.0`"), _TEXT_ALONE]
RelativePath = Annotated[str, AfterValidator(paths.below)]
HttpUrl = Annotated[str, AfterValidator(addresses.url("https", "http")), _TEXT_ALONE]
GitUrl = HttpUrl
ModelUrl = Annotated[str, AfterValidator(addresses.model), _TEXT_ALONE]
