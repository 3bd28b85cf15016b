"""What the platforms' APIs have in common: a key, JSON both ways, refusals in plain words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from manifests.trouble import Trouble
from manifests.web import Answer, CannotResolve, Courtesy, ask

PROXY = "try again later; a proxy in between (HTTPS_PROXY) may have answered instead"


@dataclass(frozen=True)
class Change:
    """A field that differs; None: it is not there."""

    field: str
    now: Any
    then: Any


@dataclass(frozen=True)
class Platform:
    """One platform's API, in words and names."""

    name: str
    key: str
    """Variable with the user's key."""
    address: str
    """Variable with another address."""
    url: str
    section: str
    """Part of a manifest that speaks of it."""
    details: tuple[str, ...]
    """Fields of a refusal that say why, the first that is there counts; a list of further ones is `errors`."""


class Connection:
    """A connection with the user's key. Everything raises Trouble."""

    def __init__(self, platform: Platform, environ: Mapping[str, str]) -> None:
        self.platform = platform
        self._key = environ.get(platform.key, "").strip()
        self._url = (environ.get(platform.address) or platform.url).rstrip("/")
        self._courtesy = Courtesy()
        if not self._key:
            raise Trouble(
                f"{platform.key} is not set",
                f"{platform.name} lets nobody in without it",
                "make a key in the console under Settings",
            )
        if not re.fullmatch(r"[\x21-\x7e]+", self._key):
            raise Trouble(
                f"{platform.key} is no key", "it holds spaces or other characters that no key has", "copy it again"
            )

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer, a JSON object."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if data else {})
        secret = {"Authorization": f"Bearer {self._key}"}
        try:
            answer = self._courtesy.ask(
                self._url, lambda: ask(self._url + path, method=method, headers=headers, secret=secret, data=data)
            )
        except CannotResolve as error:
            raise Trouble(f"{self.platform.name} cannot be asked", error.reason, error.remedy) from None
        if answer.status >= 400:
            raise self._refusal(answer)
        found = _object(answer)
        if found is None:
            raise Trouble(
                f"{self.platform.name} gave an answer that cannot be read",
                f"HTTP {answer.status} of {self._url}",
                PROXY,
            )
        return found

    def refused(self, reason: str) -> Trouble:
        name, section = self.platform.name, self.platform.section
        return Trouble(f"{name} refuses this template", reason, f"correct `{section}` in the manifest")

    def _refusal(self, answer: Answer) -> Trouble:
        """What the platform says, and what to do."""
        said = _object(answer) or {}
        first = next((str(said[name]) for name in self.platform.details if said.get(name)), "")
        more = said.get("errors")
        details = [first, *(map(str, more) if isinstance(more, list) else ())]
        reason = "\n".join([f"HTTP {answer.status}", *(text.replace(self._key, "…") for text in details if text)])
        name = self.platform.name
        match answer.status:
            case 401:
                return Trouble(
                    f"{name} does not know this key", reason, f"set {self.platform.key} to a key that is valid"
                )
            case 403:
                return Trouble(
                    "this key may not do that",
                    reason,
                    "give it write access to templates in the console, or use another",
                )
            case 404:
                return Trouble(f"{name} does not have this template any more", reason, "run it again: it is made anew")
            case 400 | 422:
                return self.refused(reason)
            case status if status >= 500:
                return Trouble(f"{name} has a problem of its own", reason, "try again later; nothing is half done")
        return Trouble(f"{name} refuses this", reason, "the lines above say why")


def _object(answer: Answer) -> dict[str, Any] | None:
    try:
        found = json.loads(answer.body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
