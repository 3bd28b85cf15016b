"""The verb `deploy`: what a platform is told, what would change, and the change itself."""

from __future__ import annotations

import json as jsons
import os
import re
from collections.abc import Mapping
from typing import Any, Protocol

from manifests.load import Loaded
from manifests.lock import Lock
from manifests.model import Manifest
from manifests.trouble import Trouble, told
from targets import needs, runpod, vast
from targets.api import Change, Platform
from targets.needs import Needs

SECRET = re.compile("TOKEN|SECRET|PASSW|CREDENTIAL|KEY", re.IGNORECASE)
"""Names of variables whose values are not shown."""


class Api(Protocol):
    """The user's templates at a platform. Everything raises Trouble."""

    def __init__(self, environ: Mapping[str, str]) -> None: ...

    def named(self, body: Mapping[str, Any]) -> dict[str, Any] | None: ...

    def create(self, body: Mapping[str, Any]) -> dict[str, Any]: ...

    def update(self, now: Mapping[str, Any], body: Mapping[str, Any], found: list[Change]) -> dict[str, Any]: ...


class Target(Protocol):
    """What a platform's module has."""

    @property
    def PLATFORM(self) -> Platform: ...

    @property
    def Api(self) -> type[Api]: ...

    def template(self, manifest: Manifest, wanted: Needs, image: str) -> dict[str, Any]: ...

    def summary(self, manifest: Manifest, wanted: Needs, body: Mapping[str, Any]) -> list[str]: ...

    def changes(self, now: Mapping[str, Any] | None, then: Mapping[str, Any]) -> list[Change]: ...


TARGETS: Mapping[str, Target] = {"runpod": runpod, "vast": vast}


def run_deploy(
    loaded: Loaded, lock: Lock, to: str, image: str | None, *, apply: bool = False, json: bool = False
) -> int:
    """Exit code: 0 when the platform has what the manifest says, or would have."""
    return told(lambda: deploy(loaded, lock, to, image, os.environ, apply=apply, json=json))


def deploy(
    loaded: Loaded,
    lock: Lock,
    to: str,
    image: str | None,
    environ: Mapping[str, str],
    *,
    apply: bool = False,
    json: bool = False,
) -> int:
    """Raises Trouble. Without the platform's key nothing is asked, and the whole template is what would change."""
    target = TARGETS[to]
    if image is None:
        raise Trouble(
            f"no image of {loaded.manifest.name} was pushed from here",
            f"{target.PLATFORM.name} pulls it from a registry",
            f"`make build-and-push IMAGE={loaded.manifest.name} REGISTRY=HOST/PATH`, or name one with --image",
        )
    wanted = needs.of(loaded.manifest, lock)
    body = target.template(loaded.manifest, wanted, image)
    api = target.Api(environ) if apply or environ.get(target.PLATFORM.key) else None
    now = api.named(body) if api else None
    changes = target.changes(now, body)
    if not json:
        lines = _needs(target, loaded, wanted, image, body) + _changes(target.PLATFORM, now, changes, api is not None)
        print("\n".join(lines), flush=True)
    done = bool(apply and api and changes)
    if api and done:
        now = api.update(now, body, changes) if now else api.create(body)
    if json:
        listed = [{"field": change.field, "now": hidden(change.now), "then": change.then} for change in changes]
        print(jsons.dumps({"template": body, "changes": listed, "applied": done}, indent=1))
    elif done:
        print(f"done: template {body['name']} ({(now or {}).get('id', 'it does not say which')})")
    elif changes:
        print("nothing was changed; --apply does it")
    return 0


def hidden(value: Any, name: str = "") -> Any:
    """What a platform has now, without the values of variables that are called like a secret: somebody may have put
    them into the template by hand. References to a platform's secrets are none."""
    if isinstance(value, dict):
        return {key: hidden(one, str(key)) for key, one in value.items()}
    secret = isinstance(value, str) and SECRET.search(name) and not value.startswith("{{")
    return "…" if secret and len(value) > 1 else value


def _needs(target: Target, loaded: Loaded, wanted: Needs, image: str, body: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{loaded.manifest.name} on {target.PLATFORM.name}",
        f"  image    {image}",
        *target.summary(loaded.manifest, wanted, body),
        f"  driver   CUDA {wanted.cuda} or later" if wanted.cuda else "  driver   no GPU is needed",
    ]
    if wanted.memory:
        lines.append(f"  GPU      {needs.gb(wanted.memory)} GB of memory or more")
    if wanted.unknown:
        lines.append(
            f"note: {wanted.unknown} model files have no known size and count {needs.UNKNOWN} GB each;"
            f" `{loaded.verb('lock')}` looks them up"
        )
    return lines


def _changes(platform: Platform, now: Mapping[str, Any] | None, changes: list[Change], asked: bool) -> list[str]:
    name = platform.name
    if not asked:
        return [f"{platform.key} is not set: what {name} has now is not known; it would be told", *_lines(changes, now)]
    if now is None:
        return [f"{name} has no such template yet; it would be", *_lines(changes, now)]
    if not changes:
        return [f"{name} has it just so (template {now.get('id', '')})"]
    return [f"template {now.get('id', '')} differs", *_lines(changes, now)]


def _lines(changes: list[Change], now: Mapping[str, Any] | None) -> list[str]:
    lines = []
    for change in changes:
        if now is not None:
            lines.append(f"  - {change.field}: {jsons.dumps(hidden(change.now), ensure_ascii=False)}")
        lines.append(f"  + {change.field}: {jsons.dumps(change.then)}")
    return lines
