"""From what a manifest says (`hf://`, `civitai://`, `https://`) to an address that needs no header."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from init.fetch import web
from init.fetch.login import VARIABLE, hub_token
from init.fetch.trouble import CIVITAI, HUB, Trouble, bare, refusal

HUB_ENDPOINT = "https://huggingface.co"
CIVITAI_ENDPOINT = "https://civitai.com"
FRESH = 1200.0
"""Seconds for which a signed address is used without asking again; the hub's are good for 3600."""


@dataclass(frozen=True)
class Address:
    """Where the bytes are, and what the origin says about them."""

    url: str
    size: int | None = None
    sha256: str | None = None
    blob: str | None = None
    """Git's name for the content, which the hub knows for small files instead of the SHA-256."""
    revision: str | None = None
    tag: str | None = None
    """ETag, to tell one version of a plain file from another."""
    secret: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Headers that the hub wants for a file which it keeps itself: sent by Python, to this address only."""
    made: float = field(default_factory=time.monotonic)

    @property
    def fresh(self) -> bool:
        return time.monotonic() - self.made < FRESH


@dataclass(frozen=True)
class HubFile:
    repo: str
    path: str


def hub_file(url: str) -> HubFile | None:
    """The parts of `hf://owner/repo/path`; None for other addresses."""
    found = re.fullmatch(r"hf://([^/]+/[^/]+)/(.+)", url)
    return HubFile(*found.groups()) if found else None


CACHE = "/api/resolve-cache/"
"""Where the hub keeps what is not in LFS."""


class Sources:
    """Resolves addresses, with the tokens, which go no further. Thread-safe."""

    def __init__(self, environ: Mapping[str, str]):
        self.environ = environ
        self.endpoint = (environ.get("HF_ENDPOINT") or HUB_ENDPOINT).rstrip("/")
        self.civitai = (environ.get("CIVITAI_ENDPOINT") or CIVITAI_ENDPOINT).rstrip("/")

    def resolve(self, url: str, revision: str | None, *, known: bool) -> Address:
        """The address of a file; `known`: size and hash are known already. Raises Trouble."""
        scheme, _, rest = url.partition("://")
        if scheme == "hf":
            return self._from_hub(url, revision or "main")
        if scheme == "civitai":
            return self._from_civitai(rest.strip("/"), known)
        return Address(url) if known else self._plain(url)

    def _from_hub(self, url: str, revision: str) -> Address:
        file = hub_file(url)
        if file is None:
            raise Trouble(f"{url} is not of the form hf://owner/repo/path", retry=False, kind="refused")
        token = hub_token(self.environ)
        headers = {"Accept-Encoding": "identity", **({"Authorization": f"Bearer {token}"} if token else {})}
        asked = f"{self.endpoint}/{file.repo}/resolve/{quote(revision, safe='')}/{quote(file.path)}"
        for _ in range(5):
            reply = web.ask(asked, method="HEAD", headers=headers)
            reply.body.close()
            target = reply.location
            # Within the hub a renamed repository redirects, and so does what is not in LFS: the token goes on. With the
            # size it is the file's address elsewhere, wherever that is.
            if target is None or not self._at_hub(target) or ("X-Linked-Size" in reply.headers and CACHE not in target):
                break
            asked = target
        if reply.status >= 400 or (target is None and reply.status != 200):
            raise refusal(
                reply.status,
                f"{file.repo}/{file.path}",
                code=reply.headers.get("X-Error-Code", ""),
                retry_after=reply.headers.get("Retry-After"),
                service=HUB,
                token=bool(token),
                page=f"{self.endpoint}/{file.repo}",
            )
        etag = (reply.headers.get("X-Linked-ETag") or reply.headers.get("ETag") or "").removeprefix("W/").strip('"')
        linked = reply.headers.get("X-Linked-Size", "")
        size = int(linked) if linked.isdigit() else None if target else web.length(reply)
        sha256, blob = (etag if len(etag) == length else None for length in (64, 40))
        secret = {"Authorization": f"Bearer {token}"} if token and target is None else {}
        return Address(target or asked, size, sha256, blob, reply.headers.get("X-Repo-Commit"), etag, secret)

    def _at_hub(self, url: str) -> bool:
        return urlsplit(url).netloc == urlsplit(self.endpoint).netloc

    def _from_civitai(self, version: str, known: bool) -> Address:
        token = self.environ.get("CIVITAI_TOKEN")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        what, page = f"CivitAI version {version}", f"{self.civitai}/model-versions/{version}"
        size = sha256 = None
        if not known:
            reply = web.ask(f"{self.civitai}/api/v1/model-versions/{quote(version)}", headers=headers)
            with contextlib.closing(reply.body):
                _check(reply, what, CIVITAI, bool(token), page)
                files = json.load(reply.body).get("files") or [{}]
            file = next((f for f in files if f.get("primary")), files[0])
            sha256 = (file.get("hashes", {}).get("SHA256") or "").lower() or None
        reply = web.ask(f"{self.civitai}/api/download/models/{quote(version)}", headers=headers)
        reply.body.close()
        target = reply.location
        if target is None or "/login" in urlsplit(target).path:
            _check(reply, what, CIVITAI, bool(token), page)
            raise refusal(401, what, service=CIVITAI, token=bool(token), page=page)
        if not known:
            size = self._plain(target).size
        return Address(target, size, sha256)

    def _plain(self, url: str) -> Address:
        """Size and tag of a plain file. Some servers refuse HEAD, and one byte is asked for instead."""
        reply = web.follow(url, method="HEAD")
        reply.body.close()
        if reply.status in (400, 403, 404, 405, 501):
            reply = web.follow(url, headers={"Range": "bytes=0-0"})
            reply.body.close()
        if reply.status not in (200, 206):
            raise refusal(reply.status, bare(url), retry_after=reply.headers.get("Retry-After"))
        tag = reply.headers.get("ETag") or reply.headers.get("Last-Modified")
        return Address(url, web.length(reply), tag=tag)


def probe(url: str, what: str) -> Trouble | None:
    """Why an address is refused, from a request for one byte; None when it is not. Raises Trouble without an answer."""
    reply = web.follow(url, headers={"Range": "bytes=0-0"})
    reply.body.close()
    if reply.status in (200, 206, 416):
        return None
    return refusal(reply.status, what, retry_after=reply.headers.get("Retry-After"))


def _check(reply: web.Reply, what: str, service: Any, token: bool, page: str) -> None:
    if reply.status >= 400:
        after = reply.headers.get("Retry-After")
        raise refusal(reply.status, what, retry_after=after, service=service, token=token, page=page)


def hub_process(environ: Mapping[str, str]) -> subprocess.Popen[str]:
    """`init.fetch.hub` with the token in its environment."""
    home = str(Path(__file__).resolve().parents[2])
    extra = {"PYTHONPATH": home, "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "init.fetch.hub"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **environ, **extra, VARIABLE: hub_token(environ) or ""},
        start_new_session=True,
    )
