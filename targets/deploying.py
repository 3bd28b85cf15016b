"""The verb `deploy`: what a platform is told, what would change, and the change itself."""

from __future__ import annotations

import json as jsons
import os
from collections.abc import Mapping
from typing import Any

from manifests.load import Loaded
from manifests.lock import Lock
from manifests.trouble import Trouble, told
from targets import needs, runpod
from targets.needs import Needs, Share
from targets.runpod import Change


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
    if image is None:
        raise Trouble(
            f"no image of {loaded.manifest.name} was pushed from here",
            f"{_NAMES[to]} pulls it from a registry",
            f"`make build-and-push IMAGE={loaded.manifest.name} REGISTRY=HOST/PATH`, or name one with --image",
        )
    wanted = needs.of(loaded.manifest, lock)
    body = runpod.template(loaded.manifest, wanted, image)
    api = runpod.Api(environ) if apply or environ.get(runpod.KEY) else None
    now = api.named(body["name"]) if api else None
    changes = runpod.changes(now, body)
    if not json:
        print(
            "\n".join([*_needs(to, loaded, wanted, body), *_changes(now, changes, asked=api is not None)]), flush=True
        )
    done = ""
    if apply and api and changes:
        now = api.update(now["id"], {c.field: c.then for c in changes}) if now else api.create(body)
        done = f"{now.get('id', '')}"
    if json:
        listed = [{"field": change.field, "now": change.now, "then": change.then} for change in changes]
        print(jsons.dumps({"template": body, "changes": listed, "applied": bool(done)}, indent=1))
    elif done:
        print(f"done: template {body['name']} ({done})")
    elif changes:
        print("nothing was changed; --apply does it")
    return 0


_NAMES = {"runpod": "RunPod"}


def _needs(to: str, loaded: Loaded, wanted: Needs, body: Mapping[str, Any]) -> list[str]:
    volume = body["mounts"]["persistent"]
    lines = [
        f"{loaded.manifest.name} on {_NAMES[to]}",
        f"  image    {body['image']}",
        f"  disk     {body['disk']} GB: {_shares(wanted.disk)}",
        f"  volume   {volume['size']} GB at {volume['path']}: {_shares(wanted.volume)}",
        f"  ports    {', '.join(body['ports'])}",
        f"  driver   CUDA {wanted.cuda} or later" if wanted.cuda else "  driver   no GPU is needed",
    ]
    for name, secret in loaded.manifest.deploy.runpod.secrets.items():
        lines.append(f"  secret   {name} from RunPod's secret {secret}: make it in the console first")
    if wanted.unknown:
        lines.append(
            f"note: {wanted.unknown} model files have no known size and count {needs.UNKNOWN} GB each;"
            f" `{loaded.verb('lock')}` looks them up"
        )
    return lines


def _shares(shares: list[Share]) -> str:
    return ", ".join(f"{share.what} {share.size}" for share in shares)


def _changes(now: Mapping[str, Any] | None, changes: list[Change], *, asked: bool) -> list[str]:
    if not asked:
        return [f"{runpod.KEY} is not set: what RunPod has now is not known; it would be told", *_lines(changes, now)]
    if now is None:
        return ["RunPod has no such template yet; it would be", *_lines(changes, now)]
    if not changes:
        return [f"RunPod has it just so (template {now.get('id', '')})"]
    return [f"template {now.get('id', '')} differs", *_lines(changes, now)]


def _lines(changes: list[Change], now: Mapping[str, Any] | None) -> list[str]:
    lines = []
    for change in changes:
        if now is not None:
            lines.append(f"  - {change.field}: {jsons.dumps(change.now)}")
        lines.append(f"  + {change.field}: {jsons.dumps(change.then)}")
    return lines
