"""HTTPS: which certificate, and JupyterLab and the portal with it."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from init import access, health, tls
from init.plan import ServiceSpec
from tests.portal import house
from tests.portal.browser import HTML, ask, basic, bearer, websocket
from tests.portal.conftest import CLI, Stack, start_stack
from tests.portal.house import House
from tests.portal.test_access import command
from tests.ports import free_port

Start = Callable[..., House]
StartApp = Callable[[int], subprocess.Popen[bytes]]
HTTPS = {"ENABLE_HTTPS": "true"}


def make(folder: Path, password: str = "") -> tuple[Path, Path]:
    """A certificate and its key, as a platform would put them there."""
    folder.mkdir()
    pair = (folder / "instance.crt", folder / "instance.key")
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=instance"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(pair[0]), "-keyout", str(pair[1])]
    words += ["-passout", f"pass:{password}"] if password else ["-nodes"]
    subprocess.run(words, check=True, capture_output=True)
    return pair


@pytest.fixture
def made(tmp_path: Path) -> House:
    return house.build(tmp_path / "house")


@pytest.fixture
def given(tmp_path: Path) -> tuple[Path, Path]:
    return make(tmp_path / "platform")


def ensure(made: House, given: tuple[Path, Path], **environ: str) -> bytes | None:
    """What this boot shows; None: plain HTTP."""
    paths = made.plan.paths
    tls.ensure(paths, {"PATH": "/usr/bin:/bin", **environ}, given)
    assert tls.on(paths) == tls.file(paths).exists()
    if not tls.on(paths):
        return None
    assert stat.S_IMODE(tls.file(paths).stat().st_mode) == 0o600
    return tls.file(paths).read_bytes()


@pytest.mark.parametrize("value", ["", "false", "0", "no"])
def test_only_where_it_is_asked_for(made: House, given: tuple[Path, Path], value: str) -> None:
    assert ensure(made, given, **HTTPS) is not None
    assert ensure(made, given, ENABLE_HTTPS=value) is None, "and not any more"


def test_the_platforms_pair_comes_first(
    made: House, given: tuple[Path, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    assert ensure(made, given, **HTTPS) == given[0].read_bytes() + b"\n" + given[1].read_bytes()
    assert capfd.readouterr().err == f"firstlight: HTTPS with the certificate {given[0]}\n"
    assert not (made.plan.paths.state / "tls.pem").exists(), "a given one is the platform's to keep"


def test_made_once_and_kept(made: House, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    nowhere, kept = (tmp_path / "no.crt", tmp_path / "no.key"), made.plan.paths.state / "tls.pem"
    first = ensure(made, nowhere, **HTTPS, PUBLIC_IPADDR="203.0.113.7")
    assert first is not None and first == kept.read_bytes()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert f"HTTPS with a certificate of this machine's own, {kept}" in capfd.readouterr().err
    names = subprocess.run(
        ["openssl", "x509", "-in", str(kept), "-noout", "-ext", "subjectAltName"], capture_output=True, text=True
    ).stdout
    assert "DNS:localhost, IP Address:127.0.0.1, IP Address:203.0.113.7" in names
    kept.chmod(0o644)
    assert ensure(made, nowhere, **HTTPS) == first
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600, "closed again"
    kept.write_text("damaged")
    assert ensure(made, nowhere, **HTTPS) not in (None, first)
    assert [path.name for path in made.plan.paths.state.iterdir()] == ["tls.pem"], "no drafts left"


@pytest.mark.parametrize("broken", ["mismatch", "no key", "no certificate", "password", "empty"])
def test_a_given_pair_that_cannot_be_used(
    made: House, given: tuple[Path, Path], tmp_path: Path, broken: str, capfd: pytest.CaptureFixture[str]
) -> None:
    if broken == "mismatch":
        given[1].write_bytes(make(tmp_path / "other")[1].read_bytes())
    elif broken == "no key":
        given[1].unlink()
    elif broken == "no certificate":
        given[0].unlink()
    elif broken == "empty":
        given[0].write_text("")
    else:
        given = make(tmp_path / "locked", "some password")
    pair = ensure(made, given, **HTTPS)
    assert pair == (made.plan.paths.state / "tls.pem").read_bytes()
    told = capfd.readouterr().err
    assert f"{given[0]} and {given[1]} cannot be used (" in told
    assert "to use them, put a certificate and its key there, readable and without a password" in told


def test_no_certificate_to_be_had(
    made: House, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ensure(made, (tmp_path / "no.crt", tmp_path / "no.key"), **HTTPS) is None
    told = capfd.readouterr().err
    assert "no HTTPS: openssl made no certificate (No such file or directory), so plain HTTP is spoken" in told
    assert "install openssl, or put a certificate at" in told


def test_a_workspace_that_cannot_keep_it(made: House, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made.plan.paths.state.write_text("no folder")
    assert ensure(made, (tmp_path / "no.crt", tmp_path / "no.key"), **HTTPS) is not None
    assert "the certificate cannot be kept in" in capfd.readouterr().err


def test_not_behind_runpods_proxy(made: House, given: tuple[Path, Path], capfd: pytest.CaptureFixture[str]) -> None:
    assert ensure(made, given, **HTTPS, RUNPOD_POD_ID="abc") is None
    assert "ENABLE_HTTPS is passed over: RunPod's proxy speaks HTTPS" in capfd.readouterr().err


def test_addresses(made: House, given: tuple[Path, Path]) -> None:
    environ = {"PUBLIC_IPADDR": "1.2.3.4", f"VAST_TCP_PORT_{made.plan.portal_port}": "41000", "JUPYTER_TOKEN": "t"}
    access.ensure(made.plan.paths, environ)
    assert dict(access.addresses(made.plan, "t", environ))["Portal"] == "http://1.2.3.4:41000/?token=t"
    ensure(made, given, **HTTPS)
    links = dict(access.addresses(made.plan, "t", environ))
    assert links["Portal"] == "https://1.2.3.4:41000/?token=t"
    assert links["JupyterLab"] == f"https://localhost:{made.plan.jupyter.port}/lab?token=t"


@pytest.mark.parametrize("whose", ["the platform's", "its own"])
def test_portal_speaks_it_on_all_its_ports(
    start_portal: Start, start_app: StartApp, given: tuple[Path, Path], tmp_path: Path, whose: str
) -> None:
    box = ServiceSpec("box", "Box", ["true"], [], port=free_port(), listen=free_port())
    external = free_port()
    config = f"localhost:{external}:{free_port()}:/:Other"
    environ = {**HTTPS, "OPEN_BUTTON_TOKEN": "button", "PORTAL_CONFIG": config}
    pair = given if whose == "the platform's" else (tmp_path / "no.crt", tmp_path / "no.key")
    made = start_portal("secret", environ, given=pair, services=[box])
    start_app(box.listen or 0)
    trust = given[0] if whose == "the platform's" else made.plan.paths.state / "tls.pem"
    assert box.port is not None
    for port in (box.port, made.plan.portal_port, external):
        assert ask(port, "/", HTML, trust=trust).status == 401, port
        assert ask(port, "/", HTML).status == 400, "the token is not asked for in the clear"
    ticket = ask(box.port, "/?token=button", HTML, trust=trust)
    assert "Secure" in ticket.headers["set-cookie"].split("; ")
    for headers in (bearer("secret"), bearer("button"), basic("vastai", "button"), {"Cookie": ticket.cookie}):
        seen = ask(box.port, "/x", headers, trust=trust).json
        assert (seen["path"], seen["headers"]["x-forwarded-proto"]) == ("/x", "https")
        assert websocket(box.port, "/ws", headers, trust=trust) == (101, "hello /ws")
    own = {"Cookie": ticket.cookie, "Origin": f"https://127.0.0.1:{box.port}"}
    assert ask(box.port, "/", own, "POST", b"{}", trust=trust).status == 200
    assert websocket(box.port, "/ws", own, trust=trust)[0] == 101
    assert websocket(box.port, "/ws", {}, trust=trust)[0] == 401
    lab = ask(made.plan.portal_port, "/jupyter/", bearer("secret"), trust=trust).headers["location"]
    assert lab == f"https://127.0.0.1:{made.plan.jupyter.port}/lab"
    assert b"PRIVATE KEY" not in (made.logs / "portal.log").read_bytes()


@pytest.fixture(scope="module")
def stack(control: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = house.build(tmp_path_factory.mktemp("secure"), control, also=True, cli=CLI)
    running = start_stack(made, {**HTTPS, "JUPYTER_TOKEN": "secret"})
    yield running
    running.stop()


def test_jupyterlab_speaks_it_too(stack: Stack) -> None:
    plan, trust = stack.house.plan, stack.house.plan.paths.state / "tls.pem"
    for port in (plan.jupyter.port, plan.jupyter.also[0]):
        assert ask(port, "/api", trust=trust).json["version"]
        assert ask(port, "/api/contents", trust=trust).status == 403
        headers = {"Authorization": "token secret"}
        assert ask(port, "/api/contents", headers, trust=trust).status == 200
        made = ask(port, "/api/terminals", headers, "POST", b"{}", trust=trust).json["name"]
        channel = f"/terminals/websocket/{made}"
        assert websocket(port, channel, headers, '["stdin", "true\\r"]', trust=trust)[0] == 101
        assert websocket(port, channel, {}, trust=trust)[0] == 403
    assert f"https://localhost:{plan.jupyter.port}/lab?token=secret" in stack.out.read_text()


def test_commands_go_on_working(stack: Stack) -> None:
    well = command(stack.house, "health")
    assert (well.returncode, well.stdout) == (0, "JupyterLab: answers\nportal: answers\n")
    assert (
        f"Portal: https://localhost:{stack.house.plan.portal_port}/?token=secret"
        in command(stack.house, "access", "--url").stdout
    )
    assert health.answers(stack.house.plan.jupyter.port, "/api") is None, "not in the clear"
    log = (stack.house.logs / "portal.log").read_text()
    assert "WARN" not in log and "ERROR" not in log
