"""`deploy --to runpod`, against an API that checks every request as RunPod's own schemas say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from manifests import load, lock
from targets import needs, runpod
from tests.targets.platform import RunPod, serving
from tests.targets.support import IMAGE, deploy, manifest, refused


@pytest.fixture
def platform() -> Iterator[RunPod]:
    with serving(RunPod()) as found:
        yield found


@pytest.mark.parametrize("name", load.names())
def test_every_image_s_template_is_what_runpod_takes(
    name: str, platform: RunPod, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = load.load(name)
    assert deploy(loaded, platform) == 0
    (template,) = platform.templates.values()
    assert template["name"] == name and template["image"] == IMAGE
    assert template["startSsh"] is ("22/tcp" in template["ports"])
    assert f"done: template {name} ({template['id']})" in capsys.readouterr().out
    assert platform.key not in json.dumps(template)


def test_it_is_made_once_then_changed_then_left_alone(
    tmp_path: Path, platform: RunPod, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(manifest(tmp_path), platform) == 0
    (key,) = platform.templates
    # What the manifest does not speak of is the user's own.
    platform.templates[key] |= {"registry": "cred", "args": "mine"}
    loaded = manifest(tmp_path, deploy={"runpod": {"disk": "70GB", "env": {"MODEL_SETS": "none"}}})
    capsys.readouterr()
    assert deploy(loaded, platform) == 0
    assert capsys.readouterr().out.splitlines()[-6:] == [
        f"template {key} differs",
        "  - disk: 10",
        "  + disk: 70",
        "  - env: {}",
        '  + env: {"MODEL_SETS": "none"}',
        f"done: template case ({key})",
    ]
    assert platform.requests[-1] == (
        "PATCH",
        f"/v2/templates/{key}",
        {"disk": 70, "env": {"MODEL_SETS": "none"}},
    )
    assert platform.templates[key]["registry"] == "cred" and platform.templates[key]["args"] == "mine"
    asked = len(platform.requests)
    assert deploy(loaded, platform) == 0
    assert [method for method, *_ in platform.requests[asked:]] == ["GET"]
    assert f"RunPod has it just so (template {key})" in capsys.readouterr().out


def test_a_dry_run_changes_nothing(tmp_path: Path, platform: RunPod, capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy(manifest(tmp_path), platform, apply=False) == 0
    out = capsys.readouterr().out
    assert "RunPod has no such template yet; it would be" in out and "nothing was changed; --apply does it" in out
    assert [method for method, *_ in platform.requests] == ["GET"]


def test_secrets_are_references(tmp_path: Path, platform: RunPod, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = manifest(tmp_path, deploy={"runpod": {"secrets": {"HF_TOKEN": "hf_token"}}})
    assert deploy(loaded, platform) == 0
    (template,) = platform.templates.values()
    assert template["env"] == {"HF_TOKEN": "{{ RUNPOD_SECRET_hf_token }}"}
    assert "HF_TOKEN from RunPod's secret hf_token: make it in the console first" in capsys.readouterr().out


def test_what_a_machine_must_have(tmp_path: Path) -> None:
    sets = {
        "core": {"required": True, "url": "https://h", "files": [{"path": "a", "size": "35GB"}, "b"]},
        "more": {"default": True, "url": "https://h", "files": [{"path": "a", "size": "35GB"}]},
        "rest": {"url": "https://h", "files": [{"path": "c", "size": "90GB"}]},
    }
    loaded = manifest(
        tmp_path,
        image={"base": "nvidia/cuda:12.4.1-devel"},
        python={"envs": {"app": {"packages": ["torch==2.11.0+cu128"]}, "baked": {"at": "build"}}},
        models={"sets": sets},
        jupyter={"port": 8189, "also": [8888]},
    )
    found = needs.of(loaded.manifest, lock.read(loaded))
    assert found.cuda == "12.8" and needs.drivers("12.8")[:3] == ["12.8", "12.9", "13.0"]
    assert {share.what: share.size for share in found.disk}["app"] == needs.TORCH
    assert "baked" not in {share.what for share in found.disk}, "it is a layer of the image"
    assert [(share.what, share.size) for share in found.volume][:2] == [("core", 37), ("more", 0)]
    assert needs.total(found.volume) == 60 and found.unknown == 1
    assert found.http == [8189, 8888, 1111]


def test_no_image(tmp_path: Path, platform: RunPod) -> None:
    error = refused(manifest(tmp_path), platform, image=None)
    assert error.what == "no image of case was pushed from here"
    assert error.remedy == "`make build-and-push IMAGE=case REGISTRY=HOST/PATH`, or name one with --image"


def test_more_than_runpod_takes(tmp_path: Path, platform: RunPod) -> None:
    ports = [f"{port}/http" for port in range(9000, 9011)]
    error = refused(manifest(tmp_path, deploy={"runpod": {"ports": ports}}), platform)
    assert error.what == "11 HTTP ports, and RunPod publishes 10 at most"
    env = {f"V{number}": "x" for number in range(51)}
    error = refused(manifest(tmp_path, deploy={"runpod": {"env": env}}), platform)
    assert error.what == "51 variables, and RunPod takes 50 at most"


def test_hostile_values_stay_values(tmp_path: Path, platform: RunPod) -> None:
    value = "\"'; $(rm) {{ RUNPOD_SECRET_x }} %s \\ \n é"
    assert deploy(manifest(tmp_path, deploy={"runpod": {"env": {"V": value}}}), platform) == 0
    (template,) = platform.templates.values()
    assert template["env"] == {"V": value}
    assert runpod.changes(template, {"env": {"V": value}}) == []
