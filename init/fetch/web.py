"""Single HTTP requests from Python: no redirect is followed unasked, no header survives one."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

from init.fetch.trouble import Trouble, bare

AGENT = "firstlight/1"


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        return None


@dataclass
class Reply:
    """An answer; `body` is to be closed by whoever asked."""

    status: int
    headers: Message
    url: str
    body: http.client.HTTPResponse | urllib.error.HTTPError

    @property
    def location(self) -> str | None:
        """Where a redirect leads, absolute."""
        target = self.headers.get("Location")
        return urljoin(self.url, target) if target and self.status in (301, 302, 303, 307, 308) else None


def ask(url: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, within: float = 30.0) -> Reply:
    """One request. Raises Trouble when there is no answer."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise Trouble(f"{bare(url)}: only http and https are fetched", retry=False, kind="refused")
    request = urllib.request.Request(url, method=method, headers={"User-Agent": AGENT, **(headers or {})})
    opener = urllib.request.build_opener(_Stay)
    try:
        answer = opener.open(request, timeout=within)
    except urllib.error.HTTPError as error:
        return Reply(error.code, error.headers, url, error)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise Trouble(f"{urlsplit(url).hostname} does not answer ({reason})", hint="check the network") from None
    return Reply(answer.status, answer.headers, url, answer)


def follow(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    secret: Mapping[str, str] | None = None,
    within: float = 30.0,
) -> Reply:
    """A request that follows up to ten redirects; `secret` headers go to the first host only."""
    first = urlsplit(url).netloc
    for _ in range(10):
        own = secret if secret and urlsplit(url).netloc == first else {}
        reply = ask(url, method=method, headers={**(headers or {}), **own}, within=within)
        target = reply.location
        if target is None:
            return reply
        reply.body.close()
        url = target
    raise Trouble(f"{bare(url)}: more than ten redirects", retry=False, kind="refused")


def length(reply: Reply) -> int | None:
    """Size of the whole file that a reply is (a part of), in bytes."""
    whole = reply.headers.get("Content-Range", "").rpartition("/")[2]
    if reply.status == 206:
        return int(whole) if whole.isdigit() else None
    given = reply.headers.get("Content-Length", "")
    return int(given) if given.isdigit() else None
