"""Vast.ai's templates: what one should be, and making it so.

There is no published document of the API: requests are those of Vast.ai's own client (`vastai` on PyPI).

The launch mode is `args`: in it the image's entrypoint stays, and with it a PID 1 that ends everything in good order,
JupyterLab within seconds (the other modes first install an sshd and a JupyterLab of the platform's), and sshd as the
manifest has it. The on-start script is set all the same: who chooses another mode in the console gets the same.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

from manifests import clashes, expand, offers
from manifests.model import Manifest
from manifests.trouble import Trouble
from targets import needs
from targets.api import PROXY, Change, Connection, Platform
from targets.needs import Needs

PLATFORM = Platform(
    name="Vast.ai",
    key="VAST_API_KEY",
    address="VAST_URL",
    url="https://console.vast.ai",
    section="deploy.vast",
    details=("msg", "error"),
)
MOST_PORTS = 64
ONSTART = "entrypoint.sh"
PLACEHOLDER = "1"
"""Vast.ai puts a secret of its own in the place of this `OPEN_BUTTON_TOKEN`."""
USERS = {"href": None, "repo": None, "docker_login_repo": None, "jupyter_dir": None, "readme": None} | {
    "readme_visible": True,
    "desc": None,
}
"""Fields that we do not speak of, as a new template has them."""


def template(manifest: Manifest, wanted: Needs, image: str) -> dict[str, Any]:
    """What we say of the template. Pure. Raises Trouble: more than Vast.ai takes, or what it has no way to say."""
    own = manifest.deploy.vast
    ports = [*wanted.http, *([clashes.SSH_PORT] if manifest.ssh else [])]
    if len(ports) > MOST_PORTS:
        raise Trouble(f"{len(ports)} ports, and Vast.ai maps {MOST_PORTS} at most", "", "give fewer services a port")
    env = {
        "OPEN_BUTTON_PORT": str(manifest.portal.port),
        "OPEN_BUTTON_TOKEN": PLACEHOLDER,
        "PORTAL_CONFIG": portal(manifest),
        **own.env,
    }
    disk = needs.gb(own.disk) or needs.total([*wanted.disk, *wanted.volume])
    name, tag = split(image)
    return {
        "name": manifest.name,
        "image": name,
        "tag": tag,
        "env": options(ports, env),
        "onstart": ONSTART,
        "runtype": "args",
        "use_ssh": False,
        "ssh_direct": False,
        "jup_direct": False,
        "use_jupyter_lab": False,
        "extra_filters": filters(manifest, wanted, disk, len(ports)),
        "recommended_disk_space": disk,
        "private": True,
    }


def split(image: str) -> tuple[str, str | None]:
    """Image and tag of a reference. A digest stays with the image: Vast.ai joins the two with a colon."""
    name, colon, tag = image.rpartition(":")
    if "@" in image:
        return image, None
    return (name, tag) if colon and "/" not in tag else (image, "latest")


def portal(manifest: Manifest) -> str:
    """`PORTAL_CONFIG`: what the Open button shows, as `host:external:internal:path:name` between bars.

    All these ports answer by themselves, so both numbers are the same. Outside of its Jupyter mode Vast.ai drops what
    has `jupyter` in it."""
    entries = [(manifest.portal.port, "/", "Portal"), (manifest.jupyter.port, "/lab", "Lab")]
    for name, service in expand.services(manifest).items():
        if service.port is not None:
            plain = not set(service.open) & set(":|\"'\\$`")
            entries.append((service.port, service.open if plain else "/", _label(service.title or name) or name))
    taken: list[str] = []
    for port, path, label in entries:
        # Of two with one name Vast.ai's portal shows the last only.
        unique = label if all(label != entry.split(":", 4)[4] for entry in taken) else f"{label} ({port})"
        taken.append(f"localhost:{port}:{port}:{path}:{unique}")
    return "|".join(taken)


def _label(title: str) -> str:
    """What stands between bars and colons, and in quotes, without harm."""
    return re.sub(r"^[\W_]+", "", " ".join(re.sub(r"[^\w .,:+()&/#@!-]", " ", title).split()))[:58].rstrip(" ,:&/#@-")


def options(ports: list[int], env: Mapping[str, str]) -> str:
    """The field "Docker options", as Vast.ai's `parse_env` reads it. Raises Trouble."""
    words = [f"-p {port}:{port}" for port in ports]
    return " ".join([*words, *(f"-e {name}={_quoted(name, value)}" for name, value in env.items())])


def _quoted(name: str, value: str) -> str:
    """In quotes, so that both `parse_env` and a shell read it back. The former takes quotes off both ends, and counts
    those within: a quoted text may hold the other kind in pairs only."""
    if re.fullmatch(r"[A-Za-z0-9_./@%+,:-]+", value):
        return value
    ends = value[:1] + value[-1:]
    for mark, other, special in (('"', "'", "\\$`"), ("'", '"', "")):
        fits = mark not in value and value.count(other) % 2 == 0 and not set(value) & set(special)
        if fits and value.isprintable() and not set(ends) & {'"', "'"}:
            return f"{mark}{value}{mark}"
    raise Trouble(
        f"the value of {name} cannot stand in a template of Vast.ai",
        "its reader knows no way to write these quotes or control characters",
        f"write {name} under `{PLATFORM.section}.env` without them, or set it in your account's variables",
    )


def filters(manifest: Manifest, wanted: Needs, disk: int, ports: int) -> dict[str, dict[str, Any]]:
    """What a machine must be, as the search for offers takes it: derived, and the manifest's own."""
    conditions = {
        "verified": ["= true"],
        "external": ["= false"],
        "rentable": ["= true"],
        "disk_space": [f">= {disk}"],
        "direct_port_count": [f">= {ports}"],
    }
    if wanted.cuda:
        conditions["cuda_max_good"] = [f">= {wanted.cuda}"]
    if wanted.memory:
        conditions["gpu_ram"] = [f">= {wanted.memory / needs.GB:g}"]
    least, above = wanted.capability
    if bounds := [*([f">= {least}"] if least else []), *([f"< {above}"] if above else [])]:
        conditions["compute_cap"] = bounds
    conditions |= {field: [text] for field, text in manifest.deploy.vast.filters.items()}
    found: dict[str, dict[str, Any]] = {}
    for field, texts in conditions.items():
        for text in texts:
            found.setdefault(field, {}).update(offers.condition(field, text))
    return found


def summary(manifest: Manifest, wanted: Needs, body: Mapping[str, Any]) -> list[str]:
    """What the template means, a line each."""
    shares = needs.account(manifest.deploy.vast.disk, [*wanted.disk, *wanted.volume])
    searched = [
        f"{field} {operator} {str(value).lower() if isinstance(value, bool) else value}"
        for field, bounds in body["extra_filters"].items()
        for operator, value in bounds.items()
    ]
    return [
        f"  disk     {body['recommended_disk_space']} GB, fixed once rented: {shares}",
        f"  ports    {', '.join(_read(body['env'])['ports'])}",
        f"  mode     {body['runtype']}: the image's own entrypoint",
        f"  search   {', '.join(searched)}",
    ]


def changes(now: Mapping[str, Any] | None, then: Mapping[str, Any]) -> list[Change]:
    """What is to be changed. Pure. Fields that we do not speak of are the user's own."""
    before = now or {}
    return [
        Change(field, _shown(field, before.get(field)), _shown(field, value))
        for field, value in then.items()
        if now is None or _plain(_shown(field, before.get(field))) != _plain(_shown(field, value))
    ]


def _shown(field: str, value: Any) -> Any:
    """Fields that are texts, as what they mean."""
    if field == "env" and value is not None:
        return _read(str(value))
    if field == "extra_filters" and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _read(env: str) -> dict[str, Any]:
    """Ports and variables of the Docker options; what cannot be read is `text`."""
    try:
        words = shlex.split(env)
    except ValueError:
        return {"text": env}
    pairs = list(zip(words[::2], words[1::2], strict=False))
    return {
        "ports": [value for option, value in pairs if option == "-p"],
        "variables": dict(value.partition("=")[::2] for option, value in pairs if option == "-e"),
    }


def _plain(value: Any) -> Any:
    """Numbers may come back as texts, nothing as an empty text, and order means nothing."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return sorted(map(str, value))
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    return value if value is not None else ""


class Api:
    """A connection with the user's key. Everything raises Trouble."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._connection = Connection(PLATFORM, environ)

    def named(self, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The newest template of this name among the user's own: others' public ones are listed as well."""
        user = self._connection.ask("GET", "/api/v0/users/current").get("id")
        if user is None:
            raise Trouble("Vast.ai does not say whose key this is", "its answer has no `id`", PROXY)
        chosen = {"name": {"eq": body["name"]}, "creator_id": {"eq": user}}
        query = f"select_cols={quote_plus(json.dumps(['*']))}&select_filters={quote_plus(json.dumps(chosen))}"
        listed = self._connection.ask("GET", f"/api/v0/template/?{query}").get("templates") or []
        own = [one for one in listed if one.get("name") == body["name"] and one.get("creator_id") == user]
        return max(own, key=lambda one: (one.get("created_at") or 0, one.get("id") or 0), default=None)

    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._told("POST", "/api/v0/template/", {**USERS, **body})

    def update(self, now: Mapping[str, Any], body: Mapping[str, Any], found: list[Change]) -> dict[str, Any]:
        """Vast.ai makes a new version of it, from the whole template."""
        users = {field: now.get(field, value) for field, value in USERS.items()}
        whole = {"id": now["id"], "hash_id": now.get("hash_id"), **users, **body}
        return {"id": now["id"], **self._told("PUT", "/api/v1/template/", whole)}

    def _told(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._connection.ask(method, path, body)
        if not answer.get("success"):
            raise self._connection.refused(str(answer.get("msg") or answer.get("error") or "it does not say why"))
        made = answer.get("template")
        return made if isinstance(made, dict) else {}
