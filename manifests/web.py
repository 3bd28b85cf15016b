"""Questions to web servers, asked politely: who is busy is given time, who is silent is not asked again."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
AGENT = "firstlight"
TIMEOUT = 20.0


class CannotResolve(Exception):
    """Something stays unknown; `reason` says why, `remedy` what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason, self.remedy = reason, remedy


class Busy(Exception):
    """The server asks to come back later: after `after` seconds, if it says so."""

    def __init__(self, reason: str, remedy: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.remedy, self.after = reason, remedy, after


class Silent(Exception):
    """The server cannot be reached."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


@dataclass(frozen=True)
class Answer:
    """What a server said. `url` is where the last redirect led, `body` is empty for HEAD."""

    status: int
    headers: Message
    body: bytes
    url: str

    def header(self, name: str) -> str | None:
        value = self.headers.get(name)
        return None if value is None else str(value)


class Courtesy:
    """What servers asked of us during one run, for all threads of it.

    A busy server is asked again after the time it named, at most `tries` times in all and only when that time is not
    above `patience` seconds. A server that could not be reached twice, or asks for more patience, is left alone: later
    questions to it fail at once, for the same reason.
    """

    def __init__(self, patience: float = 60.0, tries: int = 3) -> None:
        self.patience, self.tries = patience, tries
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._not_before: dict[str, float] = {}
        self._given_up: dict[str, CannotResolve] = {}

    def ask(self, host: str, question: Callable[[], T]) -> T:
        """What `question` returns. Raises CannotResolve when the server stays busy or silent."""
        for attempt in range(1, self.tries + 1):
            self._wait(host)
            try:
                return question()
            except Busy as busy:
                pause = busy.after if busy.after is not None else 2.0 ** (attempt - 1)
                if attempt == self.tries or pause > self.patience:
                    raise self._give_up(host, CannotResolve(busy.reason, busy.remedy)) from None
                with self._lock:
                    self._not_before[host] = max(self._not_before.get(host, 0.0), time.monotonic() + pause)
            except Silent as silent:
                if attempt >= 2:
                    raise self._give_up(host, CannotResolve(silent.reason, silent.remedy)) from None
        raise AssertionError("the last attempt returns or raises")

    def _wait(self, host: str) -> None:
        with self._lock:
            known = self._given_up.get(host)
            pause = self._not_before.get(host, 0.0) - time.monotonic()
        if known is not None:
            raise CannotResolve(known.reason, known.remedy)
        if self._stopped.wait(max(pause, 0.0)):
            raise CannotResolve("interrupted", "run it again")

    def stop(self) -> None:
        """Ask nobody any more: whoever waits gives up at once."""
        self._stopped.set()

    def _give_up(self, host: str, reason: CannotResolve) -> CannotResolve:
        with self._lock:
            return self._given_up.setdefault(host, reason)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows with the method that was asked for: urllib of Python 3.11 turns HEAD into GET."""

    def redirect_request(
        self, req: urllib.request.Request, fp: object, code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        follow = super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]
        if follow is not None and req.get_method() == "HEAD":
            follow.method = "HEAD"
        return follow


def ask(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    secret: Mapping[str, str] | None = None,
    data: bytes | None = None,
    timeout: float = TIMEOUT,
) -> Answer:
    """One question. Headers in `secret` do not follow a redirect. Raises Busy (429, 503) and Silent (no answer).

    The CA bundle is the system's, or that of SSL_CERT_FILE; proxies come from the environment.
    """
    request = urllib.request.Request(url, data=data, method=method)
    for name, value in {"User-Agent": AGENT, **(headers or {})}.items():
        request.add_header(name, value)
    for name, value in (secret or {}).items():
        request.add_unredirected_header(name, value)
    opener = urllib.request.build_opener(_Redirects())
    try:
        with opener.open(request, timeout=timeout) as response:
            return _busy(Answer(response.status, response.headers, response.read(), response.url))
    except urllib.error.HTTPError as error:
        with error:
            return _busy(Answer(error.code, error.headers, error.read(), error.url or url))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise silent(url, error) from None


def good(answer: Answer) -> None:
    """Raises CannotResolve for every answer but a plain file."""
    if answer.status in (401, 403):
        raise CannotResolve(
            f"{host_of(answer.url)} refuses access (HTTP {answer.status})",
            "a plain address must be readable by everyone; `hf:` and `civitai://` take a token",
        )
    if answer.status in (404, 410):
        raise CannotResolve(f"there is no such file (HTTP {answer.status})", "check the address")
    if answer.status != 200:
        raise CannotResolve(f"{host_of(answer.url)} answers HTTP {answer.status}", "run it again later")


def _busy(answer: Answer) -> Answer:
    if answer.status in (429, 503):
        raise busy(answer.url, answer.status, answer.header("Retry-After"))
    return answer


def busy(url: str, status: int, retry_after: str | None, remedy: str = "") -> Busy:
    """What a 429 or 5xx of `url` means, with the wait it asks for."""
    after = seconds(retry_after)
    what = "allows no more requests from here" if status == 429 else "is overloaded"
    wish = "" if after is None else f" for the next {after:.0f} s"
    again = "run it again later" if after is None else f"run it again after {after:.0f} s"
    return Busy(f"{host_of(url)} {what}{wish} (HTTP {status})", f"{again}{remedy}", after)


def seconds(retry_after: str | None) -> float | None:
    """Retry-After, a number of seconds or a date, in seconds from now; None when there is none that can be read."""
    if retry_after is None:
        return None
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def silent(url: str, error: BaseException) -> Silent:
    """Why `url` could not be reached, in words."""
    host = host_of(url)
    cause = _root(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        why = getattr(cause, "verify_message", "") or "unknown issuer"
        return Silent(f"the certificate of {host} is not trusted ({why})", "set SSL_CERT_FILE to your CA bundle")
    if isinstance(cause, socket.gaierror):
        reason = f"the name {host} cannot be looked up ({cause.strerror or cause})"
    elif isinstance(cause, TimeoutError) or "timed out" in str(cause).lower():
        reason = f"{host} does not answer in time"
    elif isinstance(cause, ConnectionRefusedError):
        reason = f"{host} refuses the connection"
    else:
        reason = f"{host} cannot be reached ({str(cause) or type(cause).__name__})"
    return Silent(reason, "run it again with a network (proxies: HTTPS_PROXY)")


def _root(error: BaseException) -> BaseException:
    """The operating system's error below the wrappers that HTTP libraries put around it, if there is one."""
    seen: BaseException | None = error
    while seen is not None:
        inner = getattr(seen, "reason", None)
        if isinstance(inner, OSError):
            return inner
        if isinstance(seen, OSError) and not isinstance(seen, urllib.error.URLError) and seen.errno is not None:
            return seen
        seen = seen.__cause__ or seen.__context__
    return error


def host_of(url: str) -> str:
    """Host and port of a URL: all of it that error messages need."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or url
