"""Manifests for these tests, and values that want to break out of every syntax."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from images.layout import IMAGE, Layout
from images.planning import plan
from init.plan import Plan
from manifests import load, lock
from manifests.load import Loaded

FIXTURES = Path(__file__).with_name("fixtures")
NAMES = ["small", "full"]

HOSTILE = {
    "single-quotes": "it's 'quoted'",
    "double-quotes": 'say "hello" "',
    "dollars": "$HOME ${HOME} $(id) $$ \\$HOME ${X:-y}",
    "back-quotes": "`id` ``",
    "percents": "100% %(here)s %(ENV_HOME)s %s %% %",
    "newlines": "one\ntwo\n\nRUN id\n[program:evil]\ncommand=id\n",
    "semicolons": "a; id ;b ; c # d;",
    "backslashes": "\\ \\\\ \\n end\\",
    "braces": "{{ plan }} {% raw %} {# no #} { x } {env.HOME} }}",
    "unicode": "ünïcödé 日本 🌅 \u2028 \u00a0 ‮evil",
    "markup": '<script>alert("1")</script> &amp; </title>',
    "spaces": "  both ends\t ",
    "commas": 'a,b="c",D=e',
    "options": "--evil -x",
    "comment": "# all of it",
    "carriage-return": "a\rb",
    "heredoc": "<<EOF <<-X",
    "empty": "",
}


def loaded(name: str) -> Loaded:
    return load.load(str(FIXTURES / f"{name}.yaml"))


def planned(name: str, layout: Layout = IMAGE) -> Plan:
    manifest = loaded(name)
    return plan(manifest, lock.read(manifest), layout)


def written(folder: Path, name: str = "made", **content: Any) -> Loaded:
    """A manifest with this content; files that it ships lie in `folder`."""
    path = folder / f"{name}.yaml"
    data = {"manifest": "1", "name": name, "image": {"base": "debian:trixie-slim"}, **content}
    text = json.dumps(data, ensure_ascii=False)
    # JSON is YAML, but for escapes of characters beyond 16 bits.
    path.write_text(re.sub(r"[^ -~]", lambda found: f"\\U{ord(found[0]):08x}", text), encoding="ascii")
    return load.load(str(path))


def made(folder: Path, layout: Layout = IMAGE, **content: Any) -> Plan:
    manifest = written(folder, **content)
    return plan(manifest, lock.read(manifest), layout)


def hostile(folder: Path) -> Loaded:
    """A manifest whose free texts are all hostile."""
    values = {f"V{number}": text for number, text in enumerate(HOSTILE.values())}
    everything = " ".join(HOSTILE.values())
    (folder / "probe.py").write_text("")
    return written(
        folder,
        name="hostile",
        title=everything,
        image={
            "base": "debian:trixie-slim",
            "env": values,
            "labels": {f"label.{name}": text for name, text in HOSTILE.items()},
        },
        python={"envs": {"app": {"kernel": everything, "consequence": everything}}},
        kernels={
            "fast": {
                "git": "https://git.example/x",
                "ref": "main",
                "env": "app",
                "probe": "probe.py",
                "environment": values,
            }
        },
        models={"sets": {"one": {"title": everything, "url": "https://x.example/a%20b", "files": ["a b;c%.bin"]}}},
        commands={"go": {"run": everything, "environment": values, "consequence": everything}},
        services={
            name: {
                "title": text,
                "command": ["echo", text],
                "environment": {"VALUE": text, "PORT": "{port}"},
                "port": 9000 + number,
                "open": "/it's/a?b=\"$%&c;",
            }
            for number, (name, text) in enumerate(HOSTILE.items())
        },
    )
