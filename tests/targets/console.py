"""Vast.ai's template API on this machine. No document describes it: it takes what Vast.ai's own client (`vastai` 1.9.1
on PyPI) sends and nothing else, and answers as that client reads it.

`parse_env` and `create` follow the client's rules for the Docker options and for an instance's `PORTAL_CONFIG`.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from manifests import offers

TEXT, FLAG = (str,), (bool,)
KEYS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("name", "image", "env", "onstart", "runtype"), TEXT),
    **dict.fromkeys(("tag", "href", "repo", "jupyter_dir", "docker_login_repo", "readme", "desc"), (str, type(None))),
    **dict.fromkeys(("jup_direct", "ssh_direct", "use_jupyter_lab", "use_ssh", "readme_visible", "private"), FLAG),
    "extra_filters": (dict,),
    "recommended_disk_space": (int, float),
}
OPERATORS = {"eq", "neq", "gt", "gte", "lt", "lte", "in", "notin"}


def problems(body: Any) -> list[str]:
    """What the client would never send."""
    if not isinstance(body, dict):
        return ["no object"]
    found = [f"unknown {name}" for name in body if name not in KEYS]
    for name, kinds in KEYS.items():
        if name not in body:
            found.append(f"no {name}")
        elif not isinstance(body[name], kinds) or (kinds == (int, float) and isinstance(body[name], bool)):
            found.append(f"{name} is {body[name]!r}")
    if found:
        return found
    if body["runtype"] not in ("args", "ssh", "jupyter"):
        found.append(f"runtype is {body['runtype']!r}")
    if body["use_ssh"] is not (body["runtype"] in ("ssh", "jupyter")):
        found.append("use_ssh goes with the modes ssh and jupyter")
    if (body["jup_direct"] and body["runtype"] != "jupyter") or (body["ssh_direct"] and not body["use_ssh"]):
        found.append("direct connections go with their own modes")
    for name, conditions in body["extra_filters"].items():
        if name not in offers.FIELDS or not conditions or not set(conditions) <= OPERATORS:
            found.append(f"filter {name}: {conditions!r}")
    return found


def parse_env(text: str) -> dict[str, str]:
    """The Docker options, as an instance gets them: a blank within quotes of either kind does not end a word, the other
    kind of quote counts within them as well, and quotes are taken off both ends of a value."""
    words, inside = [""], {'"': False, "'": False}
    for letter in text:
        if letter in inside:
            inside[letter] = not inside[letter]
        if letter == " " and not any(inside.values()):
            words.append("")
        else:
            words[-1] += letter
    found, option = {}, ""
    for word in words:
        if not option:
            option = word if word in ("-e", "-p", "-h", "-v", "-n") else ""
            continue
        name, equals, value = word.partition("=")
        if option == "-e" and equals:
            found[name] = value.strip("'\"")
        elif option == "-p" and set(word) <= set("0123456789:tcp/udp"):
            found[f"-p {word}"] = "1"
        option = ""
    return found


def instance(template: dict[str, Any]) -> dict[str, str]:
    """The environment of an instance of a template. ValueError: the client refuses it."""
    env = parse_env(template["env"])
    if template["runtype"] != "jupyter" and "PORTAL_CONFIG" in env:
        left = [item for item in env["PORTAL_CONFIG"].split("|") if "jupyter" not in item.lower()]
        if not left:
            raise ValueError("PORTAL_CONFIG must contain at least one non-jupyter related config string")
        env["PORTAL_CONFIG"] = "|".join(left)
    return env


def portal(text: str) -> dict[str, tuple[str, int, int, str]]:
    """The entries of `PORTAL_CONFIG` by name, as Vast.ai's portal reads them."""
    found = {}
    for item in text.split("|"):
        host, external, internal, path, name = item.split(":", 4)
        found[name] = host, int(external), int(internal), path
    return found


@dataclass
class Vast:
    target: ClassVar[str] = "vast"
    url: str = ""
    key: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    user: int = 4711
    templates: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], Any]] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        return {"VAST_URL": self.url, "VAST_API_KEY": self.key}

    @property
    def methods(self) -> list[str]:
        return [method for method, *_ in self.requests]

    def answer(self, method: str, path: str, key: str, body: Any) -> tuple[int, dict[str, str], Any]:
        where = urlsplit(path)
        self.requests.append((method, where.path, body))
        if self.answers:
            return self.answers.pop(0)
        if key != f"Bearer {self.key}":
            return 401, {}, {"success": False, "error": "auth_error", "msg": "Invalid user key"}
        match method, where.path:
            case "GET", "/api/v0/users/current":
                return 200, {}, {"id": self.user, "username": "me", "api_key": "not for us"}
            case "GET", "/api/v0/template/":
                return 200, {}, self._listed(parse_qs(where.query, strict_parsing=True))
            case "POST", "/api/v0/template/":
                return self._made(body, None)
            case "PUT", "/api/v1/template/":
                given = dict(body)
                known = (given.pop("id", None), given.pop("hash_id", None))
                old = next((one for one in self.templates if (one["id"], one["hash_id"]) == known), None)
                return self._made(given, old) if old else (404, {}, {"success": False, "msg": "no such template"})
        return 404, {}, {"success": False, "msg": "not found"}

    def _listed(self, query: dict[str, list[str]]) -> dict[str, Any]:
        assert json.loads(query["select_cols"][0]) == ["*"]
        chosen = json.loads(query["select_filters"][0])
        found = [one for one in self.templates if all(one.get(name) == test["eq"] for name, test in chosen.items())]
        return {"success": True, "templates_found": len(found), "templates": found}

    def _made(self, body: Any, old: dict[str, Any] | None) -> tuple[int, dict[str, str], Any]:
        if wrong := problems(body):
            return 400, {}, {"success": False, "error": "invalid_args", "msg": "; ".join(wrong)}
        number = old["id"] if old else 100 + len(self.templates)
        made = {**body, "id": number, "hash_id": secrets.token_hex(16), "creator_id": self.user, "created_at": 1.0}
        # Numbers and filters come back as the database has them.
        made["recommended_disk_space"] = float(made["recommended_disk_space"])
        made["extra_filters"] = json.dumps(made["extra_filters"])
        self.templates = [one for one in self.templates if one is not old] + [made]
        return 200, {}, {"success": True, "template": made}
