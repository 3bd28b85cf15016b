"""What is said about a program of a release: the SHA-256 that its authors publish beside it, or what GitHub says. Where
that is no SHA-256, the file is fetched once and counted."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from manifests import web
from manifests.lock import LockedFile
from manifests.web import CannotResolve, Courtesy

API = "https://api.github.com"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_PATH = re.compile(r"/([^/]+/[^/]+)/releases/download/([^/]+)/([^/]+)")


def metadata(url: str, environ: Mapping[str, str], courtesy: Courtesy) -> LockedFile:
    """Of `https://github.com/OWNER/NAME/releases/download/TAG/FILE`. Raises CannotResolve.

    Of `environ` count GITHUB_API_URL and GITHUB_TOKEN, which GitHub's own workflows set.
    """
    # KasmVNC's package has no hash beside it, as micromamba has.
    return _asset(url, environ, courtesy) if url.endswith(".deb") else _beside(url, courtesy)


def _beside(url: str, courtesy: Courtesy) -> LockedFile:
    answer = courtesy.ask(web.host_of(url), lambda: web.ask(f"{url}.sha256"))
    web.good(answer)
    words = answer.body.decode("ascii", "replace").split()
    if not words or not _SHA256.fullmatch(words[0]):
        raise CannotResolve(f"{web.host_of(answer.url)} does not answer with a SHA-256", "run it again later")
    return LockedFile(sha256=words[0])


def _asset(url: str, environ: Mapping[str, str], courtesy: Courtesy) -> LockedFile:
    match = _PATH.fullmatch(urlsplit(url).path)
    assert match is not None, url
    repo, tag, name = match.groups()
    endpoint = (environ.get("GITHUB_API_URL") or API).rstrip("/")
    token = environ.get("GITHUB_TOKEN")
    secret = {"Authorization": f"Bearer {token}"} if token else {}
    address = f"{endpoint}/repos/{repo}/releases/tags/{tag}"
    answer = courtesy.ask(web.host_of(address), lambda: web.ask(address, secret=secret))
    if answer.status == 404:
        raise CannotResolve(f"{repo} has no release {tag} (HTTP 404)", "correct `version` in the manifest")
    if answer.status in (401, 403):
        remedy = "correct GITHUB_TOKEN, or unset it" if token else "set GITHUB_TOKEN: then it allows more requests"
        raise CannotResolve(f"{web.host_of(address)} refuses access (HTTP {answer.status})", remedy)
    if answer.status != 200:
        raise CannotResolve(f"{web.host_of(address)} answers HTTP {answer.status}", "run it again later")
    try:
        assets = {str(asset["name"]): asset for asset in json.loads(answer.body)["assets"]}
        asset = assets.get(unquote(name))
        if asset is None:
            raise CannotResolve(f"release {tag} of {repo} has no file {name}", f"it has {_some(list(assets))}")
        digest = _DIGEST.fullmatch(str(asset.get("digest") or ""))
        size, source = int(asset["size"]), str(asset["browser_download_url"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CannotResolve(f"{web.host_of(address)} answers what cannot be read", "run it again later") from None
    return LockedFile(size=size, sha256=digest[1] if digest else _counted(source, size, courtesy))


def _counted(url: str, size: int, courtesy: Courtesy) -> str:
    """SHA-256 of the file itself."""
    answer = courtesy.ask(web.host_of(url), lambda: web.ask(url, timeout=120))
    if answer.status != 200 or len(answer.body) != size:
        said = f"HTTP {answer.status}, {len(answer.body)} of {size} bytes"
        raise CannotResolve(f"{web.host_of(url)} does not give the file ({said})", "run it again later")
    return hashlib.sha256(answer.body).hexdigest()


def _some(names: list[str]) -> str:
    debs = [name for name in names if name.endswith("_amd64.deb")]
    return ", ".join(debs[:6]) or "none for Debian or Ubuntu"
