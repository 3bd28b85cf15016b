"""Who may come in: the token, and what the portal compares requests with.

The token is the platform's (`JUPYTER_TOKEN`, `JUPYTER_PASSWORD`, `OPEN_BUTTON_TOKEN`, the first that is set) or one
made once and kept on the workspace. `Paths.run` holds the token of this boot: every program reads it there, so that
it stands in no argument, no log and no environment but the portal's. The portal takes the others that are set as well:
Vast's Open button brings `OPEN_BUTTON_TOKEN`, which is another one than JupyterLab's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from init import address, privacy, tls
from init.paths import Paths

if TYPE_CHECKING:
    from init.plan import Plan

GIVEN = ("JUPYTER_TOKEN", "JUPYTER_PASSWORD", "OPEN_BUTTON_TOKEN")
PRIVATE = (*GIVEN, "WEB_PASSWORD")
"""Variables that no app needs and that would let it in as the user."""
PLACEHOLDER = re.compile(r"1|\{\{ *RUNPOD_SECRET_\w+ *\}\}")
"""What templates write for the platform to replace: no secret when it did not."""
ALIGNMENTS = 3


def secret(environ: Mapping[str, str], name: str) -> str:
    """The value of a variable that lets somebody in; empty when it is not set, or still a placeholder."""
    value = environ.get(name, "").strip()
    return "" if PLACEHOLDER.fullmatch(value) else value


def given(environ: Mapping[str, str]) -> str | None:
    """The token that the platform or the user chose; None when there is none."""
    return next(filter(None, (secret(environ, name) for name in GIVEN)), None)


def tokens(token: str, environ: Mapping[str, str]) -> list[str]:
    """What opens the portal: the token of this boot, and every other one that was given."""
    return list(dict.fromkeys(filter(None, (token, *(secret(environ, name) for name in GIVEN)))))


def ensure(paths: Paths, environ: Mapping[str, str]) -> str:
    """The token of this boot, left in `Paths.run`. A workspace that cannot be written costs only its permanence."""
    token = given(environ) or _kept(paths.state / "token")
    privacy.write(Path(paths.run, "token"), f"{token}\n")
    return token


def current(paths: Paths) -> str:
    """The token of this boot. Raises FileNotFoundError before the first one."""
    for path in (Path(paths.run, "token"), paths.state / "token"):
        with suppress(FileNotFoundError):
            if token := path.read_text(encoding="utf-8", errors="surrogateescape").strip():
                return token
    raise FileNotFoundError(f"no token in {paths.run} or {paths.state}: `firstlight boot` makes it")


def jupyter_token(paths: Paths, environ: Mapping[str, str]) -> str:
    """JupyterLab's token. Empty, so that it asks nobody, only where a platform that authenticates in front of it says
    so: `NB_PREFIX` together with an explicitly empty `JUPYTER_TOKEN`, as Kubeflow sets them."""
    if environ.get("NB_PREFIX") and environ.get("JUPYTER_TOKEN") == "":
        return ""
    return current(paths)


def origins(environ: Mapping[str, str]) -> str:
    """Regular expression of the foreign origins that JupyterLab accepts: the addresses that a platform's proxy gives
    this machine, and those of `FIRSTLIGHT_ORIGINS` (separated by commas)."""
    pod = re.escape(environ.get("RUNPOD_POD_ID", "").lower()) or "[a-z0-9]+"
    patterns = [rf"https://{pod}-\d+\.proxy\.runpod\.net"]
    if public := environ.get("PUBLIC_IPADDR", "").strip():
        patterns.append(rf"https?://{re.escape(public)}(:\d+)?")
    if address.vast(environ):
        patterns.append(r"https://([a-z0-9-]+\.)*vast\.ai")
    chosen = (item.strip().rstrip("/").lower() for item in environ.get("FIRSTLIGHT_ORIGINS", "").split(","))
    patterns += [re.escape(item) for item in chosen if item]
    return "^(" + "|".join(patterns) + ")$"


def credentials(token: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What the portal compares with, as its environment. The cookie is derived from the token, so that it does not
    give the token away, and is named after it, so that two instances on one host do not sign each other out.

    The configuration names a fixed number of each: where there are fewer, the last one stands there again."""
    key = token.encode("utf-8", "surrogateescape")
    mark = hmac.new(key, b"firstlight portal cookie name", hashlib.sha256).hexdigest()[:8]
    value = hmac.new(key, b"firstlight portal cookie", hashlib.sha256).hexdigest()
    cookie, known, most = f"firstlight_{mark}={value}", tokens(token, environ), len(GIVEN)
    label = environ.get("VAST_CONTAINERLABEL", "")
    vast = [f"{label}_auth_token={item}" for item in known] if re.fullmatch(r"C\.[0-9]+", label) else []
    password = secret(environ, "WEB_PASSWORD")
    pairs = [_basic(environ.get("WEB_USERNAME", ""), item) for item in ([password] if password else known)]
    return {
        **_numbered("FIRSTLIGHT_TOKEN", known, most),
        **_numbered("FIRSTLIGHT_BEARER", [f"Bearer {item}" for item in known], most),
        **_numbered("FIRSTLIGHT_BASIC", [text for pair in pairs for text in pair], most * ALIGNMENTS),
        **_numbered("FIRSTLIGHT_COOKIE", [cookie, *vast], most + 1),
        "FIRSTLIGHT_COOKIE": cookie,
        "FIRSTLIGHT_COOKIE_NAME": f"firstlight_{mark}",
    }


def _numbered(name: str, values: list[str], count: int) -> dict[str, str]:
    return {f"{name}_{number}": values[min(number, len(values) - 1)] for number in range(count)}


def _basic(user: str, password: str) -> list[str]:
    """Texts, one of which an `Authorization: Basic` header with this password must end with.

    With any name before it when `user` is empty: Base64 has three ways to write the same end, by how many bytes come
    before it. What a byte of the name still has a share in is left out; every bit of the password is in.
    """
    key = password.encode("utf-8", "surrogateescape")
    if user:
        whole = base64.b64encode(user.encode("utf-8", "surrogateescape") + b":" + key).decode("ascii")
        return [f"Basic {whole}"]
    return [
        base64.b64encode(bytes(before) + b":" + key).decode("ascii")[skip:] for before, skip in ((0, 0), (1, 2), (2, 3))
    ]


def addresses(plan: Plan, token: str, environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Title and full URL, token included, of everything a user can open: JupyterLab first."""
    places = [("JupyterLab", plan.jupyter.port, address.prefix(environ) + "lab", jupyter_token(plan.paths, environ))]
    places.append(("Portal", plan.portal_port, "/", token))
    for service in plan.services:
        if service.port is not None:
            key = token if service.auth == "portal" else ""
            places.append((service.title, service.port, service.open, key))
    https = tls.on(plan.paths)
    return [(title, address.url(port, path, environ, key, https)) for title, port, path, key in places]


def main(argv: Sequence[str]) -> int:
    """`firstlight token [--url]`: the token, or the full addresses."""
    if argv not in ([], ["--url"]):
        print("usage: firstlight token [--url]", file=sys.stderr)
        return 2
    plan = address.plan(os.environ)
    try:
        token = current(plan.paths)
    except OSError as error:
        print(f"firstlight token: {error}", file=sys.stderr)
        return 1
    if argv:
        for title, url in addresses(plan, token, os.environ):
            print(f"{title}: {url}")
    else:
        print(token)
    return 0


def _kept(path: Path) -> str:
    """The token in `path`, made first when there is none. Two machines on one workspace end with the same one."""
    with suppress(OSError):
        if token := path.read_text(encoding="utf-8").strip():
            path.chmod(0o600)
            return token
    token = secrets.token_urlsafe(32)
    draft = path.with_name(f".token.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        privacy.write(draft, f"{token}\n", lasting=True)
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            if other := path.read_text(encoding="utf-8").strip():
                return other
            draft.replace(path)
        except OSError:
            draft.replace(path)
    except OSError as error:
        print(
            f"firstlight: the token cannot be kept in {path} ({error.strerror or error}), so the next start has"
            " another one; set JUPYTER_TOKEN, or make the workspace writable",
            file=sys.stderr,
        )
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return token
