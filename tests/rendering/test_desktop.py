"""The desktop of an image: what is installed, and the command lines, held against what the X servers document."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from images import dockerfile, render
from init.desktop import USERS
from init.plan import DESKTOP, Plan
from init.plan import load as read
from manifests import desktop, load, lock
from manifests.lock import LockedFile
from tests.rendering import cases

VALUE, ALONE = "takes a value", "stands alone"
XSERVER = {"-nolisten": VALUE, "-noreset": ALONE}
"""Of every X server (Xserver(1))."""
TIGERVNC = XSERVER | {
    "-geometry": VALUE,
    "-depth": VALUE,
    "-rfbport": VALUE,
    "-rfbunixpath": VALUE,
    "-rfbunixmode": VALUE,
    "-SecurityTypes": VALUE,
    "-AlwaysShared": ALONE,
    "-FrameRate": VALUE,
}
"""Of Xvnc(1) in TigerVNC 1.12 (bookworm), 1.13 (noble) and 1.15 (trixie)."""
KASMVNC = XSERVER | {
    "-geometry": VALUE,
    "-depth": VALUE,
    "-interface": VALUE,
    "-websocketPort": VALUE,
    "-httpd": VALUE,
    "-sslOnly": VALUE,
    "-disableBasicAuth": ALONE,
    "-SecurityTypes": VALUE,
    "-publicIP": VALUE,
    "-KasmPasswordFile": VALUE,
    "-AlwaysShared": ALONE,
    "-FrameRate": VALUE,
    "-DynamicQualityMin": VALUE,
    "-DynamicQualityMax": VALUE,
}
"""Of Xvnc(1) in KasmVNC 1.4.0 and 1.5.0; a switch that is on or off takes `0` after it, or stands alone."""
URL = "https://github.com/kasmtech/KasmVNC/releases/download/v1.4.0/kasmvncserver_trixie_1.4.0_amd64.deb"
SHA256 = "ab" * 32


def planned(folder: Path, **content: object) -> Plan:
    return cases.made(folder, desktop=content, services={"app": {"command": "x", "needs": ["service:desktop"]}})


def options(words: list[str], known: dict[str, str]) -> dict[str, str | None]:
    """The options of a command line with their values. KeyError for one that the program does not know."""
    found: dict[str, str | None] = {}
    rest = list(words)
    while rest:
        option = rest.pop(0)
        found[option] = rest.pop(0) if known[option] == VALUE else None
    return found


@pytest.mark.parametrize(("provider", "known"), [("tigervnc", TIGERVNC), ("kasmvnc", KASMVNC)])
def test_the_x_server_is_told_what_it_documents(tmp_path: Path, provider: str, known: dict[str, str]) -> None:
    plan = planned(tmp_path, provider=provider, size="1280x720", frame_rate=24, quality=5, port=6081)
    screen = next(one for one in plan.services if one.id == "desktop")
    program = {"tigervnc": "Xtigervnc", "kasmvnc": "Xkasmvnc"}[provider]
    assert screen.command[:5] == ["firstlight", "desktop", "screen", program, desktop.DISPLAY]
    told = options(screen.command[5:], known)
    assert (told["-geometry"], told["-FrameRate"], told["-SecurityTypes"]) == ("1280x720", "24", "None")
    assert [pair[1] for pair in pairwise(screen.command) if pair[0] == "-nolisten"] == ["tcp", "local"]
    if provider == "tigervnc":
        assert (told["-rfbport"], told["-rfbunixpath"], told["-rfbunixmode"]) == ("-1", "{run}/desktop.sock", "0600")
    else:
        assert (told["-interface"], told["-websocketPort"], told["-publicIP"]) == ("127.0.0.1", "{port}", "127.0.0.1")
        assert told[USERS] == "{run}/desktop.users"
        assert told["-sslOnly"] == "0" and "-disableBasicAuth" in told, "the portal asks, and it alone"
        assert (told["-DynamicQualityMin"], told["-DynamicQualityMax"]) == ("3", "5")


def test_tigervnc_has_a_way_for_browsers_beside_it_and_kasmvnc_is_one(tmp_path: Path) -> None:
    tiger, kasm = (planned(tmp_path, provider=name) for name in ("tigervnc", "kasmvnc"))
    assert [(one.id, one.port, one.listen) for one in tiger.services] == [
        ("app", None, None),
        ("desktop-web", 6080, 16080),
        ("desktop", None, None),
        ("desktop-session", None, None),
    ], "the first one is what a user waits for"
    assert {one.id: one.port for one in kasm.services} == {"desktop": 6080, "desktop-session": None, "app": None}
    assert {one.auth for one in [*tiger.services, *kasm.services]} == {"portal"}


@pytest.mark.parametrize(
    ("quality", "frame_rate", "told"), [(7, 30, ("5", "7", "7", "7", "30")), (1, 5, ("0", "1", "1", "1", "10"))]
)
def test_kasmvnc_s_page_is_told_what_the_manifest_says(
    tmp_path: Path, quality: int, frame_rate: int, told: tuple[str, ...]
) -> None:
    """What its page says counts for the X server, and 10 pictures per second are the fewest that it can say."""
    plan = planned(tmp_path, provider="kasmvnc", quality=quality, frame_rate=frame_rate)
    assert plan.desktop is not None
    address = urlsplit(plan.desktop.open)
    said = parse_qs(address.query)
    names = ("dynamic_quality_min", "dynamic_quality_max", "jpeg_video_quality", "webp_video_quality", "framerate")
    assert address.path == "/vnc.html" and tuple(said[name][0] for name in names) == told
    assert said["video_quality"] == ["10"], "its presets would replace the rest"
    assert said["reconnect"] == ["true"], "else it does not come back after the X server does"


def test_what_opens_windows_knows_where(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    shown = {one.id: one.environment.get("DISPLAY") for one in plan.services}
    assert shown == {"desktop": None, "desktop-session": ":20", "desktop-web": ":20", "app": ":20"}
    ready = next(one.ready for one in plan.services if one.id == "desktop")
    assert ready is not None and ready.file == "/tmp/.X11-unix/X20"


def test_the_runner_knows_the_desktop_s_services_by_their_names() -> None:
    assert set(DESKTOP) == {desktop.NAME, desktop.SESSION, desktop.WEB}


def dockerfile_of(folder: Path, known: LockedFile | None = None, **content: object) -> str:
    loaded = cases.written(folder, desktop=content)
    return render.render(loaded, lock.Lock(programs={URL: known} if known else {}))["Dockerfile"]


def test_the_distribution_brings_tigervnc_and_novnc_s_pages(tmp_path: Path) -> None:
    text = dockerfile_of(tmp_path)
    for package in (*desktop.COMMON, *desktop.TIGERVNC):
        assert f"        {package}" in text, package
    assert "download novnc" in text and "kasmvnc" not in text
    assert 'ENV DISPLAY=":20"' in text
    assert "DISPLAY" not in render.render(cases.written(tmp_path), lock.Lock())["Dockerfile"]


def test_kasmvnc_s_package_is_what_the_lock_says_or_there_is_no_image(tmp_path: Path) -> None:
    text = dockerfile_of(tmp_path, LockedFile(sha256=SHA256), provider="kasmvnc")
    assert f"--checksum=sha-256={SHA256} --dir=/tmp --out=kasmvnc.deb {URL}" in text
    assert "tigervnc" not in text and "novnc" not in text
    assert '"$VERSION_CODENAME" != trixie' in text
    installed, _, after = text.partition("apt-get install --yes --no-install-recommends /tmp/kasmvnc.deb")
    assert "ssl-cert-snakeoil.key" not in installed and "rm -rf /etc/ssl/private/ssl-cert-snakeoil.key" in after
    loose = dockerfile_of(tmp_path, provider="kasmvnc")
    assert "aria2c --quiet" not in loose and "does not know the SHA-256" in loose and "exit 1" in loose


def test_without_its_sha256_nothing_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = cases.written(tmp_path, desktop={"provider": "kasmvnc"})
    (problem,) = dockerfile.unpinned(loaded, lock.Lock())
    assert f"the lock does not know the SHA-256 of KasmVNC's package ({URL})" in str(problem)
    assert "run `./buildkit.py lock " in str(problem) and "`provider: tigervnc` needs no such package" in str(problem)
    assert dockerfile.unpinned(loaded, lock.Lock(programs={URL: LockedFile(sha256=SHA256)})) == []
    assert dockerfile.unpinned(cases.written(tmp_path, desktop={}), lock.Lock()) == []


@pytest.mark.parametrize(
    ("base", "codename"),
    [
        ("debian:trixie-slim", "trixie"),
        ("debian:12", "bookworm"),
        ("nvidia/cuda:12.8.1-base-ubuntu24.04", "noble"),
        ("ubuntu:24.04", "noble"),
        ("ubuntu:22.04", None),
    ],
)
def test_the_base_s_name_says_which_package(tmp_path: Path, base: str, codename: str | None) -> None:
    written = {"provider": "kasmvnc", "distribution": "noble"}
    loaded = cases.written(tmp_path, image={"base": base}, desktop=written)
    assert desktop.codename(loaded.manifest) == "noble", "what is written counts"
    bare = loaded.manifest.model_copy(update={"desktop": None})
    assert desktop.codename(bare) == codename


def test_visomaster_opens_its_window_on_the_desktop() -> None:
    for name, provider in (("visomaster", "tigervnc"), ("visomaster-kasmvnc", "kasmvnc")):
        loaded = load.load(name)
        plan = read(render.render(loaded, lock.read(loaded))["plan.json"])
        app = next(one for one in plan.services if one.id == "visomaster")
        assert loaded.manifest.desktop is not None and loaded.manifest.desktop.provider == provider
        assert "service:desktop" in {need.id for need in app.needs}
        assert app.environment["QT_QPA_PLATFORM"] == "xcb" and app.environment["DISPLAY"] == ":20"
