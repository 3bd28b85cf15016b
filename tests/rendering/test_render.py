"""Rendered files: golden, stable, and safe whatever the manifest's values are."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import jinja2
import pytest
from supervisor.options import ServerOptions

from images import context, control, render
from images.layout import Layout
from init.paths import Paths
from init.plan import load as read
from manifests import load, lock
from manifests.load import Loaded
from manifests.problems import Refused
from tests.rendering import cases

GOLDEN = Path(__file__).with_name("golden")
"""What the fixtures render to. `UPDATE_GOLDENS=1 pytest tests/rendering` writes it again: read the diff."""
COPIED = ("control.txt", "uv.txt", "constraints.txt", "apt.conf", ".css", ".js", "logs.html", "page_config.json")
"""Files that are taken over as they are, and whose own place is the best golden file."""
ROOT = Path(__file__).resolve().parents[2]


def rendered(loaded: Loaded, layout: Layout | None = None) -> dict[str, str]:
    return render.render(loaded, lock.read(loaded), layout) if layout else render.render(loaded, lock.read(loaded))


def golden(name: str) -> str:
    """File of a golden: not one that linters take for the project's own Python."""
    return f"{name}.golden" if name.endswith(".py") else name


@pytest.mark.parametrize("name", cases.NAMES)
def test_golden(name: str) -> None:
    files = {golden(k): text for k, text in rendered(cases.loaded(name)).items() if not k.endswith(COPIED)}
    folder = GOLDEN / name
    if os.environ.get("UPDATE_GOLDENS"):
        for path in [path for path in folder.rglob("*") if path.is_file()]:
            path.unlink()
        render.write(files, folder)
    found = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert render.diff(files, folder) == "", "if this is meant: UPDATE_GOLDENS=1 pytest tests/rendering"
    assert set(found) == set(files)


def test_the_same_bytes_in_every_process() -> None:
    code = """
import hashlib, json
from images import render
from manifests import lock
from tests.rendering import cases
for name in cases.NAMES:
    loaded = cases.loaded(name)
    print(hashlib.sha256(json.dumps(render.render(loaded, lock.read(loaded))).encode()).hexdigest())
"""
    seeds = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout.decode()
        for seed in ("1", "2")
    ]
    here = [hashlib.sha256(json.dumps(rendered(cases.loaded(name))).encode()).hexdigest() for name in cases.NAMES]
    assert [seed.split() for seed in seeds] == [here, here]


@pytest.mark.parametrize("name", load.names())
def test_every_manifest_renders(name: str) -> None:
    files = rendered(load.load(name))
    assert {"Dockerfile", "supervisord.conf", "Caddyfile", "jupyter_server_config.py", "plan.json"} <= set(files)
    assert all(text.endswith("\n") for text in files.values())


def test_hostile_values_reach_every_file_unharmed(tmp_path: Path) -> None:
    loaded = cases.hostile(tmp_path)
    files = rendered(loaded)
    folder = tmp_path / "out"
    render.write(files, folder)

    plan = read(files["plan.json"])
    assert plan.title == " ".join(cases.HOSTILE.values())

    options = ServerOptions()
    logs = Path(plan.paths.logs)
    text = files["supervisord.conf"].replace(str(logs), str(tmp_path)).replace(plan.paths.run, str(tmp_path))
    (folder / "supervisord.conf").write_text(text, encoding="utf-8")
    options.realize(["-c", str(folder / "supervisord.conf")], doc="")
    programs = {group.name for group in options.process_group_configs}
    assert programs == {"jupyterlab", "portal", "init", *cases.HOSTILE}

    adapted = subprocess.run(
        ["caddy", "adapt", "--config", folder / "Caddyfile"], capture_output=True, text=True, check=False
    )
    assert adapted.returncode == 0, adapted.stderr
    servers = json.loads(adapted.stdout)["apps"]["http"]["servers"].values()
    ports = {address.rpartition(":")[2] for server in servers for address in server["listen"]}
    assert {str(9000 + number) for number in range(len(cases.HOSTILE))} <= ports

    ast.parse(files["jupyter_server_config.py"])
    for name in ("firstlight", "entrypoint.sh", "profile.sh", "bashrc"):
        subprocess.run(["sh", "-n", folder / name], check=True)

    class Titles(HTMLParser):
        tags: list[str]

        def __init__(self) -> None:
            super().__init__()
            self.tags = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.tags.append(tag)

    for name in (name for name in files if name.endswith(".html")):
        hostile, tame = Titles(), Titles()
        hostile.feed(files[name])
        tame.feed(rendered(cases.loaded("small"))[name])
        assert hostile.tags.count("script") == tame.tags.count("script"), name
        assert hostile.tags.count("title") == tame.tags.count("title"), name


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ({"labels": {"a=b": "x"}}, "the label's name holds an `=`"),
        ({"labels": {"a\nb": "x"}}, "the label's name holds a line break"),
        ({"labels": {"io.firstlight.lock": "x"}}, "Firstlight itself sets the label `io.firstlight.lock`"),
        ({"labels": {"io.firstlight.mine": "x"}}, "Firstlight itself sets the label `io.firstlight.mine`"),
        (
            {"labels": {"org.opencontainers.image.revision": "x"}},
            "Firstlight itself sets the label `org.opencontainers.image.revision`",
        ),
    ],
)
def test_what_a_dockerfile_cannot_say_is_refused_with_its_place(
    tmp_path: Path, image: dict[str, object], said: str
) -> None:
    loaded = cases.written(tmp_path, image={"base": "debian:trixie-slim", **image})
    with pytest.raises(Refused) as refused:
        rendered(loaded)
    assert "made.yaml:1:" in str(refused.value)
    assert said in str(refused.value)


def test_undefined_names_in_templates_are_errors() -> None:
    with pytest.raises(jinja2.UndefinedError, match="nobody"):
        render._environment().from_string("{{ nobody }}").render()


def test_a_local_layout_needs_no_dockerfile(tmp_path: Path) -> None:
    root = tmp_path / 'it\'s a "root" 100% ü'
    layout = Layout(Paths(*(str(root / name) for name in ("home", "disk", "workspace", "logs", "run"))), local=True)
    files = rendered(cases.loaded("full"), layout)
    assert "Dockerfile" not in files and not any(name.startswith("bake/") for name in files)
    assert read(files["plan.json"]).local
    ast.parse(files["jupyter_server_config.py"])
    for folder in (root / "logs", root / "run"):
        folder.mkdir(parents=True)
    (tmp_path / "supervisord.conf").write_text(files["supervisord.conf"], encoding="utf-8")
    options = ServerOptions()
    options.realize(["-c", str(tmp_path / "supervisord.conf")], doc="")
    assert options.logfile == str(root / "logs" / "supervisord.log")

    (tmp_path / "Caddyfile").write_text(files["Caddyfile"], encoding="utf-8")
    command = ["caddy", "adapt", "--config", str(tmp_path / "Caddyfile")]
    adapted = json.dumps(
        json.loads(subprocess.run(command, capture_output=True, check=True).stdout), ensure_ascii=False
    )
    for place in (root / "logs", root / "run", root / "home" / "etc" / "pages"):
        assert f'"root": {json.dumps(str(place), ensure_ascii=False)}' in adapted

    control = root / "home" / "control" / "bin" / "python"
    control.parent.mkdir(parents=True)
    control.write_text('#!/bin/sh\nprintf \'%s\\n\' "$FIRSTLIGHT_PLAN" "$@"\n')
    control.chmod(0o755)
    (tmp_path / "firstlight").write_text(files["firstlight"], encoding="utf-8")
    environ = {name: value for name, value in os.environ.items() if name != "FIRSTLIGHT_PLAN"}
    command = ["sh", str(tmp_path / "firstlight"), "a b", "c"]
    lines = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[0] == str(root / "home" / "plan.json")
    assert lines[-3:] == [str(root / "home"), "a b", "c"]


def test_places_of_what_runs() -> None:
    places = render.places(rendered(cases.loaded("full")))
    assert places["plan.json"] == "plan.json"
    assert places["firstlight"] == "bin/firstlight"
    assert places["supervisord.conf"] == "etc/supervisord.conf"
    assert places["pages/holding.html"] == "etc/pages/holding.html"
    assert not {"Dockerfile", "control.txt", "uv.txt", "apt.conf", "jupyter.txt"} & set(places)


def test_diff_says_what_writing_would_change(tmp_path: Path) -> None:
    files = rendered(cases.loaded("full"))
    before = render.diff(files, tmp_path)
    assert "--- /dev/null\n+++ b/Dockerfile\n" in before
    render.write(files, tmp_path)
    assert render.diff(files, tmp_path) == ""
    files["Caddyfile"] = files["Caddyfile"].replace("admin off", "admin on")
    del files["bake/app.json"]
    changes = render.diff(files, tmp_path)
    assert "--- a/Caddyfile\n+++ b/Caddyfile\n" in changes
    assert "-\tadmin off\n+\tadmin on\n" in changes
    assert "--- a/bake/app.json\n+++ /dev/null\n" in changes
    render.write(files, tmp_path)
    assert render.diff(files, tmp_path) == ""
    assert not (tmp_path / "bake" / "app.json").exists()


def test_what_is_no_text_differs(tmp_path: Path) -> None:
    files = rendered(cases.loaded("small"))
    render.write(files, tmp_path)
    (tmp_path / "Caddyfile").write_bytes(b"\xff\xfe")
    (tmp_path / "bake").mkdir()
    (tmp_path / "bake" / "old.json").write_bytes(b"\x80")
    assert render.diff(files, tmp_path) == (
        "Binary files a/Caddyfile and b/Caddyfile differ\nBinary files a/bake/old.json and /dev/null differ\n"
    )


def test_writing_leaves_what_is_the_same_alone(tmp_path: Path) -> None:
    files = rendered(cases.loaded("small"))
    render.write(files, tmp_path)
    os.utime(tmp_path / "Dockerfile", (0, 0))
    render.write(files, tmp_path)
    assert (tmp_path / "Dockerfile").stat().st_mtime == 0
    assert os.access(tmp_path / "firstlight", os.X_OK)


def test_a_context_holds_all_that_the_dockerfile_takes(tmp_path: Path) -> None:
    loaded = cases.loaded("full")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "stale").write_text("from another manifest")
    files = context.make(loaded, tmp_path, lock.read(loaded))
    for line in files["Dockerfile"].splitlines():
        words = line.split()
        if words[:1] == ["COPY"]:
            sources = [word for word in words[1:-1] if not word.startswith("--")]
            assert all((tmp_path / source).exists() for source in sources), line
        if "--mount=type=bind," in line and "from=" not in line:
            source = line.partition("source=")[2].partition(",")[0]
            assert (tmp_path / source).is_file() or list((tmp_path / source).glob("*.whl")), line
    assert sorted(p.name for p in (tmp_path / "files").rglob("*") if p.is_file()) == [
        "guide.ipynb",
        "main.py",
        "probe.py",
    ]
    assert (tmp_path / "init" / "plan.py").is_file()
    assert not list(tmp_path.rglob("__pycache__"))
    assert not list((tmp_path / "init").rglob("*[!y]")) or all(p.is_dir() for p in (tmp_path / "init").rglob("*[!y]"))


def test_a_context_holds_what_is_brought_for_the_workspace(tmp_path: Path) -> None:
    (tmp_path / "brought" / "deep").mkdir(parents=True)
    (tmp_path / "brought" / "deep" / "tool").write_text("#!")
    (tmp_path / "brought" / "deep" / "tool").chmod(0o700)
    (tmp_path / "context" / "workspace").mkdir(parents=True)
    (tmp_path / "context" / "workspace" / "stale").write_text("from another manifest")
    loaded = cases.written(tmp_path, workspace="brought")
    files = context.make(loaded, tmp_path / "context", lock.read(loaded))
    assert "COPY workspace /opt/firstlight/workspace\n" in files["Dockerfile"]
    (tool,) = [path for path in (tmp_path / "context" / "workspace").rglob("*") if path.is_file()]
    assert tool.name == "tool" and os.access(tool, os.X_OK)
    without = cases.written(tmp_path)
    assert "workspace /opt" not in context.make(without, tmp_path / "context", lock.read(without))["Dockerfile"]
    assert not (tmp_path / "context" / "workspace").exists()


def test_control_environment() -> None:
    text = control.text()
    assert "http://" not in text and "https://" not in text and "--index" not in text
    assert control.only("uv").startswith("uv==") and "--hash=sha256:" in control.only("uv")
    with pytest.raises(KeyError, match=r"nothing is not in control\.txt"):
        control.only("nothing")
    constraints = control.constraints().splitlines()
    assert "--hash" not in "".join(constraints)
    wanted = [line for line in (ROOT / "images" / "control.in").read_text().split("\n") if line and line[0] != "#"]
    names = {line.partition("==")[0] for line in constraints}
    assert {line.replace("_", "-") for line in wanted} <= names
    assert all(line.count("==") >= 1 for line in constraints)
