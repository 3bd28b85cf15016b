"""RunPod's templates: what one should be, and making it so.

The API is REST v2 (`/v2/templates`); its published OpenAPI document says what a template may hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from manifests.model import Manifest
from manifests.trouble import Trouble
from targets import needs
from targets.api import Change, Connection, Platform
from targets.needs import Needs

PLATFORM = Platform(
    name="RunPod",
    key="RUNPOD_API_KEY",
    address="RUNPOD_API_URL",
    url="https://api.runpod.io",
    section="deploy.runpod",
    details=("detail", "title"),
)
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
        "disk": needs.gb(own.disk) or needs.total(wanted.disk),
        "mounts": {
            "persistent": {
                "size": max(SMALLEST_VOLUME, needs.gb(own.volume) or needs.total(wanted.volume)),
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


def summary(manifest: Manifest, wanted: Needs, body: Mapping[str, Any]) -> list[str]:
    """What the template means, a line each."""
    own, volume = manifest.deploy.runpod, body["mounts"]["persistent"]
    return [
        f"  disk     {body['disk']} GB: {needs.account(own.disk, wanted.disk)}",
        f"  volume   {volume['size']} GB at {volume['path']}: {needs.account(own.volume, wanted.volume)}",
        f"  ports    {', '.join(body['ports'])}",
        *(
            f"  secret   {name} from RunPod's secret {secret}: make it in the console first"
            for name, secret in own.secrets.items()
        ),
    ]


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

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._connection = Connection(PLATFORM, environ)

    def named(self, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The template of this name among the user's own."""
        listed = self._connection.ask("GET", "/v2/templates").get("templates", [])
        return next((one for one in listed if one.get("name") == body["name"]), None)

    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._connection.ask("POST", "/v2/templates", body)

    def update(self, now: Mapping[str, Any], body: Mapping[str, Any], found: list[Change]) -> dict[str, Any]:
        changed = {change.field: change.then for change in found}
        return self._connection.ask("PATCH", f"/v2/templates/{quote(str(now['id']), safe='')}", changed)
