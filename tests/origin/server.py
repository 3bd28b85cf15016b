"""The origin itself: a hub, and a CDN on another host; what they serve, and a log of every request."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from tests.origin.content import Content, blob
from tests.origin.faults import Fault, Kind

HUB_HOST, CDN_HOST = "127.0.0.1", "127.0.0.2"


@dataclass
class Entry:
    """One request as it was answered. `sent` counts body bytes handed to the kernel."""

    at: float
    server: str
    method: str
    path: str
    key: str = ""
    range: str | None = None
    status: int = 0
    sent: int = 0
    authorization: bool = False
    """An Authorization or Cookie header came along."""
    token: bool = False
    """A token that the origin knows came along, anywhere in the request."""
    ended: bool = False
    client: str = ""
    """The address that it came from."""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Published:
    """A file that can be fetched. `url` is what a manifest says (`hf://…`, `https://…`, `civitai://…`)."""

    key: str
    url: str
    content: Content
    commit: str = ""
    etag: str = ""
    name: str = ""
    lfs: bool = True
    access: str = "public"
    """`public`; `gated`: for tokens that accepted the licence; `private`: not found without a token."""

    @property
    def size(self) -> int:
        return self.content.size

    @property
    def sha256(self) -> str:
        return self.content.sha256


class Bucket:
    """A limit shared by all connections, in bytes per second."""

    def __init__(self, rate: float):
        self.rate = rate
        self._lock = threading.Lock()
        self._due = time.monotonic()

    def take(self, amount: int) -> None:
        with self._lock:
            now = time.monotonic()
            self._due = max(self._due, now - 0.05) + amount / self.rate
            wait = self._due - now
        if wait > 0:
            time.sleep(wait)


class Origin:
    """A hub, a CDN and their files, on loopback. Use as a context manager, or call `start` and `stop`."""

    def __init__(self, port: int = 0, cdn_port: int = 0, hosts: tuple[str, str] = (HUB_HOST, CDN_HOST)):
        self.files: dict[str, Published] = {}
        """By key."""
        self.repos: dict[str, dict[str, Published]] = {}
        """Hub repositories: files by path."""
        self.commits: dict[str, str] = {}
        self.folders: dict[str, Path] = {}
        """Static folders by path prefix, with listings."""
        self.git: dict[str, Path] = {}
        """Bare repositories by path prefix."""
        self.tokens: dict[str, set[str]] = {}
        """Known tokens, each with the repositories (`owner/repo`, `civitai`) whose licence it accepted; `*`: all."""
        self.faults: list[Fault] = []
        self.log: list[Entry] = []
        self.total: Bucket | None = None
        self.signature_seconds = 3600.0
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self._secret = secrets.token_bytes(16)
        self._generation: dict[str, int] = {}
        self._hosts = hosts
        """Addresses of the hub and the CDN."""
        self._ports = (port, cdn_port)
        self._servers: list[Any] = []

    def start(self) -> Origin:
        from tests.origin.web import Server

        for name, host, port in zip(("hub", "cdn"), self._hosts, self._ports, strict=True):
            server = Server((host, port), self, name)
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True, name=f"origin-{name}").start()
            self._servers.append(server)
        return self

    def stop(self) -> None:
        self.stopping.set()
        self.faults.clear()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def __enter__(self) -> Origin:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Of the hub (HF_ENDPOINT, CIVITAI_ENDPOINT), plain files and git."""
        return f"http://{self._hosts[0]}:{self._servers[0].server_address[1]}"

    @property
    def cdn(self) -> str:
        return f"http://{self._hosts[1]}:{self._servers[1].server_address[1]}"

    # what there is

    def hub(self, repo: str, path: str, content: Content, *, lfs: bool = True, access: str = "public") -> Published:
        """Publish a file in hub repository `owner/name`."""
        etag = content.sha256 if lfs else blob(content)
        files = self.repos.setdefault(repo, {})
        commit = self.commits.setdefault(repo, hashlib.sha1(repo.encode()).hexdigest())
        files[path] = Published(f"{repo}/{path}", f"hf://{repo}/{path}", content, commit, etag, path, lfs, access)
        self.files[f"{repo}/{path}"] = files[path]
        return files[path]

    def plain(self, path: str, content: Content) -> Published:
        """Publish a file at `<url>/<path>`, with ranges and an ETag."""
        path = path.strip("/")
        name = path.rpartition("/")[2]
        self.files[path] = Published(path, f"{self.url}/{quote(path)}", content, etag=content.sha256[:20], name=name)
        return self.files[path]

    def civitai(self, version: int, name: str, content: Content, *, access: str = "public") -> Published:
        """Publish a CivitAI model version; `access="gated"` asks for a token."""
        key = f"civitai/{version}"
        self.files[key] = Published(key, f"civitai://{version}", content, name=name, access=access)
        return self.files[key]

    def token(self, token: str, *licences: str) -> str:
        """Make a token known, and the repositories whose licence it accepted (`*`: all)."""
        self.tokens[token] = set(licences)
        return token

    def repository(self, path: str, folder: Path) -> str:
        """Serve bare git repository `folder` at `<url>/<path>`, by the smart protocol. Gives its URL."""
        self.git[path.strip("/")] = folder
        return f"{self.url}/{path.strip('/')}"

    def folder(self, path: str, folder: Path) -> str:
        """Serve a folder with listings (wheels, a `simple` index). Gives its URL, with a slash at the end."""
        self.folders[path.strip("/")] = folder
        return f"{self.url}/{path.strip('/')}/"

    # what goes wrong

    def fault(self, kind: Kind, key: str = "*", **settings: Any) -> Fault:
        """Order a bad day; see `Fault`."""
        fault = Fault(kind, key, **settings)
        self.faults.append(fault)
        return fault

    def clear(self) -> None:
        """No more faults, no limits."""
        for fault in self.faults:
            fault.gone = True
        self.faults = []
        self.total = None

    def limit(self, total: float | None) -> None:
        """Bytes per second over all connections."""
        self.total = Bucket(total) if total else None

    # what was asked

    def requests(self, key: str = "*", method: str | None = None, server: str | None = None) -> list[Entry]:
        """Log entries by key, in order."""
        with self.lock:
            log = list(self.log)
        return [e for e in log if fnmatchcase(e.key, key) and method in (None, e.method) and server in (None, e.server)]

    def sent(self, key: str = "*") -> int:
        """Body bytes of files sent."""
        return sum(e.sent for e in self.requests(key) if e.key in self.files)

    # signed addresses

    def sign(self, file: Published) -> str:
        """An address of the file on the CDN, good until it expires."""
        expires = int(time.time() + self.signature_seconds)
        return f"{self.cdn}/cdn/{quote(file.key)}?Expires={expires}&Signature={self._signature(file.key, expires)}"

    def valid(self, key: str, query: Mapping[str, str]) -> bool:
        expires = int(query.get("Expires", "0"))
        good = hmac.compare_digest(self._signature(key, expires), query.get("Signature", ""))
        return good and expires > time.time()

    def expire(self, key: str) -> None:
        """Make all addresses of the file signed so far invalid."""
        with self.lock:
            self._generation[key] = self._generation.get(key, 0) + 1

    def _signature(self, key: str, expires: int) -> str:
        text = f"{key}:{expires}:{self._generation.get(key, 0)}"
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()[:40]

    # from other processes

    def control(self, order: dict[str, Any]) -> Any:
        """An order as it comes in at `/_control`: `{"do": NAME, …}` with the arguments of the method of that name."""
        from tests.origin.catalog import publish

        def entries(**arguments: Any) -> list[dict[str, Any]]:
            return [asdict(e) for e in self.requests(**arguments)]

        verbs: dict[str, Callable[..., Any]] = {
            "fault": lambda **a: self.fault(**a) and None,
            "clear": self.clear,
            "limit": self.limit,
            "expire": self.expire,
            "sent": self.sent,
            "requests": entries,
            "publish": lambda **a: publish(self, a),
        }
        return verbs[order.pop("do")](**order)


def listing(files: Iterator[Path]) -> bytes:
    """A folder as a page of links."""
    names = sorted(f.name + "/" * f.is_dir() for f in files)
    return "".join(["<!doctype html>\n", *(f'<a href="{quote(n)}">{n}</a><br>\n' for n in names)]).encode()


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()
