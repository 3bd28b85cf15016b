"""`deploy --to runpod`, against an API that checks every request as RunPod's own schemas say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from manifests import load, lock
from manifests.load import Loaded
from manifests.trouble import Trouble
from targets import deploying, needs, runpod
from tests.targets.platform import RunPod, serving

IMAGE = "ghcr.io/me/case:0123456789ab"


@pytest.fixture
def platform() -> Iterator[RunPod]:
    with serving(RunPod()) as found:
        yield found


def manifest(folder: Path, **more: Any) -> Loaded:
    data = {"manifest": 1, "name": "case", "image": {"base": "debian:13"}, **more}
    (folder / "case.yaml").write_text(json.dumps(data))
    return load.load(str(folder / "case.yaml"))


def deploy(loaded: Loaded, platform: RunPod, *, apply: bool = True, image: str | None = IMAGE) -> int:
    return deploying.deploy(loaded, lock.read(loaded), "runpod", image, platform.environ, apply=apply)


def refused(loaded: Loaded, platform: RunPod, **options: Any) -> Trouble:
    with pytest.raises(Trouble) as caught:
        deploy(loaded, platform, **options)
    assert platform.key not in str(caught.value)
    return caught.value


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
    del platform.requests[:]
    loaded = manifest(tmp_path)
    assert deploying.deploy(loaded, lock.read(loaded), "runpod", IMAGE, {}) == 0
    assert "what RunPod has now is not known" in capsys.readouterr().out and platform.requests == []


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


def test_no_key(tmp_path: Path) -> None:
    loaded = manifest(tmp_path)
    for environ, said in (
        ({}, "error: RUNPOD_API_KEY is not set"),
        ({"RUNPOD_API_KEY": "two words"}, "error: RUNPOD_API_KEY is no key"),
    ):
        with pytest.raises(Trouble) as caught:
            deploying.deploy(loaded, lock.read(loaded), "runpod", IMAGE, environ, apply=True)
        assert str(caught.value).startswith(said) and "two words" not in str(caught.value)


def test_no_image(tmp_path: Path, platform: RunPod) -> None:
    error = refused(manifest(tmp_path), platform, image=None)
    assert error.what == "no image of case was pushed from here"
    assert error.remedy == "`make build-and-push IMAGE=case REGISTRY=HOST/PATH`, or name one with --image"


PROBLEM = {"title": "T", "status": 0, "detail": "what RunPod says", "errors": ["$.disk: must be >= 1"]}


@pytest.mark.parametrize(
    ("status", "what", "remedy"),
    [
        (400, "RunPod refuses this template", "correct `deploy.runpod` in the manifest"),
        (401, "RunPod does not know this key", "set RUNPOD_API_KEY to a key that is valid"),
        (403, "this key may not do that", "give it write access to templates in the console, or use another"),
        (404, "RunPod does not have this template any more", "run it again: it is made anew"),
        (409, "RunPod refuses this", "the lines above say why"),
        (422, "RunPod refuses this template", "correct `deploy.runpod` in the manifest"),
        (500, "RunPod has a problem of its own", "try again later; nothing is half done"),
    ],
)
def test_a_refusal_is_explained(status: int, what: str, remedy: str, tmp_path: Path, platform: RunPod) -> None:
    platform.answers = [(status, {}, PROBLEM)]
    error = refused(manifest(tmp_path), platform)
    assert (error.what, error.remedy) == (what, remedy)
    assert error.reason == f"HTTP {status}\nwhat RunPod says\n$.disk: must be >= 1"


def test_a_busy_platform_is_given_time(tmp_path: Path, platform: RunPod) -> None:
    platform.answers = [(429, {"Retry-After": "0"}, PROBLEM)]
    assert deploy(manifest(tmp_path), platform) == 0
    platform.answers = [(429, {"Retry-After": "600"}, PROBLEM)]
    error = refused(manifest(tmp_path), platform)
    assert error.what == "RunPod cannot be asked" and "for the next 600 s" in error.reason


def test_answers_that_are_none(tmp_path: Path, platform: RunPod) -> None:
    platform.answers = [(200, {}, "<html>a proxy's login</html>")]
    assert refused(manifest(tmp_path), platform).what == "RunPod gave an answer that cannot be read"
    platform.answers = [(502, {}, "<html>bad gateway</html>")]
    assert refused(manifest(tmp_path), platform).what == "RunPod has a problem of its own"
    platform.url = "http://127.0.0.1:9"
    assert "127.0.0.1:9 refuses the connection" in refused(manifest(tmp_path), platform).reason


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
