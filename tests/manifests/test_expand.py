"""Short forms: needs, stages, files."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifests import expand, load
from manifests.expand import Need
from manifests.modelsets import ModelSet

TEXT = """\
manifest: 1
name: x
at: build
image: {base: debian:12}
python: {envs: {app: {}, other: {at: start}}}
sources:
  comfyui: {git: https://h/c, ref: main, env: app}
  plain: {git: https://h/p, ref: main}
nodes: {into: comfyui/nodes, env: app, list: [{git: https://h/n, ref: main}]}
kernels: {sage: {git: https://h/s, ref: main, env: app, probe: probe.py, adds: {comfyui: --fast}}}
models:
  sets:
    core: {required: true, hf: a/b, files: [x]}
    more: {hf: a/b, files: [y]}
commands: {link: {run: ln, cwd: plain/sub, env: other, needs: [models]}}
services:
  comfyui: {command: x, env: app, needs: ["nodes?", "models:required", "service:desktop"]}
  desktop: {command: x, needs: ["comfyui?"]}
"""


@pytest.fixture
def loaded(tmp_path: Path) -> load.Loaded:
    (tmp_path / "probe.py").touch()
    (tmp_path / "x.yaml").write_text(TEXT)
    return load.load(str(tmp_path / "x.yaml"))


def test_stages_and_their_needs(loaded: load.Loaded) -> None:
    stages = {stage.id: stage for stage in expand.stages(loaded.manifest)}
    needs = {name: [(need.id, need.soft) for need in stage.needs] for name, stage in stages.items()}
    assert needs == {
        "app": [],
        "other": [],
        "comfyui": [],
        "comfyui:packages": [("comfyui", False), ("app", False)],
        "plain": [],
        "nodes": [("comfyui", False), ("comfyui:packages", False), ("app", False)],
        "sage": [("app", False)],
        "models:core": [],
        "models:more": [],
        "link": [("other", False), ("plain", False), ("models:core", False), ("models:more", False)],
    }
    assert {name for name, stage in stages.items() if stage.at == "start"} == {"other", "models:core", "models:more"}
    assert stages["comfyui:packages"].where == ("sources", "comfyui")


def test_needs_of_services(loaded: load.Loaded) -> None:
    assert expand.service_needs(loaded.manifest, "comfyui") == [
        Need("app"),
        Need("comfyui"),
        Need("comfyui:packages"),
        Need("sage", soft=True),
        Need("nodes", soft=True),
        Need("models:core"),
        Need("service:desktop"),
    ]
    assert expand.service_needs(loaded.manifest, "desktop") == [
        Need("comfyui", soft=True),
        Need("comfyui:packages", soft=True),
    ]


def test_what_is_written_softens_what_goes_without_saying(loaded: load.Loaded) -> None:
    assert expand.needs(loaded.manifest, ["app?"], ["app"]) == [Need("app", soft=True)]
    assert expand.needs(loaded.manifest, ["comfyui?", "comfyui:packages"]) == [
        Need("comfyui", soft=True),
        Need("comfyui:packages"),
    ]


def test_needs_in_words_of_models(loaded: load.Loaded) -> None:
    assert expand.need(loaded.manifest, "models?") == [Need("models:core", True), Need("models:more", True)]
    assert expand.need(loaded.manifest, "models:required") == [Need("models:core")]
    with pytest.raises(expand.UnknownNeed):
        expand.need(loaded.manifest, "plain:packages")


@pytest.mark.parametrize(
    ("spec", "url", "revision", "destination"),
    [
        ({"hf": "o/r", "files": ["f/x"]}, "hf://o/r/f/x", "main", "f/x"),
        ({"hf": "o/r", "revision": "v1", "under": "s", "to": "d", "files": ["f/x"]}, "hf://o/r/s/f/x", "v1", "d/f/x"),
        ({"hf": "o/r", "under": "s", "to": "d", "files": [{"path": "x", "to": "e/y"}]}, "hf://o/r/s/x", "main", "e/y"),
        ({"url": "https://h/a/", "files": ["b c/x#1"]}, "https://h/a/b%20c/x%231", None, "b c/x#1"),
        ({"to": "d", "files": [{"url": "https://h/a/x%20y?v=1"}]}, "https://h/a/x%20y?v=1", None, "d/x y"),
        ({"files": [{"url": "hf://o/r/s/x"}]}, "hf://o/r/s/x", "main", "x"),
        ({"files": [{"url": "hf://o/r@abc/s/x"}]}, "hf://o/r/s/x", "abc", "x"),
        (
            {"files": [{"url": "https://huggingface.co/o/r/resolve/main/s/a%20b?download=true"}]},
            "hf://o/r/s/a b",
            "main",
            "a b",
        ),
        ({"files": [{"url": "civitai://12", "to": "loras/x"}]}, "civitai://12", None, "loras/x"),
    ],
)
def test_files(spec: dict[str, object], url: str, revision: str | None, destination: str) -> None:
    (file,) = expand.files(ModelSet.model_validate(spec))
    assert file == (url, revision, destination, None, None)


def test_names_of_nodes() -> None:
    wan = load.load("comfyui-wan22").manifest
    assert wan.nodes is not None
    names = [expand.node_name(node) for node in wan.nodes.items]
    assert names[:2] == ["ComfyUI-Manager", "ComfyUI-WanVideoWrapper"]
    assert len(names) == 11
