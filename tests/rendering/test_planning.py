"""From manifest to plan."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from images import planning, shipped
from images.layout import Layout
from init.paths import Paths
from init.plan import Need, Plan, ServiceSpec, dump
from init.plan import load as read
from init.specs import CommandSpec, FileSpec, GitSpec, KernelSpec, ModelsSpec, NodesSpec, PythonSpec
from manifests import load, lock
from tests.rendering import cases


@pytest.fixture(scope="module")
def full() -> Plan:
    return cases.planned("full")


def needs(plan: Plan, stage: str) -> set[str]:
    return {need.id + "?" * need.soft for need in plan.stage(stage).needs}


def service(plan: Plan, name: str) -> ServiceSpec:
    return next(service for service in plan.services if service.id == name)


@pytest.mark.parametrize("name", [*cases.NAMES, *load.names()])
def test_a_plan_survives_its_file(name: str) -> None:
    loaded = cases.loaded(name) if name in cases.NAMES else load.load(name)
    plan = planning.plan(loaded, lock.read(loaded))
    assert read(dump(plan)) == plan
    assert dump(read(dump(plan))) == dump(plan)


def test_hostile_values_survive_the_file(tmp_path: Path) -> None:
    loaded = cases.hostile(tmp_path)
    plan = planning.plan(loaded, lock.read(loaded))
    assert read(dump(plan)) == plan
    assert service(plan, "newlines").command == ["echo", cases.HOSTILE["newlines"]]
    assert plan.stage("go").spec == CommandSpec(
        run=["sh", "-euc", " ".join(cases.HOSTILE.values())],
        environment={f"V{n}": text for n, text in enumerate(cases.HOSTILE.values())},
    )


def test_stages_of_everything(full: Plan) -> None:
    assert [(stage.id, stage.kind, stage.uses) for stage in full.stages] == [
        ("gpu", "gpu", "cpu"),
        ("app", "python", "disk"),
        ("notes", "python", "disk"),
        ("studio", "git", "net"),
        ("studio:packages", "python", "disk"),
        ("app-code", "git", "net"),
        ("nodes", "nodes", "disk"),
        ("fast", "kernel", "cpu"),
        ("models:core", "models", "net"),
        ("warm-up", "command", "cpu"),
        ("settings", "command", "cpu"),
        ("guide", "notebook", "net"),
        ("models:extra", "models", "net"),
    ]
    assert full.stage("app").title == "Python environment app"
    assert full.stage("app").consequence == "The app cannot start."
    assert full.stage("models:core").title == "The core"


def test_needs_name_real_stages(full: Plan) -> None:
    assert needs(full, "studio:packages") == {"studio", "app"}
    assert needs(full, "nodes") == {"studio", "studio:packages", "app"}
    assert needs(full, "fast") == {"app"}
    assert needs(full, "warm-up") >= {"app", "studio", "models:core"}
    studio = {need.id + "?" * need.soft for need in service(full, "studio").needs}
    assert studio == {"app", "studio", "studio:packages", "nodes", "fast?", "models:core", "warm-up"}
    assert service(full, "viewer").needs == [Need("service:studio")]
    known = {stage.id for stage in full.stages} | {f"service:{one.id}" for one in full.services}
    named = [stage.needs for stage in full.stages] + [one.needs for one in full.services]
    assert {need.id for needs in named for need in needs} <= known


def test_at_is_the_entrys_own_else_the_manifests(full: Plan) -> None:
    late = {stage.id for stage in full.stages if stage.at == "start"}
    assert "notes" in late, "says so itself"
    assert {"models:core", "models:extra"} <= late, "models are never baked"
    assert "warm-up" in late, "needs a model"
    assert [stage.id for stage in planning.baked(full)] == [
        "app", "studio", "studio:packages", "app-code", "nodes", "fast", "settings",
    ]  # fmt: skip


def test_baked_stages_come_after_what_they_need(tmp_path: Path) -> None:
    plan = cases.made(
        tmp_path,
        at="build",
        commands={"a": {"run": "true", "needs": ["b"]}, "b": {"run": "true", "needs": ["c?"]}, "c": {"run": "true"}},
    )
    assert [stage.id for stage in planning.baked(plan)] == ["c", "b", "a"]


def test_what_the_lock_knows(full: Plan) -> None:
    studio, app_code = full.stage("studio").spec, full.stage("app-code").spec
    assert isinstance(studio, GitSpec) and isinstance(app_code, GitSpec)
    assert studio.code.commit == "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334"
    assert app_code.code.path == "app" and app_code.code.digest == shipped.digest(cases.FIXTURES / "app")
    fast, nodes = full.stage("fast").spec, full.stage("nodes").spec
    assert isinstance(fast, KernelSpec) and fast.code.commit is None and fast.freeze == ["torch"]
    assert isinstance(nodes, NodesSpec) and [node.name for node in nodes.nodes] == ["plug", "own"]
    assert nodes.nodes[0].code.commit == "431d1613ffa809ae1f735b661a01788c6d74991f"
    core, extra = full.stage("models:core").spec, full.stage("models:extra").spec
    assert isinstance(core, ModelsSpec) and isinstance(extra, ModelsSpec)
    assert core.files == [
        FileSpec(
            "unet/a.safetensors",
            "hf://owner/core/split/unet/a.safetensors",
            "0f1e2d3c4b5a69788796a5b4c3d2e1f001122334",
            14293923632,
            "cad711ae211c8b23455ec68cd6a190a33a3d874234a77eb57266d73f8f0e6c9f",
        ),
        FileSpec("vae/b.safetensors", "hf://owner/core/split/vae/b.safetensors", "main"),
    ]
    assert [(file.path, file.size) for file in extra.files] == [("extra/one.bin", 1000), ("two.bin", 5_000_000)]


def test_packages_go_into_the_sources_environment(full: Plan) -> None:
    app, packages = full.stage("app").spec, full.stage("studio:packages").spec
    assert isinstance(app, PythonSpec) and isinstance(packages, PythonSpec)
    assert (app.python, app.layers, app.source) == ("3.12", 3, None)
    assert (packages.env, packages.source, packages.requirements) == ("app", "studio", ["requirements.txt"])
    assert (packages.freeze, packages.index, packages.forbid) == (app.freeze, app.index, app.forbid)


def test_python_of_an_environment(tmp_path: Path) -> None:
    envs = {"own": {"version": "3.10"}, "common": {}, "bases": {"version": "system"}}
    plan = cases.made(tmp_path, python={"version": "3.12", "envs": envs})
    specs = {stage.id: stage.spec for stage in plan.stages}
    assert {name: getattr(spec, "python", "?") for name, spec in specs.items()} == {
        "own": "3.10",
        "common": "3.12",
        "bases": None,
    }


def test_programs_listen_on_loopback_ports_of_their_own(full: Plan, tmp_path: Path) -> None:
    # 18188 is the usual one for 8188, and here another service's public one.
    assert {one.id: (one.port, one.listen) for one in full.services} == {
        "studio": (8188, 20000),
        "viewer": (18188, 28188),
        "helper": (None, None),
    }
    plan = cases.made(
        tmp_path,
        services={"high": {"command": "x {port}", "port": 60000}, "inner": {"command": "x --socket-port={port}"}},
    )
    assert {one.id: (one.port, one.listen) for one in plan.services} == {"high": (60000, 50000), "inner": (None, 20000)}


def test_words_and_folders_of_services(full: Plan) -> None:
    assert service(full, "studio").command == ["python", "main.py", "--port", "{port}", "--models", "{models}"]
    assert service(full, "studio").cwd == "studio"
    assert service(full, "helper").cwd is None
    assert service(full, "helper").ready is None


def test_a_layout_moves_paths_and_ports() -> None:
    moved = {8189: 9001, 20000: 9002}
    layout = Layout(Paths(home="/somewhere/home"), lambda port: moved.get(port, port), local=True)
    plan = cases.planned("full", layout)
    assert plan.local and plan.paths.home == "/somewhere/home"
    assert (plan.jupyter.port, plan.jupyter.also, plan.portal_port) == (9001, [8888], 1112)
    assert service(plan, "studio").listen == 9002


def test_an_excerpt_holds_what_decides_a_stage_and_nothing_else(full: Plan, tmp_path: Path) -> None:
    excerpt = planning.excerpt(full, full.stage("nodes"))
    assert {stage.id for stage in excerpt.stages} == {"app", "studio", "studio:packages", "nodes"}
    assert excerpt.stage("nodes") == full.stage("nodes")
    commands = {"a": {"run": "true"}, "b": {"run": "true", "needs": ["a"]}}
    first = cases.made(tmp_path, commands=commands)
    other = cases.made(tmp_path, title="Other", commands={**commands, "c": {"run": "true", "needs": ["b"]}})
    assert dump(first) != dump(other)
    assert dump(planning.excerpt(first, first.stage("b"))) == dump(planning.excerpt(other, other.stage("b")))


def test_the_digest_of_a_folder_sees_names_contents_links_and_permissions(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "a.py").write_text("a")
    seen = [shipped.digest(folder)]

    def changed() -> bool:
        seen.append(shipped.digest(folder))
        return seen[-1] not in seen[:-1]

    (folder / "b.py").write_text("b")
    assert changed()
    (folder / "b.py").write_text("c")
    assert changed()
    (folder / "b.py").chmod(0o755)
    assert changed()
    (folder / "b.py").rename(folder / "c.py")
    assert changed()
    (folder / "link").symlink_to("c.py")
    assert changed()
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "c.pyc").write_text("x")
    assert not changed(), "what Python leaves behind is no part of it"


def test_what_a_parent_names_is_shipped(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("{}")
    (tmp_path / "_parent.yaml").write_text(
        "manifest: 1\nimage: {base: debian:trixie}\ncommands: {go: {run: 'true', inputs: [settings.json]}}\n"
    )
    (tmp_path / "child.yaml").write_text("manifest: 1\nname: child\nextends: _parent.yaml\n")
    loaded = load.load(str(tmp_path / "child.yaml"))
    assert shipped.origins(loaded) == {"settings.json": tmp_path / "settings.json"}
    shipped.copy(loaded, ["settings.json"], tmp_path / "out")
    assert (tmp_path / "out" / "settings.json").read_text() == "{}"


def test_planning_and_rendering_load_no_heavy_library() -> None:
    code = """
import sys
from images import render
from manifests import load, lock
for name in load.names():
    loaded = load.load(name)
    render.render(loaded, lock.read(loaded))
print(*sorted({"docker", "huggingface_hub", "httpx", "requests", "rich", "aria2p", "supervisor"} & set(sys.modules)))
"""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_what_is_shipped_is_neither_history_nor_leftovers(tmp_path: Path) -> None:
    code = tmp_path / "code"
    for name in (
        "run.sh",
        ".git/config",
        ".venv/bin/python",
        "node_modules/x.js",
        "in/.git/HEAD",
        "in/a.py",
        "in/a.pyc",
    ):
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text("x")
    (code / "run.sh").chmod(0o755)
    loaded = cases.written(tmp_path, sources={"app": {"path": "code"}})
    shipped.copy(loaded, ["code"], tmp_path / "out")
    found = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert sorted(path.relative_to(tmp_path / "out" / "code").as_posix() for path in found) == ["in/a.py", "run.sh"]
    assert {path.name: path.stat().st_mode & 0o777 for path in found} == {"run.sh": 0o755, "a.py": 0o644}


def test_what_the_manifest_states_wins_over_the_lock(tmp_path: Path) -> None:
    stated = {"path": "a", "size": 5, "sha256": "a" * 64}
    loaded = cases.written(tmp_path, models={"sets": {"one": {"hf": "o/n", "files": [stated]}}})
    known = lock.Lock(models={"hf://o/n/a@main": lock.LockedFile("c" * 40, 6, "b" * 64)})
    spec = planning.plan(loaded, known).stage("models:one").spec
    assert isinstance(spec, ModelsSpec)
    assert [(file.revision, file.size, file.sha256) for file in spec.files] == [("c" * 40, 5, "a" * 64)]
