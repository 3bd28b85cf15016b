"""What a server says about a file before it is downloaded: revision, size, SHA-256. One request a file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from manifests import web
from manifests.lock import LockedFile, is_commit
from manifests.web import CannotResolve, Courtesy

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

HUGGING_FACE = "https://huggingface.co"
CIVITAI = "https://civitai.com"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def metadata(url: str, revision: str | None, environ: Mapping[str, str], courtesy: Courtesy) -> LockedFile:
    """What is known of a file by asking for it; None for what the server does not say. Raises CannotResolve.

    `url` is `hf://owner/repo/path`, `civitai://VERSION` or `https://…`. Of `environ` count HF_TOKEN, HF_ENDPOINT,
    CIVITAI_TOKEN and CIVITAI_ENDPOINT.
    """
    scheme = urlsplit(url).scheme
    if scheme == "hf":
        return _hugging_face(url, revision or "main", environ, courtesy)
    if scheme == "civitai":
        return _civitai(url, environ, courtesy)
    return _plain(url, courtesy)


def _hugging_face(url: str, revision: str, environ: Mapping[str, str], courtesy: Courtesy) -> LockedFile:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    endpoint = (environ.get("HF_ENDPOINT") or HUGGING_FACE).rstrip("/")
    owner, name, path = url.removeprefix("hf://").split("/", 2)
    repo, token = f"{owner}/{name}", environ.get("HF_TOKEN") or None
    address = hf_hub_url(repo, path, revision=revision, endpoint=endpoint)

    def question() -> LockedFile:
        try:
            found = get_hf_file_metadata(address, token=token, endpoint=endpoint)
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status == 429 or status >= 500:
                more = "" if token else "; with HF_TOKEN set, the hub allows more requests"
                raise web.busy(address, status, error.response.headers.get("Retry-After"), more) from None
            raise _explain(error, repo, path, revision, endpoint, token is not None) from None
        except OfflineModeIsEnabled:
            raise CannotResolve("HF_HUB_OFFLINE is set", "unset it") from None
        except Exception as error:  # the HTTP library below huggingface_hub is its own affair, and changes
            raise web.silent(address, error) from None
        etag = found.etag or ""
        commit = found.commit_hash or ""
        return LockedFile(
            revision=commit if is_commit(commit) else None,
            size=found.size,
            sha256=etag if _SHA256.fullmatch(etag) else None,  # else a git hash: the file is not in LFS
        )

    return courtesy.ask(web.host_of(address), question)


def _explain(
    error: HfHubHTTPError, repo: str, path: str, revision: str, endpoint: str, has_token: bool
) -> CannotResolve:
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    page = f"{endpoint}/{repo}"
    status = error.response.status_code
    said = error.response.headers.get("X-Error-Message") or ""
    if isinstance(error, GatedRepoError):
        if has_token:
            return CannotResolve(
                f"{repo} is gated, and the account of HF_TOKEN has no access (HTTP {status})",
                f"accept its licence at {page} with that account; the token must be allowed to read gated repositories",
            )
        return CannotResolve(
            f"{repo} is gated: it is given only to accounts that accepted its licence (HTTP {status})",
            f"accept it at {page}, then set HF_TOKEN to a token of that account ({endpoint}/settings/tokens)",
        )
    if isinstance(error, RevisionNotFoundError):
        return CannotResolve(f"{repo} has no revision {revision}", f"see {page}/tree/main for its branches and tags")
    if isinstance(error, EntryNotFoundError):
        return CannotResolve(f"{repo} has no file {path} at {revision}", f"see {page}/tree/{revision}")
    if status == 401 and "invalid" in said.lower():
        return CannotResolve(
            "HF_TOKEN is not a valid token (HTTP 401)", f"make one at {endpoint}/settings/tokens, or unset it"
        )
    if isinstance(error, RepositoryNotFoundError) or status in (401, 404):
        remedy = "give the account of HF_TOKEN access" if has_token else "set HF_TOKEN if it is private"
        return CannotResolve(
            f"there is no repository {repo}, or it is private (HTTP {status})", f"check the name; {remedy}"
        )
    if status == 403:
        return CannotResolve(
            f"the hub forbids access to {repo} (HTTP 403{': ' + said if said else ''})",
            f"see {page}; HF_TOKEN needs the right to read it ({endpoint}/settings/tokens)",
        )
    return CannotResolve(f"the hub answers HTTP {status}{': ' + said if said else ''}", "run it again later")


def _plain(url: str, courtesy: Courtesy) -> LockedFile:
    """Size by HEAD; a plain server knows no SHA-256."""
    # without this header some servers state the length of what they would send compressed
    answer = courtesy.ask(
        web.host_of(url), lambda: web.ask(url, method="HEAD", headers={"Accept-Encoding": "identity"})
    )
    web.good(answer)
    length = answer.header("Content-Length")
    if length is None or not length.isdigit() or answer.header("Content-Encoding") not in (None, "identity"):
        raise CannotResolve(f"{web.host_of(answer.url)} does not say how large it is", "state `size` in the manifest")
    return LockedFile(size=int(length))


def _civitai(url: str, environ: Mapping[str, str], courtesy: Courtesy) -> LockedFile:
    """Size and SHA-256 of a version's primary file, from the metadata API."""
    endpoint = (environ.get("CIVITAI_ENDPOINT") or CIVITAI).rstrip("/")
    version, token = urlsplit(url).netloc, environ.get("CIVITAI_TOKEN")
    secret = {"Authorization": f"Bearer {token}"} if token else {}
    address = f"{endpoint}/api/v1/model-versions/{version}"
    answer = courtesy.ask(web.host_of(address), lambda: web.ask(address, secret=secret))
    if answer.status in (401, 403):
        fault = "does not accept CIVITAI_TOKEN" if token else "shows this version only to who is logged in"
        raise CannotResolve(
            f"CivitAI {fault} (HTTP {answer.status})",
            f"make an API key at {endpoint}/user/account and set CIVITAI_TOKEN",
        )
    if answer.status == 404:
        raise CannotResolve(
            f"CivitAI has no model version {version}", "the number is the `modelVersionId` of the page's address"
        )
    if answer.status != 200:
        raise CannotResolve(f"CivitAI answers HTTP {answer.status}", "run it again later")
    try:
        files = json.loads(answer.body)["files"]
        file = next((file for file in files if file.get("primary")), None) or files[0]
        sha256 = str((file.get("hashes") or {}).get("SHA256") or "").lower()
        size = float(file["sizeKB"]) * 1024
    except (ValueError, LookupError, TypeError, AttributeError):
        raise CannotResolve("CivitAI's answer is not understood", "run it again later") from None
    return LockedFile(
        size=int(size) if size.is_integer() else None, sha256=sha256 if _SHA256.fullmatch(sha256) else None
    )
