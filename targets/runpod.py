"""RunPod's templates: what one should be, and making it so.

The API is REST v2 (`/v2/templates`); its published OpenAPI document says what a template may hold.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from manifests.model import Manifest
from manifests.trouble import Trouble
from manifests.web import Answer, CannotResolve, Courtesy, ask
from targets import needs
from targets.needs import Needs

API = "https://api.runpod.io"
ADDRESS, KEY = "RUNPOD_API_URL", "RUNPOD_API_KEY"
WORKSPACE = "/workspace"
SSH = "22/tcp"
MOST_PAGES, MOST_VARIABLES = 10, 50
"""RunPod's limits for HTTP ports and environment variables."""
SMALLEST_VOLUME = 10


def template(manifest: Manifest, wanted: Needs, image: str) -> dict[str, Any]:
    """The body of a request that creates the template. Pure. Raises Trouble: more than RunPod takes."""
    own = manifest.deploy.runpod
    ports = own.ports or [*(f"{port}/http" for port in wanted.http), SSH]
    env = {**own.env, **{name: f"{{{{ RUNPOD_SECRET_{secret} }}}}" for name, secret in own.secrets.items()}}
    if (pages := sum(port.endswith("/http") for port in ports)) > MOST_PAGES:
        raise Trouble(
            f"{pages} HTTP ports, and RunPod publishes {MOST_PAGES} at most",
            "",
            "name those that are needed under `deploy.runpod.ports`",
        )
    if len(env) > MOST_VARIABLES:
        raise Trouble(f"{len(env)} variables, and RunPod takes {MOST_VARIABLES} at most", "", "shorten `deploy.runpod`")
    return {
        "name": manifest.name,
        "image": image,
        "category": "NVIDIA" if wanted.cuda else "CPU",
        "disk": _gb(own.disk) or needs.total(wanted.disk),
        "mounts": {
            "persistent": {
                "size": max(SMALLEST_VOLUME, _gb(own.volume) or needs.total(wanted.volume)),
                "path": WORKSPACE,
            }
        },
        "ports": ports,
        "env": env,
        "public": False,
        "serverless": False,
        # RunPod then makes a password for each pod, and its console's button knows it: it is the token here.
        "startJupyter": True,
        "startSsh": SSH in ports,
        "allowedCudaVersions": needs.drivers(wanted.cuda) if wanted.cuda else [],
    }


def _gb(size: int | None) -> int | None:
    return None if size is None else -(-size // needs.GB)


@dataclass(frozen=True)
class Change:
    """A field that differs; None: it is not there."""

    field: str
    now: Any
    then: Any


def changes(now: Mapping[str, Any] | None, then: Mapping[str, Any]) -> list[Change]:
    """What is to be changed. Pure. Fields that we do not speak of are the user's own."""
    before = now or {}
    return [
        Change(name, before.get(name), value)
        for name, value in then.items()
        if _plain(before.get(name)) != _plain(value) or (now is None)
    ]


def _plain(value: Any) -> Any:
    """Order of ports and versions means nothing."""
    return sorted(value) if isinstance(value, list) else value


class Api:
    """A connection with the user's key. Everything raises Trouble."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        self._key = environ.get(KEY, "").strip()
        self._url = environ.get(ADDRESS, API).rstrip("/")
        self._courtesy = Courtesy()
        if not self._key:
            raise Trouble(
                f"{KEY} is not set", "RunPod lets nobody in without it", "make a key in the console under Settings"
            )
        if not re.fullmatch(r"[\x21-\x7e]+", self._key):
            raise Trouble(f"{KEY} is no key", "it holds spaces or other characters that no key has", "copy it again")

    def named(self, name: str) -> dict[str, Any] | None:
        """The template of this name among the user's own."""
        found = [one for one in self._ask("GET", "").get("templates", []) if one.get("name") == name]
        return found[0] if found else None

    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._ask("POST", "", body)

    def update(self, id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._ask("PATCH", f"/{quote(id, safe='')}", body)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        url = f"{self._url}/v2/templates{path}"
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if data else {})
        secret = {"Authorization": f"Bearer {self._key}"}
        try:
            answer = self._courtesy.ask(
                self._url, lambda: ask(url, method=method, headers=headers, secret=secret, data=data)
            )
        except CannotResolve as error:
            raise Trouble("RunPod cannot be asked", error.reason, error.remedy) from None
        if answer.status >= 400:
            raise _refusal(answer)
        try:
            found = json.loads(answer.body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Trouble("RunPod gave an answer that cannot be read", f"HTTP {answer.status} of {self._url}", _PROXY)
        return found


_PROXY = "try again later; a proxy in between (HTTPS_PROXY) may have answered instead"


def _refusal(answer: Answer) -> Trouble:
    """What RunPod says (RFC 9457), and what to do."""
    try:
        said = json.loads(answer.body)
        details = [str(said.get("detail") or said.get("title") or ""), *map(str, said.get("errors") or [])]
    except (ValueError, AttributeError):
        details = []
    reason = "\n".join([f"HTTP {answer.status}", *filter(None, details)])
    match answer.status:
        case 401:
            return Trouble("RunPod does not know this key", reason, f"set {KEY} to a key that is valid")
        case 403:
            return Trouble(
                "this key may not do that", reason, "give it write access to templates in the console, or use another"
            )
        case 404:
            return Trouble("RunPod does not have this template any more", reason, "run it again: it is made anew")
        case 400 | 422:
            return Trouble("RunPod refuses this template", reason, "correct `deploy.runpod` in the manifest")
        case status if status >= 500:
            return Trouble("RunPod has a problem of its own", reason, "try again later; nothing is half done")
    return Trouble("RunPod refuses this", reason, "the lines above say why")
