"""Addresses in a manifest: what they must look like, and that they give no secret away.

A ValueError's message is what the user reads; a second line in it is the hint.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import SplitResult, unquote, unquote_plus, urlsplit

from manifests.amounts import brief
from manifests.paths import below

PASSWORD = "a URL must not hold a password\ngive it as an environment variable or a build secret"
REPOSITORY = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
"""Of Hugging Face: `owner/name`."""
MODELS = ("https", "http", "hf", "civitai")
"""Schemes of model files and wheels."""
_REF = re.compile(r"(?!.*\.\.)\w[\w./+-]*")
_SECRET = re.compile(
    r"x-(amz|goog)-.*|(.*-)?(key|sig|auth|jwt|pwd)|key-pair-id"
    r"|.*(token|signature|password|passwd|secret|credentials?|authorization|api-?key|access-?key(-?id)?)"
)
"""Names in a query, in small letters and with `-` for `_`, whose values open something: tokens, and what object stores
and content networks sign addresses with."""
_SHAPES = {"hf": "hf://owner/repo/path", "civitai": "civitai://VERSION"}
_HUB = re.compile(r"https://huggingface\.co/([\w.-]+/[\w.-]+)/(?:resolve|blob)/([^/]+)/([^?#]+)(?:\?download=true)?")
_HF = re.compile(r"hf://([\w.-]+/[\w.-]+?)(?:@([^/]+))?/(.+)")


def is_ref(text: str) -> bool:
    """Whether it can be a branch, a tag or a commit."""
    return _REF.fullmatch(text) is not None


def secret(address: SplitResult) -> str | None:
    """The name, as written, of what in the address's query or fragment is a secret."""
    for part in re.split("[&;]", f"{address.query}&{address.fragment}"):
        name = part.partition("=")[0]
        if _SECRET.fullmatch(unquote_plus(name).lower().replace("_", "-")):
            return name
    return None


def url(*schemes: str, instead: str = "give an address that needs none") -> Callable[[str], str]:
    """A check for complete URLs of these schemes; `instead` is the hint where one holds a secret."""

    def check(value: str) -> str:
        parts = _split(value, schemes)
        _no_secret(parts, instead)
        return value

    return check


def _no_secret(parts: SplitResult, instead: str) -> None:
    if (name := secret(parts)) is not None:
        raise ValueError(f"`{name[:40]}` in the address is a secret, and the image would hold it\n{instead}")


def _split(value: str, schemes: tuple[str, ...]) -> SplitResult:
    try:
        parts = urlsplit(value)
    except ValueError as error:
        raise ValueError(f"{brief(value)} is no URL: {error}\nwrite it as `{schemes[0]}://host/…`") from None
    whole = _SHAPES.get(parts.scheme, f"{schemes[0]}://host/…")
    if not parts.scheme:
        raise ValueError(f"{brief(value)} is no complete URL\nwrite it as `{schemes[0]}://…`")
    if (scheme := value[: len(parts.scheme)]) not in schemes:
        raise ValueError(f"URL {brief(value)} has the scheme {scheme!r}\nallowed: {', '.join(schemes)}")
    if any(character.isspace() or not character.isprintable() for character in value):
        raise ValueError(f"{brief(value)} holds a blank or a control character\na blank in an address is `%20`")
    if not parts.hostname:
        raise ValueError(f"{brief(value)} is no complete URL\nwrite it as `{whole}`")
    if parts.username or parts.password:
        raise ValueError(PASSWORD)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError(f"{brief(value)} has no valid port\na port is a number from 1 to 65535")
    return parts


_complete = url(
    *MODELS,
    instead="give one without a signature; `hf://…` is opened by HF_TOKEN, `civitai://VERSION` by CIVITAI_TOKEN",
)


def model(value: str) -> str:
    """A check for addresses of model files and wheels."""
    _complete(value)
    if value.startswith("civitai:") and not re.fullmatch(r"civitai://[0-9]{1,18}", value):
        hint = "write it as `civitai://VERSION`, with the number that is the `modelVersionId` of the page's address"
        raise ValueError(f"{brief(value)} names no version of a model\n{hint}")
    address, revision = hub_address(value)
    if not address.startswith("hf:"):
        return value
    found = re.fullmatch(rf"hf://{REPOSITORY}/(.+)", address, re.ASCII)
    if revision is None or found is None:
        raise ValueError(f"{brief(value)} names no file of the hub\nwrite it as `{_SHAPES['hf']}`")
    if not is_ref(revision):
        raise ValueError(f"{brief(revision)} is no revision\nwrite a branch, a tag or a commit")
    if below(found[1]) != found[1]:
        raise ValueError(f"{brief(value)} names no file of the hub\nwrite its path without `./`, `//` and a final `/`")
    return value


_channel = url("https", "http", instead="its credentials go into a `.mambarc` that MAMBARC names at the start")


def channel(value: str) -> str:
    """A check for conda channels: a name, a label, or an address."""
    if "://" in value:
        return _channel(value)
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*(?:/[\w.-]+)*", value, re.ASCII) is None:
        hint = "write its name (`conda-forge`), a label (`nvidia/label/cuda-12.4.1`) or its address"
        raise ValueError(f"{brief(value)} is no conda channel\n{hint}")
    return value


def requirement(value: str) -> None:
    """A check for the address after `name @`."""
    try:
        parts = urlsplit(value)
    except ValueError as error:
        raise ValueError(f"{brief(value)} is no URL: {error}\nwrite it as `https://host/…`") from None
    if parts.scheme in ("", "file") or parts.scheme.endswith("+file"):
        hint = "name a version or an https address, or bring the project as a source with `path`"
        raise ValueError(f"{brief(value)} lies on this machine, and an image has nothing of it\n{hint}")
    # Of ssh the user is no secret, and mostly `git`; over http(s) a token goes in its place.
    if parts.password or (parts.username and not parts.scheme.endswith("ssh")):
        raise ValueError(PASSWORD)
    _no_secret(parts, "give an address that needs none, or bring the project as a source with `path`")


def hub_address(address: str) -> tuple[str, str | None]:
    """`hf://owner/repo/path` and revision of an address on the hub; other addresses as they are, with None."""
    if match := _HUB.fullmatch(address):
        repo, revision, path = match.groups()
        return f"hf://{repo}/{unquote(path)}", unquote(revision)
    if match := _HF.fullmatch(address):
        repo, revision, path = match.groups()
        return f"hf://{repo}/{path}", revision or "main"
    return address, None
