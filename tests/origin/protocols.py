"""The two hubs: Hugging Face's and CivitAI's protocols."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from tests.origin.server import Published, as_json

if TYPE_CHECKING:
    from tests.origin.web import Handler

_RESOLVE = re.compile(r"(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_CACHED = re.compile(r"api/resolve-cache/models/(?P<repo>[^/]+/[^/]+)/(?P<revision>[^/]+)/(?P<path>.+)")
_REPO = re.compile(r"api/models/(?P<repo>[^/]+/[^/]+)(?:/revision/(?P<revision>[^/]+))?")
_TREE = re.compile(r"api/models/(?P<repo>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)(?:/(?P<path>.*))?")
_VERSION = re.compile(r"api/v1/model-versions/(?P<version>\d+)")
_DOWNLOAD = re.compile(r"api/download/models/(?P<version>\d+)")


def answer(handler: Handler, path: str, query: Mapping[str, str]) -> bool:
    """Answer a hub's request; False when it is none."""
    if path == "api/whoami-v2":
        _whoami(handler)
    elif found := _RESOLVE.fullmatch(path):
        _resolve(handler, **found.groupdict())
    elif found := _CACHED.fullmatch(path):
        _cached(handler, **found.groupdict())
    elif found := _TREE.fullmatch(path):
        _tree(handler, found["repo"], found["revision"])
    elif found := _REPO.fullmatch(path):
        _repo(handler, found["repo"], found["revision"] or "main")
    elif found := _VERSION.fullmatch(path):
        _version(handler, found["version"])
    elif found := _DOWNLOAD.fullmatch(path):
        _download(handler, found["version"], query)
    else:
        return False
    return True


def _token(handler: Handler, query: Mapping[str, str] | None = None) -> str | None:
    scheme, _, token = handler.headers.get("Authorization", "").partition(" ")
    return token if scheme == "Bearer" else (query or {}).get("token")


def _error(handler: Handler, status: int, code: str, text: str) -> None:
    headers = {"X-Error-Message": text, "Content-Type": "application/json"}
    handler.answer(status, as_json({"error": text}), {**headers, "X-Error-Code": code} if code else headers)


def _whoami(handler: Handler) -> None:
    if _token(handler) in handler.server.origin.tokens:
        handler.answer(200, as_json({"type": "user", "name": "somebody", "auth": {"accessToken": {"role": "read"}}}))
    else:
        _error(handler, 401, "", "Invalid username or password.")


def _barred(handler: Handler, repo: str, files: list[Published]) -> bool:
    """Whether the repository was refused; private ones look like missing ones, as at the hub."""
    origin, token = handler.server.origin, _token(handler)
    if token is not None and token not in origin.tokens:
        _error(handler, 401, "", "Invalid credentials in Authorization header")
        return True
    access = {file.access for file in files}
    accepted = origin.tokens.get(token or "", set())
    if not files or ("private" in access and not accepted & {repo, "*"}):
        status = 401 if token is None else 404
        _error(handler, status, "RepoNotFound", "Repository not found")
        return True
    if "gated" in access and not accepted & {repo, "*"}:
        if token is None:
            _error(handler, 401, "GatedRepo", f"Access to model {repo} is restricted. You must be authenticated.")
        else:
            _error(
                handler,
                403,
                "GatedRepo",
                f"Access to model {repo} is restricted and you are not in the authorized list.",
            )
        return True
    return False


def _known(handler: Handler, repo: str, revision: str) -> bool:
    commit = handler.server.origin.commits.get(repo)
    if revision in ("main", commit):
        return True
    _error(handler, 404, "RevisionNotFound", f"Invalid rev id: {revision}")
    return False


def _resolve(handler: Handler, repo: str, revision: str, path: str) -> None:
    origin = handler.server.origin
    handler.entry.key = key = f"{repo}/{path}"
    if handler._met(key):
        return
    files = origin.repos.get(repo, {})
    if _barred(handler, repo, list(files.values())) or not _known(handler, repo, revision):
        return
    file = files.get(path)
    if file is None:
        _error(handler, 404, "EntryNotFound", "Entry not found")
    else:
        # What is not in LFS lies on the hub itself, behind a relative redirect.
        cached = f"/api/resolve-cache/models/{repo}/{file.commit}/{quote(path)}?etag=%22{file.etag}%22"
        handler.answer(
            302 if file.lfs else 307,
            headers={
                "X-Repo-Commit": file.commit,
                "X-Linked-Size": str(file.size),
                "X-Linked-ETag": f'"{file.etag}"',
                "ETag": f'"{file.etag}"',
                "Accept-Ranges": "bytes",
                "Location": origin.sign(file) if file.lfs else cached,
            },
        )


def _cached(handler: Handler, repo: str, revision: str, path: str) -> None:
    files = handler.server.origin.repos.get(repo, {})
    handler.entry.key = key = f"{repo}/{path}"
    if handler._met(key) or _barred(handler, repo, list(files.values())) or not _known(handler, repo, revision):
        return
    file = files.get(path)
    if file is None:
        _error(handler, 404, "EntryNotFound", "Entry not found")
    else:
        handler.content(file)


def _repo(handler: Handler, repo: str, revision: str) -> None:
    files = handler.server.origin.repos.get(repo, {})
    handler.entry.key = repo
    if handler._met(repo) or _barred(handler, repo, list(files.values())) or not _known(handler, repo, revision):
        return
    siblings = [{"rfilename": path, "size": file.size} for path, file in sorted(files.items())]
    commit = handler.server.origin.commits[repo]
    body = {
        "_id": repo,
        "id": repo,
        "modelId": repo,
        "sha": commit,
        "private": False,
        "gated": False,
        "siblings": siblings,
    }
    handler.answer(200, as_json(body), {"Content-Type": "application/json"})


def _tree(handler: Handler, repo: str, revision: str) -> None:
    files = handler.server.origin.repos.get(repo, {})
    handler.entry.key = repo
    if handler._met(repo) or _barred(handler, repo, list(files.values())) or not _known(handler, repo, revision):
        return
    tree = []
    for path, file in sorted(files.items()):
        item = {"type": "file", "path": path, "size": file.size, "oid": file.etag[:40]}
        if file.lfs:
            item["lfs"] = {"oid": file.etag, "size": file.size, "pointerSize": 134}
        tree.append(item)
    handler.answer(200, as_json(tree), {"Content-Type": "application/json"})


def _version(handler: Handler, version: str) -> None:
    handler.entry.key = key = f"civitai/{version}"
    if handler._met(key):
        return
    file = handler.server.origin.files.get(key)
    if file is None:
        handler.answer(404, as_json({"error": f"No model version with id {version}"}))
        return
    entry = {
        "id": int(version),
        "name": file.name,
        "sizeKB": file.size / 1024,
        "type": "Model",
        "primary": True,
        "hashes": {"SHA256": file.sha256.upper()},
        "downloadUrl": f"{handler.server.origin.url}/api/download/models/{version}",
    }
    handler.answer(
        200, as_json({"id": int(version), "name": "v1", "files": [entry]}), {"Content-Type": "application/json"}
    )


def _download(handler: Handler, version: str, query: Mapping[str, str]) -> None:
    handler.entry.key = key = f"civitai/{version}"
    if handler._met(key):
        return
    origin = handler.server.origin
    file = origin.files.get(key)
    if file is None:
        handler.answer(404, as_json({"error": "Not found"}))
    elif file.access != "public" and not origin.tokens.get(_token(handler, query) or "", set()) & {"civitai", "*"}:
        text = "The creator of this asset requires you to be logged in to download it"
        handler.answer(401, as_json({"error": "Unauthorized", "message": text}))
    else:
        handler.answer(307, headers={"Location": origin.sign(file)})
