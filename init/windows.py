"""The desktop's session: openbox with a menu of what one can do here, and a first window while things are set up."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from init import desktop, views
from init.plan import DESKTOP, Plan

SETTINGS = Path("/etc/xdg/openbox/rc.xml")
"""Keys, mouse and looks as the distribution has them."""
RULES = {"*": "yes", "XTerm": "no"}
"""Whether windows open maximized, by the class of their app: they stay so when a browser makes the screen smaller."""
SPACE = "http://openbox.org/3.4/rc"
COLOR = "#1f2430"
TERMINAL = ["xterm", "-fa", "Monospace", "-fs", "11", "-bg", "#14161b", "-fg", "#e4e4e4", "-geometry", "100x30"]
FOLLOW = 'firstlight status --follow || exec "${SHELL:-/bin/sh}"'
"""Closes its window when all is well; what failed stays to be read, with a prompt below."""


def session(plan: Plan) -> list[str]:
    """Write what openbox reads; the words that start it."""
    folder = Path(plan.paths.run, "desktop")
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "menu.xml").write_text(menu(plan), encoding="utf-8")
    words = ["openbox", "--startup", "firstlight desktop welcome"]
    if SETTINGS.is_file():
        text = settings(SETTINGS.read_text(encoding="utf-8"), folder / "menu.xml")
        (folder / "rc.xml").write_text(text, encoding="utf-8")
        words += ["--config-file", str(folder / "rc.xml")]
    return words


def settings(text: str, menu: Path) -> str:
    """openbox's settings, with this menu on the titles of windows too (the desktop behind them may be covered), with
    `RULES`, and with one desktop instead of several."""
    ElementTree.register_namespace("", SPACE)
    root = ElementTree.fromstring(text)
    for number in root.iterfind(f"{{{SPACE}}}desktops/{{{SPACE}}}number"):
        number.text = "1"
    for section in root.iterfind(f"{{{SPACE}}}menu"):
        for file in section.findall(f"{{{SPACE}}}file"):
            section.remove(file)
        ElementTree.SubElement(section, f"{{{SPACE}}}file").text = str(menu)
    for section in root.iterfind(f"{{{SPACE}}}applications"):
        for name, value in RULES.items():
            rule = ElementTree.SubElement(section, f"{{{SPACE}}}application", {"class": name, "type": "normal"})
            ElementTree.SubElement(rule, f"{{{SPACE}}}maximized").text = value
    for context in root.iter(f"{{{SPACE}}}context"):
        for click in context.iterfind(f"{{{SPACE}}}mousebind[@button='Right']"):
            if "Titlebar" in context.get("name", "").split():
                for shown in click.iter(f"{{{SPACE}}}menu"):
                    shown.text = "root-menu"
    return ElementTree.tostring(root, encoding="unicode")


def menu(plan: Plan) -> str:
    """What a right click on the desktop, or on a window's title, offers."""
    items = [
        ("Terminal", TERMINAL),
        ("How far the set-up is", [*TERMINAL, "-T", "Set-up", "-e", "sh", "-c", f"{FOLLOW}; read -r _"]),
    ]
    entries = [_item(label, words) for label, words in items]
    apps = [service for service in plan.services if service.draws and service.id not in DESKTOP]
    entries += ["<separator/>"] if apps else []
    entries += [_item(f"Start {app.title} again", ["firstlight", "retry", f"service:{app.id}"]) for app in apps]
    entries += ["<separator/>", '<menu id="client-list-combined-menu"/>']
    inner = "\n".join(entries)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<openbox_menu xmlns="http://openbox.org/3.4/menu">\n'
        f'<menu id="root-menu" label={quoteattr(_plain(plan.title))}>\n{inner}\n</menu>\n</openbox_menu>\n'
    )


def welcome(plan: Plan) -> int:
    """Colour the screen; while things are being set up, become a terminal that shows how far they are."""
    subprocess.run(["xsetroot", "-solid", COLOR], check=False)
    try:
        at_work = views.current(plan.paths)[0].phase not in ("ready", "degraded")
    except views.Unknown:
        at_work = True
    if not at_work:
        return 0
    words = [*TERMINAL, "-T", "Set-up", "-e", "sh", "-c", FOLLOW]
    return desktop.become(words, "install xterm", "firstlight desktop welcome")


def _item(label: str, words: list[str]) -> str:
    import shlex

    command = escape(shlex.join(words))
    action = f'<action name="Execute"><command>{command}</command></action>'
    return f"<item label={quoteattr(_plain(label))}>{action}</item>"


def _plain(text: str) -> str:
    """A label without what XML cannot hold; a lone `_` would underline the letter after it."""
    return "".join(letter for letter in text if letter.isprintable()).replace("_", "__")
