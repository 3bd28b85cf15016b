"""The container's first program and what it starts: the real supervisord, JupyterLab and portal."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from init import boot as first
from init import health, state
from init.plan import Need, ServiceSpec, Stage
from init.specs import Code, KernelSpec
from tests.portal import house
from tests.portal.browser import HTML, ask, bearer, query, websocket
from tests.portal.conftest import CLI, Stack, start_stack
from tests.portal.house import REPO
from tests.ports import free_port
from tests.waiting import until

TOKEN = "p%s {env.HOME} $ 'q' \"e\""
POD = "https://abc123-8888.proxy.runpod.net"


def box(**options: object) -> ServiceSpec:
    fields: dict[str, object] = {
        "id": "box",
        "title": "Box",
        "command": [sys.executable, "{files}/app.py", "{port}"],
        "needs": [Need("weights")],
        "port": free_port(),
        "listen": free_port(),
        "environment": {"WHERE": "{workspace}:{models}:{source}:{port}:{nothing}", "PERCENT": "%(x)s 100%"},
    }
    return ServiceSpec(**{**fields, **options})  # type: ignore[arg-type]


def kernel() -> Stage:
    adds = {"box": ["--flag", "{workspace}/x y"]}
    spec = KernelSpec(name="fast", env="app", code=Code(path="k"), probe="p.py", adds=adds)
    return Stage("fast", "kernel", "Fast", [], spec)


def write_state(made: house.House, service: str, kernel: str = "running", **weights: object) -> None:
    fields: dict[str, object] = {"state": "running", "bytes_done": 5, "bytes_total": 10, **weights}
    snapshot = state.Snapshot(
        "demo",
        "Lightbox",
        state.Boot("1", 0.0),
        stages=[
            state.StageState("weights", "models", "Weights", [], **fields),  # type: ignore[arg-type]
            state.StageState("fast", "kernel", "Fast", [], state=kernel),  # type: ignore[arg-type]
        ],
        services=[state.ServiceState("box", "Box", ["weights"], state=service, port=1)],  # type: ignore[arg-type]
    )
    draft = made.run / ".state"
    draft.write_text(state.dump(snapshot))
    draft.replace(made.run / "state.json")
    # On the volume another container writes, too.
    made.plan.paths.state.mkdir(exist_ok=True)
    other = state.Snapshot("demo", "Another pod's", state.Boot("2", 0.0))
    (made.plan.paths.state / "state.json").write_text(state.dump(other))


@pytest.fixture(scope="module")
def stack(control: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    root = tmp_path_factory.mktemp("stack")
    made = house.build(root, control, services=[box()], stages=[kernel()], also=True, cli=CLI)
    made.plan.paths.files.mkdir()
    (made.plan.paths.files / "app.py").write_bytes((REPO / "tests/portal/app.py").read_bytes())
    running = start_stack(
        made, {"JUPYTER_TOKEN": TOKEN, "RUNPOD_POD_ID": "abc123", "HF_TOKEN": "hf", "WEB_PASSWORD": "w"}
    )
    yield running
    running.stop()
    until(lambda: not running.processes(), 20, what="processes left")


def test_says_where_to_look_with_the_token_once(stack: Stack) -> None:
    out = stack.out.read_text()
    plan = stack.house.plan
    assert f"https://abc123-{plan.jupyter.port}.proxy.runpod.net/lab?{query(TOKEN)}" in out
    assert f"https://abc123-{plan.portal_port}.proxy.runpod.net/?{query(TOKEN)}" in out
    assert f"https://abc123-{plan.services[0].port}.proxy.runpod.net/?{query(TOKEN)}" in out


def test_token_stands_in_no_log_and_no_command_line(stack: Stack) -> None:
    ask(stack.house.plan.jupyter.port, f"/lab?{query(TOKEN)}")
    ask(stack.house.plan.portal_port, f"/?{query(TOKEN)}")
    app = stack.house.plan.services[0].port or 0
    assert ask(app, f"/x?{query(TOKEN)}", method="POST", body=b"{}").status == 503, "an error, which nobody may log"
    secrets = (TOKEN, query(TOKEN).removeprefix("token="), json.dumps(TOKEN)[1:-1])
    logs = [path for path in stack.house.logs.rglob("*") if path.is_file()]
    assert {path.name for path in logs} >= {"supervisord.log", "jupyterlab.log", "portal.log", "init.log"}
    for path in logs:
        for secret in secrets:
            assert secret not in path.read_text(), path
    lines = stack.processes()
    assert len(lines) >= 4
    assert not re.search("WARN|ERROR", (stack.house.logs / "portal.log").read_text(), re.IGNORECASE)
    for line in lines.values():
        assert not any(secret in line for secret in secrets), line
    kept = stack.house.run / "token"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert not (stack.house.plan.paths.state / "token").exists(), "a given token is the platform's to keep"


def test_supervisors_socket_is_private(stack: Stack) -> None:
    assert stat.S_IMODE((stack.house.run / "supervisor.sock").stat().st_mode) == 0o600
    assert stat.S_IMODE(stack.house.run.stat().st_mode) == 0o700


def test_health(stack: Stack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTLIGHT_PLAN", str(stack.house.home / "plan.json"))
    monkeypatch.delenv("NB_PREFIX", raising=False)
    assert health.main() == 0
    assert capsys.readouterr().out == "JupyterLab: answers\nportal: answers\n"


def test_lab_asks_for_the_token(stack: Stack) -> None:
    assert stack.lab("/api/contents").status == 403
    assert stack.lab("/api/contents", {"Authorization": "token wrong"}).status == 403
    assert stack.lab("/api/contents", {"Authorization": f"token {TOKEN}"}).status == 200
    assert stack.lab(f"/api/contents?{query(TOKEN)}").status == 200
    assert stack.lab("/lab", HTML).status == 302
    page = stack.lab(f"/lab?{query(TOKEN)}", HTML)
    assert page.status == 200
    assert "announcements" in page.text.split("disabledExtensions")[1][:200]


def test_lab_is_on_its_further_ports_with_its_own_authentication(stack: Stack) -> None:
    also = stack.house.plan.jupyter.also[0]
    assert ask(also, "/api").json["version"]
    assert ask(also, "/api/contents").status == 403
    assert ask(also, "/api/contents", {"Authorization": f"token {TOKEN}"}).status == 200


def test_lab_s_websockets_go_through_the_portal(stack: Stack) -> None:
    """A kernel and a terminal are WebSockets."""
    also = stack.house.plan.jupyter.also[0]
    cookies, xsrf = sign_in(stack, f"127.0.0.1:{also}")
    headers = {**cookies, "Origin": f"http://127.0.0.1:{also}"}
    made = ask(also, "/api/terminals", {**headers, "X-XSRFToken": xsrf}, "POST", b"{}")
    path = f"/terminals/websocket/{made.json['name']}"
    assert websocket(also, path, headers, '["stdin", "true\\r"]') == (101, '["setup", {}]')
    assert websocket(also, path, {})[0] == 403
    assert websocket(also, path, {**headers, "Origin": "https://elsewhere.example"})[0] == 403
    assert ask(also, f"/api/terminals/{made.json['name']}", {**headers, "X-XSRFToken": xsrf}, "DELETE").status == 204


def sign_in(stack: Stack, host: str = "") -> tuple[dict[str, str], str]:
    """A browser's cookies after the first page, and its XSRF value."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", stack.house.plan.jupyter.port, timeout=20)
    connection.request("GET", f"/lab?{query(TOKEN)}", headers={**HTML, **({"Host": host} if host else {})})
    answer = connection.getresponse()
    answer.read()
    pairs = [value.partition(";")[0] for name, value in answer.getheaders() if name.lower() == "set-cookie"]
    xsrf = next(pair.partition("=")[2] for pair in pairs if pair.startswith("_xsrf="))
    return {"Cookie": "; ".join(pairs)}, xsrf


@pytest.mark.parametrize(
    ("host", "origin", "fine"),
    [
        (None, None, True),
        ("abc123-8888.proxy.runpod.net", POD, True),
        ("100.64.3.1:60123", POD, True),
        ("localhost:8888", POD, True),
        ("100.64.3.1:60123", "https://abc123-8189.proxy.runpod.net", True),
        ("5.6.7.8:41234", "http://5.6.7.8:41234", True),
        ("tunnel.trycloudflare.com", "https://tunnel.trycloudflare.com", True),
        ("100.64.3.1:60123", "https://other-8888.proxy.runpod.net", False),
        ("100.64.3.1:60123", "https://elsewhere.example", False),
        ("100.64.3.1:60123", f"{POD}.elsewhere.example", False),
    ],
)
def test_lab_behind_proxies(stack: Stack, host: str | None, origin: str | None, fine: bool) -> None:
    port = stack.house.plan.jupyter.port
    host = host or f"127.0.0.1:{port}"
    cookies, xsrf = sign_in(stack, host)
    headers = {**cookies, "Host": host, "Origin": origin or f"http://127.0.0.1:{port}"}

    made = stack.lab("/api/terminals", {**headers, "X-XSRFToken": xsrf}, "POST", "{}")
    assert (made.status == 200) == fine, made.text
    if fine:
        name = made.json["name"]
        assert websocket(port, f"/terminals/websocket/{name}", headers, '["stdin", "true\\r"]')[0] == 101
        gone = stack.lab(f"/api/terminals/{name}", {**headers, "X-XSRFToken": xsrf}, "DELETE", "")
        assert gone.status == 204
    else:
        assert websocket(port, "/terminals/websocket/1", headers)[0] in (403, 404)
    assert stack.lab("/api/terminals", headers, "POST", "{}").status in (403, 404), "without the XSRF value"


def test_terminal_has_the_command_and_no_runners_modules(stack: Stack) -> None:
    cookies, xsrf = sign_in(stack)
    port = stack.house.plan.jupyter.port
    name = stack.lab("/api/terminals", {**cookies, "X-XSRFToken": xsrf}, "POST", "{}").json["name"]
    target = stack.house.workspace / "said"
    line = f"command -v firstlight > {target}; echo [$PYTHONPATH] >> {target}; pwd >> {target}; echo end >> {target}\\r"
    assert websocket(port, f"/terminals/websocket/{name}", cookies, f'["stdin", "{line}"]')[0] == 101
    until(lambda: target.exists() and "end" in target.read_text())
    assert target.read_text().splitlines() == [
        str(stack.house.home / "bin" / "firstlight"),
        "[]",
        str(stack.house.workspace),
        "end",
    ]


def test_holding_page_turns_into_the_app(stack: Stack) -> None:
    spec = stack.house.plan.services[0]
    where = spec.port or 0
    write_state(stack.house, "waiting")
    mine = bearer(TOKEN)
    page = ask(where, "/", {**mine, **HTML})
    assert (page.status, page.headers["retry-after"], page.headers["x-firstlight"]) == (503, "5", "holding")
    assert ask(where, "/", {**mine, **HTML, "Cf-Ray": "8f-FRA"}).status == 200
    tool = ask(where, "/prompt", {**mine, "Cf-Ray": "8f-FRA"}, "POST", b"{}")
    assert (tool.status, tool.headers["retry-after"], tool.json["error"]) == (503, "5", "not ready yet")
    assert websocket(where, "/ws", mine)[0] == 503
    seen = ask(where, "/.firstlight/state.json", mine)
    assert seen.headers["x-firstlight-service"] == "box"
    assert seen.json["stages"][0]["bytes_total"] == 10 and seen.json["title"] == "Lightbox"
    for name in ("token", "events.ndjson", "state.json/..", "state.json/x"):
        assert ask(where, f"/.firstlight/{name}", mine).status == 404

    write_state(stack.house, "starting", kernel="done", state="done")
    stack.programs.start("box")
    until(lambda: ask(where, "/x", mine).status == 200)
    reply = ask(where, "/x", {**mine, **HTML})
    assert reply.json["path"] == "/x"
    assert "x-firstlight" not in reply.headers

    environ = reply.json["environ"]
    paths = stack.house.plan.paths
    assert environ["WHERE"] == (
        f"{paths.workspace}:{stack.house.plan.models}:{paths.source('box')}:{spec.listen}:{{nothing}}"
    )
    assert environ["PERCENT"] == "%(x)s 100%"
    assert environ["HF_TOKEN"] == "hf"
    assert not {"JUPYTER_TOKEN", "WEB_PASSWORD", "FIRSTLIGHT_TOKEN", "FIRSTLIGHT_COOKIE", "PYTHONPATH"} & set(environ)
    line = (Path("/proc") / str(stack.programs.look("box").pid) / "cmdline").read_bytes().split(b"\0")
    assert line[-3:-1] == [b"--flag", f"{paths.workspace}/x y".encode()]

    stack.programs.stop("box")
    assert ask(where, "/", {**mine, **HTML}).status == 503


def test_logs_of_programs_are_in_their_own_files(stack: Stack) -> None:
    listing = ask(stack.house.plan.portal_port, "/logs/", bearer(TOKEN)).text
    for name in ("jupyterlab", "portal", "init", "supervisord"):
        assert f"{name}.log" in listing


def test_logs_are_in_jupyterlab_s_file_browser_too(stack: Stack) -> None:
    mine = {"Authorization": f"token {TOKEN}"}
    listing = stack.lab(f"/api/contents{stack.house.logs}", mine).json["content"]
    assert {"jupyterlab.log", "portal.log", "supervisord.log"} <= {entry["name"] for entry in listing}
    log = stack.lab(f"/api/contents{stack.house.logs}/supervisord.log", mine).json
    assert log["type"] == "file" and "spawned: 'jupyterlab'" in log["content"]


def test_programs_that_are_killed_come_back(stack: Stack) -> None:
    for name in ("portal", "init", "jupyterlab"):
        before = stack.programs.look(name).pid
        os.kill(before, signal.SIGKILL)
        until(lambda name=name, before=before: stack.programs.look(name).pid not in (0, before))  # type: ignore[misc]
    until(lambda: health.answers(stack.house.plan.jupyter.port, "/api") == 200, 60)
    until(lambda: health.answers(stack.house.plan.portal_port, "/.firstlight/health") == 200)


def test_killed_supervisord_leaves_nothing_behind_and_the_next_start_is_kubeflows(
    control: Path, tmp_path: Path
) -> None:
    forever = box(command=[sys.executable, "-c", "import time; time.sleep(1e6)"])
    made = house.build(tmp_path, control, services=[forever], cli=CLI)
    stack = start_stack(made, {})
    stack.programs.start("box")
    until(lambda: stack.programs.look("box").state == "RUNNING")
    kept = stack.house.plan.paths.state / "token"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert kept.read_text().strip() == stack.token
    assert len(stack.processes()) >= 5
    stack.process.kill()
    stack.process.wait(10)
    until(lambda: not stack.processes(), what="processes left")

    prefix = "/notebook/team/my-nb"
    again = start_stack(made, {"NB_PREFIX": prefix, "JUPYTER_TOKEN": ""}, lab=f"{prefix}/api")
    try:
        check_kubeflow(again, prefix)
        assert again.token == stack.token, "the portal still asks"
    finally:
        again.stop()
    until(lambda: not again.processes(), what="processes left")


def check_kubeflow(stack: Stack, prefix: str) -> None:
    """A prefix and an explicitly empty token: the platform authenticates in front of JupyterLab."""
    portal = stack.house.plan.portal_port
    assert stack.lab(f"{prefix}/api/contents").status == 200
    assert stack.lab(f"{prefix}/lab", HTML).status == 200
    assert stack.lab("/api/contents").status == 404
    assert stack.lab(f"{prefix}/api/terminals", method="POST", body="{}").status == 403, "XSRF stays on"
    assert ask(portal, "/").status == 401
    assert ask(portal, "/", bearer(stack.token)).status == 200
    assert f"{prefix}/lab\n" in stack.out.read_text()


def boot(made: house.House, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "FIRSTLIGHT_PLAN": str(made.home / "plan.json"), **environ}
    code = f"import sys; sys.path.insert(0, {str(REPO)!r}); from init import cli; sys.exit(cli.main(['boot']))"
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=30)


def test_boot_without_a_plan(tmp_path: Path) -> None:
    made = house.build(tmp_path)
    (made.home / "plan.json").unlink()
    done = boot(made)
    assert done.returncode == 1
    assert "FIRSTLIGHT_PLAN does not name its plan" in done.stderr


def test_lab_opens_whatever_else_is_wrong(control: Path, tmp_path: Path) -> None:
    """A plan of another version, and an environment in which nothing is found or everything is replaced."""
    made = house.build(tmp_path / "house", control)
    (made.home / "plan.json").write_text(json.dumps({"schema": "firstlight.plan/0", "paths": asdict(made.plan.paths)}))
    evil = tmp_path / "evil"
    evil.mkdir()
    for module in ("tornado", "supervisor", "site", "json"):
        (evil / f"{module}.py").write_text("raise SystemExit('evil')")
    running = start_stack(made, {"PATH": "/x", "PYTHONPATH": str(evil), "PYTHONHOME": str(evil), "PYTHONSTARTUP": "/x"})
    try:
        assert running.lab("/lab", bearer(running.token)).status == 200
        until(lambda: (made.plan.paths.state / "state.json").exists(), what="the runner's word")
        told = state.load((made.plan.paths.state / "state.json").read_text())
        assert told.phase == "failed"
        assert "firstlight.plan/0" in told.message and "JupyterLab works" in told.message
        assert "nothing else can be set up: plan.json has the schema 'firstlight.plan/0'" in running.out.read_text()
    finally:
        running.stop()


def _another(made: house.House, first: str) -> bool:
    another = (made.run / "supervisord.pid").read_text() != first
    return another and health.answers(made.plan.jupyter.port, "/api") == 200


def test_supervisord_killed_starts_again(control: Path, tmp_path: Path) -> None:
    made = house.build(tmp_path / "house", control, cli=CLI)
    running = start_stack(made, {})
    try:
        for _ in range(2):
            first = (made.run / "supervisord.pid").read_text()
            os.kill(int(first), signal.SIGKILL)
            until(functools.partial(_another, made, first), 60, what="JupyterLab of another supervisord")
        assert running.out.read_text().count("supervisord was killed (signal 9); it starts again") == 2
        assert running.out.read_text().count("JupyterLab opens first") == 1
    finally:
        running.stop()
    assert running.process.returncode == 0
    until(lambda: not running.processes(), 20, what="processes left")


def test_a_signal_that_comes_before_supervisord_reaches_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spawn = os.posix_spawnp
    (tmp_path / "plan.json").write_text("{}")
    monkeypatch.setenv("FIRSTLIGHT_PLAN", str(tmp_path / "plan.json"))

    def spawn_late(*words: Any) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return spawn(*words)

    monkeypatch.setattr(os, "posix_spawnp", spawn_late)
    names = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
    before = {name: signal.getsignal(name) for name in names}
    try:
        sleeper = [sys.executable, "-c", "import signal; signal.pause()"]
        assert first.keep(sleeper, tmp_path / "no.sock", "token") == 128 + signal.SIGTERM
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def test_boot_where_it_may_not_write(tmp_path: Path) -> None:
    made = house.build(tmp_path)
    made.run.rmdir()
    made.run.write_text("")
    done = boot(made)
    assert done.returncode == 1
    assert f"{made.run} cannot be written by user" in done.stderr
    assert "run the container as its own user" in done.stderr


def test_boot_without_supervisord(tmp_path: Path) -> None:
    made = house.build(tmp_path)
    done = boot(made, JUPYTER_TOKEN="given")
    assert done.returncode == 1
    assert f"{made.home}/control/bin/supervisord is not there\n  build the image again" in done.stderr


def test_a_second_boot_leaves_the_first_alone(control: Path, tmp_path: Path) -> None:
    made = house.build(tmp_path / "house", control, cli=CLI)
    running = start_stack(made, {"JUPYTER_TOKEN": "first"})
    try:
        before = (made.run / "supervisord.pid").read_text()
        done = boot(made, JUPYTER_TOKEN="second")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == (
            "Firstlight runs in this container already: nothing to do."
            " `firstlight status` shows how far it is, `firstlight token --url` where it opens.\n"
        )
        log = (made.logs / "boot.log").read_text()
        assert f":{made.plan.jupyter.port}/lab?token=…\n" in log and "token=first" not in log
        assert (made.run / "supervisord.pid").read_text() == before
        assert (made.run / "token").read_text() == "first\n"
        assert (made.run / "supervisor.sock").exists()
    finally:
        running.stop()


def test_boot_with_an_unusable_workspace_goes_on(tmp_path: Path) -> None:
    made = house.build(tmp_path)
    made.workspace.rmdir()
    made.workspace.write_text("")
    done = boot(made)
    assert "nothing will outlive this container" in done.stderr
    assert "so the next start has another one" in done.stderr
    assert "supervisord is not there" in done.stderr, "it got as far as that"


def test_a_secret_that_does_not_exist_is_no_password(tmp_path: Path) -> None:
    made = house.build(tmp_path, tmp_path)
    done = boot(made, JUPYTER_PASSWORD="{{ RUNPOD_SECRET_door }}", HF_TOKEN="{{RUNPOD_SECRET_hub}}", OTHER="{{ x }}")
    assert "JUPYTER_PASSWORD is to come from RunPod's secret door, which there is not" in done.stderr
    assert "make a secret called hub in RunPod's console" in done.stderr and "OTHER" not in done.stderr
    token = (made.run / "token").read_text()
    assert "RUNPOD" not in token and len(token) > 20


def test_a_password_that_anybody_would_guess_is_none(tmp_path: Path) -> None:
    made = house.build(tmp_path, tmp_path)
    done = boot(made, JUPYTER_PASSWORD="1", OPEN_BUTTON_TOKEN="1")
    assert "JUPYTER_PASSWORD is `1`, which anybody would guess: it counts as not set\n  set a longer one" in done.stderr
    assert "OPEN_BUTTON_TOKEN" not in done.stderr, "templates write it, and the platform replaces it"
    assert len((made.run / "token").read_text()) > 20
