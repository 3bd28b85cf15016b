"""`deploy --to vast`, against an API that takes what Vast.ai's own client sends, and nothing else."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from images import planning
from init import portalconfig
from manifests import expand, load, lock
from manifests.load import Loaded
from targets import needs, vast
from tests.targets import console
from tests.targets.console import Vast
from tests.targets.platform import serving
from tests.targets.support import IMAGE, deploy, manifest, refused


@pytest.fixture
def platform() -> Iterator[Vast]:
    with serving(Vast()) as found:
        yield found


def said(loaded: Loaded) -> dict[str, Any]:
    return vast.template(loaded.manifest, needs.of(loaded.manifest, lock.read(loaded)), IMAGE)


@pytest.mark.parametrize("name", load.names())
def test_every_image_s_template_is_what_vast_takes(
    name: str, platform: Vast, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = load.load(name)
    assert deploy(loaded, platform) == 0
    (template,) = platform.templates
    assert (template["name"], template["image"], template["tag"]) == (name, "ghcr.io/me/case", "0123456789ab")
    assert (template["runtype"], template["onstart"], template["use_ssh"]) == ("args", "entrypoint.sh", False)
    out = capsys.readouterr().out
    assert f"done: template {name} (100)" in out and platform.key not in out + json.dumps(template)

    env = console.instance(template)
    ports = {word.removeprefix("-p ") for word in env if word.startswith("-p ")}
    entries = console.portal(env["PORTAL_CONFIG"])
    assert {external for _, external, _, _ in entries.values()} <= {int(port.partition(":")[0]) for port in ports}
    assert env["OPEN_BUTTON_PORT"] == str(loaded.manifest.portal.port) and env["OPEN_BUTTON_TOKEN"] == "1"
    assert entries["Portal"][1] == loaded.manifest.portal.port
    titles = {service.title for service in expand.services(loaded.manifest).values() if service.port}
    assert set(entries) == {"Portal", "Lab", *titles}, "Vast.ai has dropped none of them"
    assert ("22:22" in ports) is loaded.manifest.ssh


@pytest.mark.parametrize("name", load.names())
def test_the_image_s_own_portal_takes_its_config(name: str) -> None:
    loaded = load.load(name)
    plan = planning.plan(loaded, lock.read(loaded))
    ports = [plan.jupyter.port, plan.portal_port, *(service.port for service in plan.services if service.port)]
    environ = {"CONTAINER_ID": "1", **{f"VAST_TCP_PORT_{port}": str(40000 + port) for port in ports}}
    settled = portalconfig.read(vast.portal(loaded.manifest), plan, environ)
    titles = [service.title for service in plan.services if service.port]
    assert ([place.name for place in settled.places], settled.problems) == (["Lab", *titles], [])
    assert settled.forwards == {}


def test_it_is_made_once_then_changed_then_left_alone(
    tmp_path: Path, platform: Vast, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = manifest(tmp_path)
    assert deploy(loaded, platform, apply=False) == 0
    out = capsys.readouterr().out
    assert "Vast.ai has no such template yet; it would be" in out and "nothing was changed; --apply does it" in out
    assert platform.methods == ["GET", "GET"] and platform.templates == []
    assert deploy(loaded, platform) == 0
    assert platform.methods[2:] == ["GET", "GET", "POST"]
    assert deploy(loaded, platform) == 0
    assert platform.methods[5:] == ["GET", "GET"]
    assert "Vast.ai has it just so (template 100)" in capsys.readouterr().out
    # What the manifest does not speak of is the user's own.
    platform.templates[0] |= {"readme": "mine", "docker_login_repo": "registry.example", "desc": "words"}
    before = platform.templates[0]["hash_id"]
    loaded = manifest(tmp_path, deploy={"vast": {"disk": "70GB", "env": {"MODEL_SETS": "none"}}})
    assert deploy(loaded, platform) == 0
    out = capsys.readouterr().out
    assert "  disk     70 GB, fixed once rented: as the manifest says, instead of 30: logs, caches" in out
    told = out.partition("template 100 differs\n")[2].splitlines()
    assert [line.partition(":")[0] for line in told] == [
        *("  - env", "  + env", "  - extra_filters", "  + extra_filters"),
        *("  - recommended_disk_space", "  + recommended_disk_space", "done"),
    ]
    assert told[1].endswith(
        '"PORTAL_CONFIG": "localhost:1111:1111:/:Portal|localhost:8888:8888:/lab:Lab", "MODEL_SETS": "none"}}'
    )
    assert told[4:] == [
        "  - recommended_disk_space: 30.0",
        "  + recommended_disk_space: 70",
        "done: template case (100)",
    ]
    (now,) = platform.templates
    assert now["hash_id"] != before and now["recommended_disk_space"] == 70
    assert (now["readme"], now["docker_login_repo"], now["desc"]) == ("mine", "registry.example", "words")
    assert deploy(loaded, platform) == 0
    assert platform.methods[-2:] == ["GET", "GET"]


def test_only_the_user_s_own_newest_template_is_changed(tmp_path: Path, platform: Vast) -> None:
    loaded = manifest(tmp_path)
    assert deploy(loaded, platform) == 0
    old = platform.templates[0]
    platform.templates += [
        {**old, "id": 7, "hash_id": "other", "creator_id": 1, "created_at": 9.0, "tag": "theirs"},
        {**old, "id": 8, "hash_id": "newer", "created_at": 2.0, "tag": "newer"},
    ]
    assert deploy(loaded, platform) == 0
    assert {one["id"]: one["tag"] for one in platform.templates} == {100: old["tag"], 7: "theirs", 8: old["tag"]}


@pytest.mark.parametrize(
    ("image", "name", "tag"),
    [
        ("me/case:1.0", "me/case", "1.0"),
        ("case", "case", "latest"),
        ("localhost:5000/case", "localhost:5000/case", "latest"),
        ("registry.example:5000/a/case:1", "registry.example:5000/a/case", "1"),
        (f"ghcr.io/me/case@sha256:{'a' * 64}", f"ghcr.io/me/case@sha256:{'a' * 64}", None),
        (f"r:5000/me/case:1@sha256:{'a' * 64}", f"r:5000/me/case:1@sha256:{'a' * 64}", None),
    ],
)
def test_image_and_tag(image: str, name: str, tag: str | None) -> None:
    assert vast.split(image) == (name, tag)


VALUES = {
    "plain": "a,b",
    "empty": "",
    "spaces": "  two words  ",
    "json": '{"a": [1, "b c"]}',
    "shell": "$HOME `id` \\n ; & | > <",
    "quoted": "say \"hello\" and 'bye'",
    "equals": "a=b==c",
    "options": "-e X=1 -p 1:1",
    "umlaut": "grün 日本",
    "pairs": "it's 'so",
}


def test_vast_reads_every_value_back(tmp_path: Path) -> None:
    fine = {name: value for name, value in VALUES.items() if name != "quoted"}
    text = vast.options([8888, 22], fine)
    assert console.parse_env(text) == {"-p 8888:8888": "1", "-p 22:22": "1", **fine}
    assert shlex.split(text)[4:] == [word for name, value in fine.items() for word in ("-e", f"{name}={value}")]


@pytest.mark.parametrize("value", ["it's", '"', "'all'", 'ends with "', "one\ntwo", "\x1b[31m", VALUES["quoted"]])
def test_what_a_template_cannot_say_is_refused(value: str, tmp_path: Path, platform: Vast) -> None:
    loaded = manifest(tmp_path, deploy={"vast": {"env": {"ODD": value}}})
    error = refused(loaded, platform)
    assert error.what == "the value of ODD cannot stand in a template of Vast.ai"
    assert error.remedy == "write ODD under `deploy.vast.env` without them, or set it in your account's variables"
    assert platform.requests == []


def test_the_portal_shows_whatever_a_service_is_called(tmp_path: Path) -> None:
    command = "serve {port}"
    services = {
        "a": {"title": 'My | "odd": app', "command": command, "port": 9001},
        "b": {"title": "Twice", "command": command, "port": 9002},
        "c": {"title": "Twice", "command": command, "port": 9003, "open": "/a:b|c"},
        "d": {"title": "|||", "command": command, "port": 9004, "open": "/x?y=z"},
        "e": {"command": command},
    }
    config = vast.portal(manifest(tmp_path, services=services).manifest)
    assert console.portal(config) == {
        "Portal": ("localhost", 1111, 1111, "/"),
        "Lab": ("localhost", 8888, 8888, "/lab"),
        "My odd : app": ("localhost", 9001, 9001, "/"),
        "Twice": ("localhost", 9002, 9002, "/"),
        "Twice (9003)": ("localhost", 9003, 9003, "/"),
        "d": ("localhost", 9004, 9004, "/x?y=z"),
    }


def test_what_a_machine_must_be(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text("")
    kernel = {"git": "https://git.example/x", "ref": "main", "env": "app", "probe": "probe.py", "arch": ["8.9", "8.0"]}
    loaded = manifest(
        tmp_path,
        python={"envs": {"app": {"packages": ["torch==2.4.1+cu124"]}}},
        kernels={"fast": kernel},
        deploy={
            "gpu_memory": "24GB",
            "vast": {"filters": {"num_gpus": "1", "gpu_name": "in [RTX_4090, L40S]", "verified": "false"}},
        },
    )
    assert said(loaded)["extra_filters"] == {
        "verified": {"eq": False},
        "external": {"eq": False},
        "rentable": {"eq": True},
        "disk_space": {"gte": "50"},
        "direct_port_count": {"gte": "2"},
        "cuda_max_good": {"gte": "12.4"},
        "gpu_ram": {"gte": 24000.0},
        "compute_cap": {"gte": "800", "lt": "1000"},
        "num_gpus": {"eq": "1"},
        "gpu_name": {"in": ["RTX 4090", "L40S"]},
    }
    newer = manifest(tmp_path, python={"envs": {"app": {"packages": ["torch==2.11.0+cu128"]}}})
    assert "compute_cap" not in said(newer)["extra_filters"] and "gpu_ram" not in said(newer)["extra_filters"]


def test_no_that_comes_as_a_yes(tmp_path: Path, platform: Vast) -> None:
    user, none = {"id": platform.user}, {"success": True, "templates": []}
    platform.answers = [(200, {}, user), (200, {}, none), (200, {}, {"success": False, "msg": "no credit"})]
    error = refused(manifest(tmp_path), platform)
    assert (error.what, error.reason) == ("Vast.ai refuses this template", "no credit")
    platform.answers = [(200, {}, {"success": True})]
    assert refused(manifest(tmp_path), platform).what == "Vast.ai does not say whose key this is"


@pytest.mark.parametrize("as_json", [False, True])
def test_secrets_that_stand_in_a_template_are_not_shown(
    as_json: bool, tmp_path: Path, platform: Vast, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = manifest(tmp_path)
    assert deploy(loaded, platform) == 0
    platform.templates[0]["env"] += ' -e HF_TOKEN="hf_veryprivate" -e MY_API_KEY=sk-veryprivate -e MODE=fast'
    capsys.readouterr()
    assert deploy(loaded, platform, apply=False, json=as_json) == 0
    out = capsys.readouterr().out
    assert "veryprivate" not in out and platform.key not in out
    assert '"HF_TOKEN": "…"' in out.replace("\\u2026", "…") and '"MODE": "fast"' in out


def test_more_ports_than_vast_maps(tmp_path: Path, platform: Vast) -> None:
    services = {f"s{number}": {"command": "serve {port}", "port": 9000 + number} for number in range(63)}
    error = refused(manifest(tmp_path, services=services), platform)
    assert error.what == "65 ports, and Vast.ai maps 64 at most"
