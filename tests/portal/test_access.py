"""The token: whose it is, where it is kept, and the addresses made with it."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from init import access, address, health, serve
from init.plan import ServiceSpec
from tests.portal import house
from tests.portal.house import REPO, House
from tests.ports import free_port


@pytest.fixture
def made(tmp_path: Path) -> House:
    spec = ServiceSpec("box", "Box", ["no-such-program"], [], port=8188, listen=18188, open="/ui?x=1")
    return house.build(tmp_path, services=[spec])


@pytest.mark.parametrize(
    ("environ", "token"),
    [
        ({"JUPYTER_TOKEN": "a", "JUPYTER_PASSWORD": "b", "OPEN_BUTTON_TOKEN": "c"}, "a"),
        ({"JUPYTER_TOKEN": "", "JUPYTER_PASSWORD": "b", "OPEN_BUTTON_TOKEN": "c"}, "b"),
        ({"JUPYTER_TOKEN": " \n", "OPEN_BUTTON_TOKEN": " c\n"}, "c"),
        ({"OPEN_BUTTON_TOKEN": "1"}, None),
        ({"JUPYTER_PASSWORD": "1", "JUPYTER_TOKEN": "{{ RUNPOD_SECRET_jupyter }}"}, None),
        ({"JUPYTER_PASSWORD": "12"}, "12"),
        ({}, None),
    ],
)
def test_given_tokens_in_their_order(environ: dict[str, str], token: str | None) -> None:
    assert access.given(environ) == token


def test_every_given_token_counts_and_the_first_is_this_boots() -> None:
    environ = {"JUPYTER_TOKEN": "a", "JUPYTER_PASSWORD": "a", "OPEN_BUTTON_TOKEN": "c"}
    assert access.tokens("a", environ) == ["a", "c"]
    assert access.tokens("made", {"OPEN_BUTTON_TOKEN": "1", "JUPYTER_TOKEN": "{{RUNPOD_SECRET_x}}"}) == ["made"]
    alone, both = access.credentials("a", {}), access.credentials("a", environ)
    assert set(alone) == set(both), "the configuration names them all"
    assert [alone[f"FIRSTLIGHT_TOKEN_{n}"] for n in range(3)] == ["a", "a", "a"]
    assert [both[f"FIRSTLIGHT_TOKEN_{n}"] for n in range(3)] == ["a", "c", "c"]
    assert alone["FIRSTLIGHT_COOKIE"] == both["FIRSTLIGHT_COOKIE"]
    assert all(alone.values()), "every text contains an empty one"


def test_made_once_and_kept(made: House) -> None:
    paths = made.plan.paths
    token = access.ensure(paths, {})
    kept = paths.state / "token"
    assert len(token) >= 40
    assert kept.read_text() == token + "\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert access.ensure(paths, {}) == token == access.current(paths)
    assert access.ensure(paths, {"JUPYTER_TOKEN": "given"}) == "given" == access.current(paths)
    assert kept.read_text() == token + "\n"
    assert sorted(path.name for path in paths.state.iterdir()) == ["token"], "no drafts left"
    kept.chmod(0o644)
    assert access.ensure(paths, {}) == token
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600, "closed again"
    kept.chmod(0o644)
    kept.write_text("\n")
    fresh = access.ensure(paths, {})
    assert fresh not in ("", token)
    assert kept.read_text() == fresh + "\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_machines_on_one_workspace_agree(made: House) -> None:
    with multiprocessing.get_context("fork").Pool(8) as pool:
        tokens = pool.map(access._kept, [made.plan.paths.state / "token"] * 16)
    assert len(set(tokens)) == 1


def test_current_before_the_first_boot(made: House) -> None:
    with pytest.raises(FileNotFoundError, match="`firstlight boot` makes it"):
        access.current(made.plan.paths)


@pytest.mark.parametrize(
    ("environ", "token"),
    [
        ({"NB_PREFIX": "/nb", "JUPYTER_TOKEN": ""}, ""),
        ({"NB_PREFIX": "/nb"}, "kept"),
        ({"JUPYTER_TOKEN": ""}, "kept"),
        ({"NB_PREFIX": "", "JUPYTER_TOKEN": ""}, "kept"),
    ],
)
def test_lab_is_open_to_all_only_where_the_platform_says_so(made: House, environ: dict[str, str], token: str) -> None:
    made.plan.paths.state.mkdir()
    (made.plan.paths.state / "token").write_text("kept")
    access.ensure(made.plan.paths, environ)
    assert access.jupyter_token(made.plan.paths, environ) == token


@pytest.mark.parametrize(
    ("environ", "accepted", "refused"),
    [
        (
            {},
            ["https://abc-8888.proxy.runpod.net"],
            ["http://abc-8888.proxy.runpod.net", "https://a.b-1.proxy.runpod.net"],
        ),
        ({"RUNPOD_POD_ID": "ABC"}, ["https://abc-8888.proxy.runpod.net"], ["https://abd-8888.proxy.runpod.net"]),
        (
            {"PUBLIC_IPADDR": "1.2.3.4"},
            ["https://1.2.3.4:41", "http://1.2.3.4"],
            ["https://1x2.3.4:41", "http://1.2.3.45"],
        ),
        ({"CONTAINER_ID": "7"}, ["https://jupyter.vast.ai"], ["https://evilvast.ai", "https://vast.ai.evil.example"]),
        (
            {"FIRSTLIGHT_ORIGINS": "https://Lab.example.org/, http://b:8"},
            ["https://lab.example.org", "http://b:8"],
            ["x"],
        ),
    ],
)
def test_origins(environ: dict[str, str], accepted: list[str], refused: list[str]) -> None:
    pattern = access.origins(environ)
    for origin in accepted:
        assert re.match(pattern, origin), origin
    for origin in [*refused, "https://elsewhere.example", "null", ""]:
        assert not re.match(pattern, origin), origin


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "http://localhost:8188/ui?x=1&token=a%2Fb%20c"),
        ({"RUNPOD_POD_ID": "abc"}, "https://abc-8188.proxy.runpod.net/ui?x=1&token=a%2Fb%20c"),
        ({"PUBLIC_IPADDR": "1.2.3.4", "VAST_TCP_PORT_8188": "41000"}, "http://1.2.3.4:41000/ui?x=1&token=a%2Fb%20c"),
        ({"PUBLIC_IPADDR": "1.2.3.4"}, "http://localhost:8188/ui?x=1&token=a%2Fb%20c"),
    ],
)
def test_addresses_as_the_platform_gives_them(made: House, environ: dict[str, str], url: str) -> None:
    token = access.ensure(made.plan.paths, {"JUPYTER_TOKEN": "a/b c"})
    links = dict(access.addresses(made.plan, token, environ))
    assert list(links) == ["JupyterLab", "Portal", "Box"]
    assert links["Box"] == url
    assert links["JupyterLab"].endswith("/lab?token=a%2Fb%20c")


def test_prefix() -> None:
    assert address.prefix({}) == address.prefix({"NB_PREFIX": "/"}) == "/"
    assert address.prefix({"NB_PREFIX": "a/b/"}) == address.prefix({"NB_PREFIX": "/a/b"}) == "/a/b/"


def command(made: House, module: str, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "FIRSTLIGHT_PLAN": str(made.home / "plan.json"), **environ}
    code = (
        f"import sys; sys.path.insert(0, {str(REPO)!r}); from init import {module} as m; sys.exit(m.main(sys.argv[1:]))"
    )
    return subprocess.run([sys.executable, "-c", code, *words], env=env, capture_output=True, text=True, timeout=30)


def test_command_token(made: House) -> None:
    before = command(made, "access")
    assert before.returncode == 1
    assert "no token in" in before.stderr
    access.ensure(made.plan.paths, {"JUPYTER_TOKEN": "given"})
    assert command(made, "access").stdout == "given\n"
    assert "Box: http://localhost:8188/ui?x=1&token=given\n" in command(made, "access", "--url").stdout


def test_command_serve_says_what_is_missing(made: House) -> None:
    assert command(made, "serve").stderr == "usage: firstlight serve ID\n"
    unknown = command(made, "serve", "bix")
    assert unknown.returncode == 127
    assert "bix: no such service" in unknown.stderr
    assert "services of this image: box" in unknown.stderr
    missing = command(made, "serve", "box")
    assert missing.returncode == 127
    assert "firstlight serve box: no-such-program: No such file or directory" in missing.stderr
    made.workspace.rmdir()
    assert f"{made.workspace}: No such file or directory" in command(made, "serve", "box").stderr
    (made.home / "plan.json").unlink()
    assert "this is not a Firstlight machine" in command(made, "serve", "box").stderr


def test_command_serve_fills_in_once(made: House) -> None:
    spec = ServiceSpec("box", "Box", ["{port}", "{workspace}{models}", "{{port}}", "{other}", "%d"], [], listen=5)
    words = serve.command(made.plan, spec, None)
    assert words == ["5", f"{made.workspace}{made.plan.models}", "{5}", "{other}", "%d"]
    odd = replace(made.plan, paths=replace(made.plan.paths, workspace="/mnt/{port}"))
    assert serve.command(odd, spec, None)[1] == "/mnt/{port}/mnt/{port}/models", "a folder's name stays as it is"


def test_command_health_when_nothing_answers(made: House) -> None:
    done = command(made, "health")
    assert done.returncode == 1
    assert f"JupyterLab: no answer on port {made.plan.jupyter.port}; see `firstlight logs jupyterlab`" in done.stdout
    assert "portal: no answer" in done.stdout
    assert health.answers(free_port(), "/") is None


def test_configuration_is_as_caddy_would_write_it(tmp_path: Path) -> None:
    """Caddy warns about another form in the portal's log."""
    specs = [
        ServiceSpec("a", "A", ["x"], [], port=1, listen=2),
        ServiceSpec("b", "B", ["x"], [], port=3, listen=4, auth="none"),
    ]
    made = house.build(tmp_path, services=specs, also=True, local=True, max_upload=10)
    config = made.home / "etc" / "Caddyfile"
    done = subprocess.run(["caddy", "fmt", str(config)], capture_output=True, text=True, check=True)
    assert done.stdout == config.read_text()


def test_nobody_can_change_the_portal_while_it_runs(made: House) -> None:
    config = str(made.home / "etc" / "Caddyfile")
    done = subprocess.run(["caddy", "adapt", "--config", config], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["admin"] == {"disabled": True}
