"""Digest of an image, from its registry (OCI distribution API v2): no Docker daemon, nothing pulled."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from manifests import web
from manifests.web import Answer, CannotResolve, Courtesy

ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Reference:
    """`registry` as in the reference (`docker.io` when it names none), `host` where its API is."""

    registry: str
    repository: str
    tag: str

    @property
    def host(self) -> str:
        return "registry-1.docker.io" if self.registry == "docker.io" else self.registry

    @property
    def roots(self) -> list[str]:
        """Where to ask, in this order: plain http only on this very machine, as Docker does."""
        return [f"https://{self.host}", *([f"http://{self.host}"] if _loopback(self.host) else [])]


def parse(reference: str) -> Reference:
    """The parts of an image reference, as Docker reads it."""
    first, slash, rest = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, path = first, rest
    else:
        registry, path = "docker.io", reference
    registry = "docker.io" if registry == "index.docker.io" else registry
    name, _, tag = path.partition(":")
    return Reference(
        registry, f"library/{name}" if registry == "docker.io" and "/" not in name else name, tag or "latest"
    )


def digest(reference: str, courtesy: Courtesy) -> str:
    """Digest that the registry gives for a reference: of the index, if it has several platforms.

    Logins come from the Docker configuration. Raises CannotResolve.
    """
    image = parse(reference)
    return courtesy.ask(image.host, lambda: _digest(image, _login(image.registry)))


def _digest(image: Reference, login: Mapping[str, str]) -> str:
    root = _root(image)
    url = f"{root}/v2/{image.repository}/manifests/{image.tag}"
    answer = web.ask(url, method="HEAD", headers={"Accept": ACCEPT})
    secret: dict[str, str] = {}
    if answer.status == 401:
        secret = _authorize(image, answer.header("WWW-Authenticate") or "", login)
        answer = web.ask(url, method="HEAD", headers={"Accept": ACCEPT}, secret=secret)
    if answer.status != 200:
        # HEAD has no body, and the body says what is wrong
        raise _explain(image, web.ask(url, headers={"Accept": ACCEPT}, secret=secret), login)
    stated = answer.header("Docker-Content-Digest") or ""
    if _DIGEST.fullmatch(stated):
        return stated
    return f"sha256:{hashlib.sha256(web.ask(url, headers={'Accept': ACCEPT}, secret=secret).body).hexdigest()}"


def _root(image: Reference) -> str:
    *tries, last = image.roots
    for root in tries:
        try:
            web.ask(f"{root}/v2/", timeout=5)
            return root
        except web.Silent:
            continue
    return last


def _authorize(image: Reference, challenge: str, login: Mapping[str, str]) -> dict[str, str]:
    """The header that answers a challenge: the login itself, or a token that the login (or nobody) gets."""
    scheme, _, rest = challenge.partition(" ")
    basic = {"Authorization": _basic(login)} if "Username" in login else {}
    if scheme.lower() == "basic":
        return basic
    fields = dict(_CHALLENGE.findall(rest))
    if scheme.lower() != "bearer" or not _trusted(fields.get("realm", ""), image):
        raise CannotResolve(f"{image.registry} asks for a login in a way that is not understood", "ask its operator")
    wish = {"service": fields.get("service", ""), "scope": f"repository:{image.repository}:pull"}
    if "IdentityToken" in login:
        form = {**wish, "grant_type": "refresh_token", "client_id": web.AGENT, "refresh_token": login["IdentityToken"]}
        answer = web.ask(fields["realm"], method="POST", data=urlencode(form).encode())
    else:
        answer = web.ask(f"{fields['realm']}?{urlencode(wish)}", secret=basic)
    token = _json(answer).get("token") or _json(answer).get("access_token")
    if answer.status != 200 or not isinstance(token, str):
        raise _explain(image, answer, login)
    return {"Authorization": f"Bearer {token}"}


def _trusted(realm: str, image: Reference) -> bool:
    """The login goes to the realm: never in the clear, but on this very machine."""
    parts = urlsplit(realm)
    return parts.scheme == "https" or (parts.scheme == "http" and _loopback(parts.netloc) and _loopback(image.host))


def _explain(image: Reference, answer: Answer, login: Mapping[str, str]) -> CannotResolve:
    errors = _json(answer).get("errors")
    codes = (
        {str(error.get("code")) for error in errors if isinstance(error, dict)} if isinstance(errors, list) else set()
    )
    name = f"{image.repository}:{image.tag}"
    again = f"docker login {image.registry if image.registry != 'docker.io' else ''}".strip()
    if answer.status in (401, 403) and not login:
        return CannotResolve(
            f"{image.registry} gives {name} to nobody without a login, or there is no such image",
            f"check the name, then `{again}`",
        )
    if answer.status == 401:
        return CannotResolve(f"{image.registry} does not accept the login of your Docker configuration", f"`{again}`")
    if answer.status == 403:
        return CannotResolve(
            f"the login of your Docker configuration may not read {name} on {image.registry}",
            "ask its owner for access",
        )
    if answer.status == 404 and "NAME_UNKNOWN" in codes:
        return CannotResolve(f"{image.registry} has no image {image.repository}", "check `image.base`")
    if answer.status == 404:
        return CannotResolve(f"{image.registry} has no {name}", "check the tag in `image.base`")
    said = ", ".join(sorted(codes)) or "no reason given"
    return CannotResolve(f"{image.registry} answers HTTP {answer.status} ({said})", "run it again later")


def _login(registry: str) -> dict[str, str]:
    """Login for a registry from the Docker configuration or its credential helper; empty when there is none."""
    import docker.auth
    import docker.errors

    try:
        found: Mapping[str, Any] = docker.auth.resolve_authconfig(docker.auth.load_config(), registry) or {}
    except (docker.errors.DockerException, ValueError, OSError) as error:
        raise CannotResolve(
            f"the Docker configuration gives no login ({error})", "repair ~/.docker/config.json"
        ) from None
    names = {"username": "Username", "password": "Password"}
    login = {names.get(key, key): str(value) for key, value in found.items() if value}
    return login if "IdentityToken" in login or {"Username", "Password"} <= login.keys() else {}


def _basic(login: Mapping[str, str]) -> str:
    return "Basic " + base64.b64encode(f"{login['Username']}:{login['Password']}".encode()).decode()


def _json(answer: Answer) -> dict[str, Any]:
    try:
        data = json.loads(answer.body)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
