"""`PORTAL_CONFIG`: what a platform's user wants to see on the portal.

Two forms are read. Vast.ai's, `hostname:external_port:internal_port:path:name|…`: where the ports differ, the external
one is served and leads to the internal one; where they are equal, there is a link only. And a JSON object with
`services`, whose names and addresses stand for what this machine has. Nothing of it is believed: what comes out of here
are whole numbers, and texts of harmless characters.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from init import address

if TYPE_CHECKING:
    from init.plan import Plan

MOST = 64
"""Items that are read. An instance of Vast.ai has no more ports."""
LONGEST = 500
"""Characters of one item."""
TOLD = 20
"""Problems that are told one by one."""
HOSTS = ("localhost", "127.0.0.1")
SSH = 22
NAME = re.compile(r"[^\W_](?:[\w .,:+()&/#@!-]{0,58}[\w.)!+])?")
PATH = re.compile(r"/[A-Za-z0-9._~!$&()*+,;=:@%/?#-]*")


@dataclass(frozen=True)
class Place:
    """A link. `port`: another port of this machine; none: this portal's own. `lab`: below JupyterLab's own path."""

    name: str
    path: str
    port: int | None = None
    lab: bool = False


@dataclass(frozen=True)
class Settled:
    """What the portal makes of it."""

    places: list[Place] = field(default_factory=list)
    forwards: dict[int, int] = field(default_factory=dict)
    """Loopback port by the port that the portal serves for it."""
    problems: list[str] = field(default_factory=list)


class Bad(Exception):
    """One item cannot be used: reason and remedy."""


def read(text: str, plan: Plan, environ: Mapping[str, str]) -> Settled:
    """Never raises: what cannot be used is passed over, and `problems` says what and why, in full sentences."""
    text = text.strip()
    if not text:
        return Settled()
    if text[0] in "{[":
        items, problems = _services(text)
    else:
        items, problems = [item.strip() for item in text.split("|") if item.strip()], []
    settled = Settled(problems=problems)
    by_name: dict[str, int] = {}
    for number, item in enumerate(items[:MOST], 1):
        try:
            place = _settle(item, plan, environ, settled)
        except Bad as error:
            problems.append(f"PORTAL_CONFIG, item {number}, {_shown(item)}: {error}.")
            continue
        if place is None:
            continue
        if place.name in by_name:
            problems.append(f"PORTAL_CONFIG, item {number}: {place.name} is there already; the last one counts.")
            settled.places[by_name[place.name]] = place
        else:
            by_name[place.name] = len(settled.places)
            settled.places.append(place)
    if len(items) > MOST:
        problems.append(f"PORTAL_CONFIG has {len(items)} items, and the first {MOST} are read; leave some out.")
    if len(problems) > TOLD:
        problems[TOLD:] = [f"PORTAL_CONFIG has {len(problems) - TOLD} more problems; repair these first."]
    return settled


def _services(text: str) -> tuple[list[Any], list[str]]:
    """The items of the JSON form."""
    remedy = "write it as `localhost:8080:18080:/:Name|…`, or as an object with `services`"
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "it is nested too deep or has huge numbers"
        return [], [f"PORTAL_CONFIG begins like JSON and is none ({reason}): {remedy}."]
    if not isinstance(data, dict) or not isinstance(data.get("services"), list):
        return [], [f"PORTAL_CONFIG is JSON without a list `services`: {remedy}."]
    problems = []
    if data.get("version", 2) != 2:
        problems.append(f"PORTAL_CONFIG has the version {_shown(data['version'])}; it is read as version 2.")
    return data["services"], problems


def _settle(item: Any, plan: Plan, environ: Mapping[str, str], settled: Settled) -> Place | None:
    """The link that an item stands for; None for this portal itself. Notes what is to be served. Raises Bad."""
    if isinstance(item, str):
        return _vast(item, plan, environ, settled.forwards)
    if not isinstance(item, dict):
        raise Bad('it is no object; write {"name": "Logs", "uri": "/logs/"}')
    name, uri = _name(item.get("name")), _path(item.get("uri", "/"))
    if item.get("auth", True) is not True:
        settled.problems.append(f"PORTAL_CONFIG, {name}: `auth` is passed over; the portal asks everybody.")
    return _named(name, uri, plan)


def _vast(item: str, plan: Plan, environ: Mapping[str, str], forwards: dict[int, int]) -> Place | None:
    if len(item) > LONGEST:
        raise Bad(f"it has {len(item)} characters; at most {LONGEST} are read")
    parts = item.split(":", 4)
    if len(parts) != 5:
        raise Bad("it is not `hostname:external_port:internal_port:path:name`; write all five, with colons between")
    host, external, internal = parts[0].strip(), _port(parts[1]), _port(parts[2])
    path, name = _path(parts[3]), _name(parts[4])
    if host not in HOSTS:
        raise Bad("its host is another machine, and the portal leads to this one only; write `localhost`")
    if external == plan.portal_port:
        return None
    if "jupyter" in name.lower() or external in (plan.jupyter.port, *plan.jupyter.also):
        return Place(name, path if path.startswith("/lab") else "/lab", lab=True)
    if plan.desktop is not None and external == plan.desktop.port:
        # The portal has it below a path of its own already: on one port, with one login.
        inside = re.sub(r"^/vnc(?=/|$)", "", path)
        return Place(name, "/vnc/" if inside in ("", "/", plan.desktop.open) else f"/vnc{inside}")
    own = {service.port: service for service in plan.services if service.port is not None}
    if external in own:
        return Place(name, own[external].open if path == "/" else path, external)
    taken = _taken(plan)
    for port in (external, internal):
        if port in taken:
            raise Bad(f"port {port} is {taken[port]}; choose another port")
    if address.vast(environ) and f"VAST_TCP_PORT_{external}" not in environ:
        raise Bad(f"port {external} is not open on this instance; add `-p {external}:{external}` to its template")
    if external != internal and forwards.setdefault(external, internal) != internal:
        raise Bad(f"port {external} leads to port {forwards[external]} already; choose another port")
    return Place(name, path, external)


def _named(name: str, uri: str, plan: Plan) -> Place | None:
    """What this machine has under an address or, where it has none there, a name."""
    own: dict[str, Place | None] = {
        "jupyter": Place(name, "/lab", lab=True),
        "logs": Place(name, "/logs/"),
        "portal": None,
    }
    own |= {"jupyterlab": own["jupyter"], "log": own["logs"], "progress": None}
    desktop = plan.desktop
    if desktop is not None:
        own |= {word: Place(name, "/vnc/") for word in ("vnc", "desktop", "kasmvnc", "novnc")}
    for service in plan.services:
        if service.port is not None and service is not desktop:
            own |= {word.lower(): Place(name, service.open, service.port) for word in (service.id, service.title)}
    for word in (uri.strip("/").lower(), name.lower()):
        if word in own:
            return own[word]
    if "vnc" in (name + uri).lower():
        raise Bad("this image has no desktop; leave the item out")
    known = ", ".join(sorted(own))
    raise Bad(f"nothing here has this address or name, only {known}; for another port write `localhost:8080:18080:/:N`")


def _taken(plan: Plan) -> dict[int, str]:
    """Ports that nothing may lead to or stand in for, and whose they are."""
    taken = {SSH: "SSH's"}
    for port in (plan.jupyter.port, *plan.jupyter.also):
        taken[port] = "JupyterLab's"
    taken[plan.portal_port] = "the portal's"
    for service in plan.services:
        for number in (service.port, service.listen):
            if number is not None:
                taken[number] = f"that of {service.id}"
    return taken


def _port(text: str) -> int:
    text = text.strip()
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise Bad("a port is a number from 1 to 65535; write it so")
    return int(text)


def _path(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if len(text) > LONGEST or not PATH.fullmatch(text) or text.startswith("//"):
        raise Bad("its path is none of this machine's; write one that begins with one `/` and has plain characters")
    if re.search(r"(?i)(?:^|/)(?:\.|%2e){1,2}(?:[/?#]|%2f|$)", text):
        raise Bad("its path leads upwards with `..`; write the whole path")
    return text


def _name(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not NAME.fullmatch(text):
        raise Bad(
            "its name is empty, too long or has odd characters; write up to 60 letters, digits, spaces and - . , ( )"
        )
    return text


def _shown(value: Any) -> str:
    """The beginning of what was written, in one line of plain characters."""
    text = value if isinstance(value, str) else reprlib.repr(value)
    plain = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text[:60]).replace("`", "'")
    return f"`{plain}{'…' if len(text) > 60 else ''}`"
