"""From what a manifest says (`hf://`, `civitai://`, `https://`) to an address that needs no header."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from init.fetch import web
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


class Sources:
    """Resolves addresses. Thread-safe; the tokens stay here and in the hub's process."""

    def __init__(self, environ: Mapping[str, str]):
        self.environ = environ
        self.endpoint = (environ.get("HF_ENDPOINT") or HUB_ENDPOINT).rstrip("/")
        self.civitai = (environ.get("CIVITAI_ENDPOINT") or CIVITAI_ENDPOINT).rstrip("/")
        self._hub = _Hub(environ)

    def close(self) -> None:
        self._hub.close()

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
        order = {"repo": file.repo, "path": file.path, "revision": revision, "endpoint": self.endpoint}
        reply = self._hub.ask(order)
        if "url" in reply:
            etag = reply["etag"] or ""
            return Address(
                reply["url"],
                reply["size"],
                etag if len(etag) == 64 else None,
                etag if len(etag) == 40 else None,
                reply["revision"],
                etag,
            )
        if reply.get("status") is None:
            host = urlsplit(self.endpoint).hostname
            raise Trouble(f"{file.path}: {host} does not answer ({reply['error']})", hint="check the network")
        raise refusal(
            reply["status"],
            f"{file.repo}/{file.path}",
            code=reply["code"],
            retry_after=reply["retry_after"],
            service=HUB,
            token=bool(self.environ.get("HF_TOKEN")),
            page=f"{self.endpoint}/{file.repo}",
        )

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


def hub_process(environ: Mapping[str, str], verb: str) -> subprocess.Popen[str]:
    """`init.fetch.hub` with the token in its environment."""
    home = str(Path(__file__).resolve().parents[2])
    extra = {"PYTHONPATH": home, "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "init.fetch.hub", verb],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **environ, **extra},
        start_new_session=True,
    )


class _Hub:
    """The resolving process: started for the first question, ended when nobody has asked for a while."""

    IDLE = 20.0

    def __init__(self, environ: Mapping[str, str]):
        self._environ = environ
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._process: subprocess.Popen[str] | None = None
        self._waiting: dict[int, tuple[threading.Event, dict[str, Any]]] = {}
        self._asked = 0.0

    def ask(self, order: dict[str, Any], within: float = 90.0) -> dict[str, Any]:
        """The answer; without `status` and `url` when there was none."""
        event, reply = threading.Event(), dict[str, Any]()
        with self._lock:
            number = next(self._numbers)
            self._waiting[number] = (event, reply)
            self._asked = time.monotonic()
            process = self._process
            if process is None or process.poll() is not None:
                process = self._process = hub_process(self._environ, "resolve")
                threading.Thread(target=self._read, args=(process,), daemon=True, name="hub").start()
                threading.Thread(target=self._retire, args=(process,), daemon=True, name="hub-idle").start()
            assert process.stdin is not None
            try:
                process.stdin.write(json.dumps({"id": number, **order}) + "\n")
                process.stdin.flush()
            except OSError:
                pass
        if not event.wait(within):
            reply = {}
        with self._lock:
            self._waiting.pop(number, None)
            self._asked = time.monotonic()
        return reply or {"error": "no answer in time"}

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            found = json.loads(line)
            with self._lock:
                waiting = self._waiting.get(found["id"])
            if waiting:
                waiting[1].update(found)
                waiting[0].set()
        process.wait()
        with self._lock:
            if self._process is process:
                self._process = None
                for event, reply in self._waiting.values():
                    reply.setdefault("error", "the hub client ended")
                    event.set()

    def _retire(self, process: subprocess.Popen[str]) -> None:
        while process.poll() is None:
            with self._lock:
                idle = not self._waiting and time.monotonic() - self._asked > self.IDLE
            if idle:
                self._end(process)
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1.0)

    def _end(self, process: subprocess.Popen[str]) -> None:
        with self._lock:
            if self._process is process:
                self._process = None
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(2.0)
        except subprocess.TimeoutExpired:
            process.kill()

    def close(self) -> None:
        with self._lock:
            process = self._process
        if process is not None:
            self._end(process)
