"""What can go wrong with a download, in the user's words."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from urllib.parse import urlsplit, urlunsplit

from init.fetch.login import VARIABLE


class Trouble(Exception):
    """A download cannot go on now. `message` says why, `hint` what to do about it.

    `retry`: another try may end better. `after`: seconds that the origin asked to wait. `kind` groups what is handled
    alike: `expired` (ask for a new address), `space`, `busy`, `network`, `content`, `refused`.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        retry: bool = True,
        after: float | None = None,
        kind: str = "network",
    ):
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.retry = retry
        self.after = after
        self.kind = kind


@dataclass(frozen=True)
class Service:
    """Where a token for an origin comes from."""

    name: str
    variable: str
    tokens: str


HUB = Service("Hugging Face", VARIABLE, "https://huggingface.co/settings/tokens")
CIVITAI = Service("CivitAI", "CIVITAI_TOKEN", "https://civitai.com/user/account")


def bare(url: str) -> str:
    """The address without query, fragment and user: fit for messages."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def delay(retry_after: str | None) -> float | None:
    """Seconds of a Retry-After header, which is a number or a date; None when it is missing or neither."""
    if not retry_after:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time())
    except (TypeError, ValueError):
        return None


def _give(service: Service) -> str:
    """How a token is given: to Hugging Face's client on the running machine, too."""
    here = "sign in with `hf auth login` and retry, or " if service is HUB else ""
    return f"{here}start again with {service.variable} set"


def refusal(
    status: int,
    what: str,
    *,
    code: str = "",
    retry_after: str | None = None,
    service: Service | None = None,
    token: bool = False,
    page: str = "",
) -> Trouble:
    """Why an origin answered `status` for `what` (a file's name). `page`: where its licence can be accepted."""
    where = service.name if service else "the server"
    if status == 429 or status == 503:
        after = delay(retry_after)
        reason = "too many requests from this address" if status == 429 else "it is overloaded"
        wait = f"; asked to wait {after:.0f} s" if after is not None else ""
        hint = (
            f"start with {service.variable} set: signed-in users have a higher limit"
            if service and not token and status == 429
            else None
        )
        return Trouble(f"{what}: {where} answered {status} ({reason}{wait})", hint=hint, after=after, kind="busy")
    if code == "GatedRepo":
        need = (
            f"accept the licence at {page}, {_give(HUB)}"
            if not token
            else (f"accept the licence at {page} with the account of this {HUB.variable} and retry")
        )
        return Trouble(f"{what}: {where} asks for an accepted licence", hint=need, retry=False, kind="refused")
    if status in (401, 403) and service and (status == 401 or not token):
        if token:
            return Trouble(
                f"{what}: {where} refused the token ({status})",
                hint=f"make a new one at {service.tokens} and {_give(service)}",
                retry=False,
                kind="refused",
            )
        return Trouble(
            f"{what}: {where} wants a token ({status}), or there is no such file",
            hint=f"make one at {service.tokens}, {_give(service)}, and check the address {page}".rstrip(),
            retry=False,
            kind="refused",
        )
    if status in (401, 403):
        hint = f"check that the account of {service.variable} may read {page}" if service else "check the address"
        return Trouble(f"{what}: {where} refused it ({status})", hint=hint, retry=status == 403, kind="expired")
    if status in (404, 410):
        missing = {"RepoNotFound": "there is no such repository", "RevisionNotFound": "there is no such revision"}
        reason = missing.get(code, "there is no such file")
        return Trouble(
            f"{what}: {where} answered {status}: {reason}",
            hint="correct the address in the manifest, then lock it again",
            retry=False,
            kind="refused",
        )
    return Trouble(f"{what}: {where} answered {status}", retry=status >= 500)
