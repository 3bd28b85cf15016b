"""What `desktop:` means: the services that make it, the packages that they need, and where KasmVNC comes from. Pure."""

from __future__ import annotations

import re
from functools import cache
from urllib.parse import urlencode

from manifests.findings import Findings
from manifests.merge import Path
from manifests.model import Desktop, Manifest, Ready, Service

DISPLAY = ":20"
SOCKET = "/tmp/.X11-unix/X20"
"""The X server's, at which programs open their windows."""
NAME = "desktop"
SESSION = f"{NAME}-session"
WEB = f"{NAME}-web"
COMMON = ("fonts-dejavu-core", "openbox", "x11-xserver-utils", "xterm")
"""Distribution packages of every desktop."""
TIGERVNC = ("tigervnc-standalone-server",)
NOVNC = "/usr/share/novnc/vnc.html"
"""noVNC's page, where its package puts it."""
VERSION = "1.4.0"
"""KasmVNC's release whose options are known to be those that are written here."""
RELEASES = "https://github.com/kasmtech/KasmVNC/releases/download"
CODENAMES = {
    "bookworm": r"bookworm|debian:12",
    "trixie": r"trixie|debian:13",
    "noble": r"noble|ubuntu-?:?24\.04",
}
"""How the name of a base image says which distribution it is."""
ENDS = 10
"""How often within ten minutes the screen and what draws on it may end: someone's `kill` is no reason to give up."""


def packages(manifest: Manifest) -> tuple[str, ...]:
    """Distribution packages that the desktop needs."""
    if manifest.desktop is None:
        return ()
    return (*COMMON, *(TIGERVNC if manifest.desktop.provider == "tigervnc" else ()))


def programs(manifest: Manifest) -> dict[str, str]:
    """What the desktop starts or shows, by name or path, and Debian's package of it; KasmVNC's has an address."""
    if manifest.desktop is None:
        return {}
    common = {"openbox": "openbox", "xsetroot": "x11-xserver-utils", "xterm": "xterm"}
    if manifest.desktop.provider == "kasmvnc":
        return {"Xkasmvnc": package_url(manifest) or RELEASES, **common}
    return {"Xtigervnc": TIGERVNC[0], **common, NOVNC: "novnc"}


def codename(manifest: Manifest) -> str | None:
    """Release name of the base image's distribution; None when nothing says so."""
    if manifest.desktop is not None and manifest.desktop.distribution is not None:
        return manifest.desktop.distribution
    return next((name for name, sign in CODENAMES.items() if re.search(sign, manifest.image.base)), None)


def package_url(manifest: Manifest) -> str | None:
    """Address of KasmVNC's own package; None when the desktop needs none, or the distribution is unknown."""
    desktop, name = manifest.desktop, codename(manifest)
    if desktop is None or desktop.provider != "kasmvnc" or name is None:
        return None
    version = desktop.version or VERSION
    return f"{RELEASES}/v{version}/kasmvncserver_{name}_{version}_amd64.deb"


def services(manifest: Manifest) -> dict[str, Service]:
    """The services that make the desktop, by name; none without one."""
    return _services(manifest.desktop) if manifest.desktop is not None else {}


@cache
def _services(desktop: Desktop) -> dict[str, Service]:
    screen = Ready(file=SOCKET)
    session = Service(
        title="Window manager",
        command=["firstlight", "desktop", "session"],
        needs=[f"service:{NAME}"],
        restarts=ENDS,
    )
    if desktop.provider == "kasmvnc":
        words = ["firstlight", "desktop", "screen", *kasmvnc(desktop)]
        return {
            NAME: Service(
                title="Desktop", command=words, port=desktop.port, open=page(desktop), ready=screen, restarts=ENDS
            ),
            SESSION: session,
        }
    web = Service(
        title="Desktop",
        command=["firstlight", "desktop", "web", "{port}", str(desktop.quality)],
        port=desktop.port,
        needs=[f"service:{NAME}"],
        ready=Ready(http="/vnc.html"),
        restarts=ENDS,
    )
    words = ["firstlight", "desktop", "screen", *tigervnc(desktop)]
    return {
        WEB: web,
        NAME: Service(title="Screen", command=words, ready=screen, restarts=ENDS),
        SESSION: session,
    }


def tigervnc(desktop: Desktop) -> list[str]:
    """TigerVNC's X server. It has no port: who may see the screen is the portal's business, and a socket that only
    this user can open leads there."""
    return [
        *("Xtigervnc", DISPLAY),
        *("-geometry", desktop.size, "-depth", "24", "-nolisten", "tcp", "-nolisten", "local", "-noreset"),
        *("-rfbport", "-1", "-rfbunixpath", "{run}/desktop.sock", "-rfbunixmode", "0600", "-SecurityTypes", "None"),
        *("-AlwaysShared", "-FrameRate", str(desktop.frame_rate)),
    ]


def kasmvnc(desktop: Desktop) -> list[str]:
    """KasmVNC's X server, which is the web server too. It listens on loopback, but for a UDP port that WebRTC would use
    and that no option closes; it asks for no password of its own: the portal does. Without `publicIP` it would ask
    servers on the internet for one; without a file of users its 1.4.0 reads its standard input, and stands still:
    https://github.com/kasmtech/KasmVNC/commit/132d81b"""
    return [
        *("Xkasmvnc", DISPLAY),
        *("-geometry", desktop.size, "-depth", "24", "-nolisten", "tcp", "-nolisten", "local", "-noreset"),
        *("-interface", "127.0.0.1", "-websocketPort", "{port}", "-httpd", "/usr/share/kasmvnc/www"),
        *("-sslOnly", "0", "-disableBasicAuth", "-SecurityTypes", "None", "-publicIP", "127.0.0.1"),
        *("-KasmPasswordFile", "{run}/desktop.users", "-AlwaysShared", "-FrameRate", str(desktop.frame_rate)),
        *("-DynamicQualityMin", str(lowest(desktop)), "-DynamicQualityMax", str(desktop.quality)),
    ]


def page(desktop: Desktop) -> str:
    """KasmVNC's page. It tells the X server how sharp and how often, over what stands in its command line; without
    these words it would tell its own preset, in which a moving picture has 960x540 pixels. It knows itself where its
    socket is."""
    told = {
        "reconnect": "true",
        "reconnect_delay": 2000,  # it tries once: the screen should be there again
        "video_quality": 10,  # none of its presets
        "dynamic_quality_min": lowest(desktop),
        "dynamic_quality_max": desktop.quality,
        "jpeg_video_quality": desktop.quality,
        "webp_video_quality": desktop.quality,
        "max_video_resolution_x": 1920,
        "max_video_resolution_y": 1080,
        "framerate": max(10, desktop.frame_rate),  # it has no number for less
    }
    return f"/vnc.html?{urlencode(told)}"


def lowest(desktop: Desktop) -> int:
    """How sharp KasmVNC's pictures are at least, where much changes at once."""
    return max(0, desktop.quality - 2)


def check(manifest: Manifest, found: Findings) -> None:
    """What the key's own parts mean for one another, and names that it takes."""
    desktop, here = manifest.desktop, (NAME,)
    if desktop is None:
        return
    for name in services(manifest):
        if name in manifest.services:
            hint = "choose another one: `desktop` makes a service of this name"
            found.add(("services", name), f"the name `{name}` is the desktop's own", hint, key=True)
    if "DISPLAY" in manifest.image.env:
        path: Path = ("image", "env", "DISPLAY")
        found.add(path, "`DISPLAY` is the desktop's own variable", f"remove it: it is `{DISPLAY}`", key=True)
    if desktop.provider == "kasmvnc":
        if codename(manifest) is None:
            text = f"which distribution {manifest.image.base} is does not stand in its name"
            known = ", ".join(f"`{name}`" for name in CODENAMES)
            found.add(
                (*here, "provider"), text, f"set `distribution` to one of {known}: KasmVNC has a package for each"
            )
        return
    for key in ("version", "distribution"):
        if getattr(desktop, key) is not None:
            hint = "remove it, or set `provider: kasmvnc`"
            found.add((*here, key), f"`{key}` has no meaning for `tigervnc`, which the distribution brings", hint)
