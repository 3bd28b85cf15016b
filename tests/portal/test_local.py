"""`run --local` with the real runner: starts, resumes, and leaves nothing running whatever happens."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from images import descendants, ground
from manifests import desktop, load
from tests.portal.browser import ask, bearer
from tests.portal.house import REPO
from tests.ports import free_port
from tests.waiting import until

MANIFEST = """\
manifest: 1
name: tiny
image: {{base: "debian:bookworm-slim"}}
jupyter: {{port: {lab}, also: [{also}]}}
portal: {{port: {portal}}}
commands:
  greeting:
    run: echo "${{GREETING:-nothing}}" >> "$FIRSTLIGHT_WORKSPACE/greeting"
services:
  box:
    command: python3 {app} {{port}}
    port: {box}
    needs: [greeting]
    ready: {{http: /}}
"""


@dataclass
class Local:
    """One `run --local`, in a process of its own."""

    process: subprocess.Popen[bytes]
    out: Path
    root: Path

    @property
    def text(self) -> str:
        return self.out.read_text()

    @property
    def token(self) -> str:
        return until(lambda: re.search(r"/lab\?token=(\S+)", self.text), 90, what=str(self.out))[1]  # type: ignore[index]

    def port(self, title: str) -> int:
        """JupyterLab's, or that of the address with this title."""
        start = r"\n  http://" if title == "JupyterLab" else rf"{title}: http://"
        found = until(lambda: re.search(start + r"localhost:(\d+)/.*token=", self.text), 90, what=str(self.out))
        return int(found[1])  # type: ignore[index]

    def left(self) -> list[int]:
        """Processes with this root's plan in their environment."""
        mark = f"FIRSTLIGHT_PLAN={self.root / 'home' / 'plan.json'}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found

    def supervisord(self, but: int | None = None) -> int:
        """Its process, another one than `but`."""
        run = Path(json.loads((self.root / "home" / "plan.json").read_text())["paths"]["run"])

        def noted() -> int | None:
            # It is empty for a moment.
            number = int((run / "supervisord.pid").read_text() or 0)
            return number if number not in (0, but) else None

        return until(noted, what="a supervisord")  # type: ignore[return-value]

    def app(self) -> bool:
        """Whether the app answers. JupyterLab opens, and this is said, before the portal is there."""
        try:
            return ask(self.port("box"), "/x", bearer(self.token)).status == 200
        except OSError:
            return False


Start = Callable[..., Local]


@pytest.fixture
def start(control: Path, tmp_path: Path) -> Iterator[Start]:
    """Start `run --local` below a root whose JupyterLab environment is there already."""
    running: list[Local] = []
    ports = {name: free_port() for name in ("lab", "also", "portal", "box")}
    manifest = tmp_path / "tiny.yaml"
    manifest.write_text(MANIFEST.format(app=REPO / "tests/portal/app.py", **ports))

    def begin(
        root: Path = tmp_path / "root", environ: Mapping[str, str] | None = None, given: Sequence[str] = ()
    ) -> Local:
        home = root / "home"
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "control").exists():
            (home / "control").symlink_to(control)
            (home / "control.sha256").write_text(ground.control_digest(home / "control", []))
        out = tmp_path / f"out{len(running)}"
        code = (
            "import sys; from images import local; from manifests import load, lock;"
            f"loaded = load.load({str(manifest)!r});"
            f"root, given = {str(root)!r}, {given!r};"
            "sys.exit(local.run_local(loaded, lock.read(loaded), root, env=given))"
        )
        names = ("JUPYTER_TOKEN", "JUPYTER_PASSWORD", "OPEN_BUTTON_TOKEN", "NB_PREFIX")
        env = {k: v for k, v in os.environ.items() if k not in names}
        with out.open("wb") as log:
            command = [sys.executable, "-c", code]
            child = subprocess.Popen(
                command, cwd=REPO, env={**env, **(environ or {})}, stdout=log, stderr=log, start_new_session=True
            )
        running.append(Local(child, out, root))
        return running[-1]

    yield begin
    for local in running:
        if local.process.poll() is None:
            local.process.send_signal(signal.SIGINT)
            local.process.wait(60)


def test_starts_resumes_and_ends(start: Start) -> None:
    first = start(given=["GREETING=once"])
    token = first.token
    lab = first.port("JupyterLab")
    assert ask(lab, "/api/contents", {"Authorization": f"token {token}"}).status == 200
    rebound = ask(lab, "/api/contents", {"Authorization": f"token {token}", "Host": f"elsewhere.example:{lab}"})
    assert rebound.status == 403, "a name that someone points at this machine opens nothing"
    until(first.app, 60)
    ports = json.loads((first.root / "ports.json").read_text())
    assert len(ports) >= 5, "JupyterLab twice, the portal, the app in front of and behind it"
    for port in ports.values():
        with socket.socket() as elsewhere, pytest.raises(ConnectionRefusedError):
            elsewhere.connect(("127.0.0.2", port))
    assert token not in "".join(p.read_text() for p in (first.root / "logs").rglob("*.log"))

    second = start()
    assert second.process.wait(60) == 1
    assert (
        f"another one runs on {first.root} already, process {first.process.pid}: http://localhost:{lab}" in second.text
    )
    assert "choose --root" in second.text

    first.process.send_signal(signal.SIGINT)
    assert first.process.wait(60) == 130
    assert "nothing of it runs any more" in first.text
    assert first.left() == []
    assert not (first.root / "instance.json").exists()
    assert "ERRO" not in (first.root / "logs" / "supervisord.log").read_text()

    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", lab))
        squatter.listen()
        again = start()
        assert again.token == token, "the token outlives the start"
        assert again.port("JupyterLab") != lab
        assert again.port("box") == first.port("box")
        until(again.app, 60)
        assert (first.root / "workspace" / "greeting").read_text() == "once\n", "what is done stays done"
        again.process.send_signal(signal.SIGTERM)
        assert again.process.wait(60) == 130
        assert again.left() == []


def test_killed_it_leaves_nothing_running(start: Start) -> None:
    local = start()
    until(local.app, 60)
    assert len(local.left()) >= 5
    local.process.kill()
    local.process.wait(10)
    until(lambda: local.left() == [], 30)


def test_survives_supervisord_and_ends_with_its_keeper(start: Start, tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 12) / ("deeper" * 8)
    local = start(deep)
    assert local.token
    run = json.loads((deep / "home" / "plan.json").read_text())["paths"]["run"]
    assert len(run) < 60
    assert Path(run).stat().st_mode & 0o777 == 0o700
    first = local.supervisord()
    keeper = int(Path(f"/proc/{first}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(first, signal.SIGKILL)
    local.supervisord(but=first)
    assert local.process.poll() is None
    os.kill(keeper, signal.SIGKILL)
    assert local.process.wait(60) == 1
    assert "run --local: it ended (status -9)" in local.text
    assert local.left() == []


def test_says_what_to_install(start: Start, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "git").symlink_to("/usr/bin/git")
    local = start(environ={"PATH": str(tools)})
    assert local.process.wait(60) == 1
    assert "not installed here: aria2c, caddy, setpriv, chrt" in local.text
    assert "apt-get install -y --no-install-recommends aria2 caddy util-linux" in local.text


@pytest.mark.parametrize(
    ("provider", "lines"),
    [
        (
            "tigervnc",
            ["apt-get install -y --no-install-recommends aria2 novnc openbox tigervnc-standalone-server xterm"],
        ),
        (
            "kasmvnc",
            [
                "apt-get install -y --no-install-recommends aria2 openbox xterm",
                f"install the package {desktop.RELEASES}/v1.4.0/kasmvncserver_bookworm_1.4.0_amd64.deb",
            ],
        ),
    ],
)
def test_says_what_a_desktop_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: str, lines: list[str]
) -> None:
    monkeypatch.setattr(desktop, "NOVNC", str(tmp_path / "novnc" / "vnc.html"))
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("caddy", "chrt", "git", "setpriv", "xsetroot"):
        (tools / name).touch(mode=0o755)
    path = tmp_path / "tiny.yaml"
    path.write_text(f"manifest: 1\nname: tiny\nimage: {{base: debian:bookworm}}\ndesktop: {{provider: {provider}}}\n")
    missing = ground.missing_programs({"PATH": str(tools)}, load.load(str(path)).manifest)
    said = ground.install_commands(missing)
    assert len(said) == len(lines)
    assert all(line.endswith(end) for line, end in zip(said, lines, strict=True))


def test_a_variable_without_a_value_is_explained(start: Start) -> None:
    local = start(given=["NOWHERE_SET"])
    assert local.process.wait(60) == 1
    assert local.text == (
        "error: --env NOWHERE_SET has no value\n  NOWHERE_SET is not set here either\n"
        "hint: write --env NOWHERE_SET=VALUE\n"
    )


@pytest.mark.parametrize("name", ["a ;b", "a #b", "a{$b}", "a\nb", "a`b"])
def test_refuses_names_that_configurations_cannot_hold(tmp_path: Path, name: str) -> None:
    with pytest.raises(ground.GroundError, match="choose a folder without"), ground.claim(tmp_path / name):
        pass


def test_refuses_a_root_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ground.GroundError, match="choose another folder with --root"), ground.claim(tmp_path / "file"):
        pass


def test_control_that_cannot_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ground, "requirements", lambda: "no such requirement !\n")
    with pytest.raises(ground.GroundError, match="JupyterLab's environment cannot be installed"):
        ground.install_control(tmp_path / "control", os.environ)
    assert not (tmp_path / "control").exists()


def test_ports_are_remembered(tmp_path: Path) -> None:
    wanted, other = free_port(), free_port()
    with ground.claim(tmp_path) as place:
        assert place.port(wanted) == wanted
        with socket.socket() as squatter:
            squatter.bind(("127.0.0.1", wanted))
            moved = place.port(wanted)
            assert moved != wanted
        assert place.port(other) == other
    with ground.claim(tmp_path) as place:
        assert place.port(wanted) == moved
    (tmp_path / "ports.json").write_text("[nonsense")
    with ground.claim(tmp_path) as place:
        assert place.port(wanted) == wanted


def test_a_port_that_is_silent_until_another_instance_s_app_starts_is_left_to_it(tmp_path: Path) -> None:
    wanted = free_port()
    with ground.claim(tmp_path / "first") as first:
        assert first.port(wanted) == wanted == first.port(wanted)
        with ground.claim(tmp_path / "second") as second:
            assert second.port(wanted) != wanted
    with ground.claim(tmp_path / "third") as third:
        assert third.port(wanted) == wanted


def test_descendants_end_even_when_they_resist() -> None:
    code = (
        "import subprocess, sys, signal, os\n"
        "from images import descendants\n"
        "spared = subprocess.Popen(['sleep', '1000'])\n"
        "descendants.adopt()\n"
        "resist = 'import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(1e6)'\n"
        "outer = 'import subprocess, sys; '\\\n"
        "    f'subprocess.Popen([sys.executable, \"-c\", {resist!r}], start_new_session=True)'\n"
        "first = subprocess.Popen([sys.executable, '-c', outer], stdout=subprocess.PIPE)\n"
        "first.stdout.readline(); first.wait()\n"
        "found = descendants.living()\n"
        "assert len(found) == 2, found\n"
        "assert descendants.end([spared.pid], 1.0) == []\n"
        "assert descendants.living() == [spared.pid]\n"
        "assert descendants.end() == []\n"
        "assert descendants.living() == []\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPO, check=True, timeout=30)
    assert descendants.parents()[os.getpid()] == os.getppid()
