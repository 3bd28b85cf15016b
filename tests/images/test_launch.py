"""The ways in which platforms launch an image: with its own entrypoint, or with a program of theirs in its place and an
on-start script, which they run themselves or which somebody runs over SSH. It is up exactly once, and the same."""

from __future__ import annotations

import functools
import json
import re
import secrets
import shlex
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker as docker_sdk
import pytest

from images import containers
from manifests import load
from tests.images.machine import Machine
from tests.images.test_boot import SUPERVISORCTL
from tests.images.test_ssh import OPTIONS
from tests.waiting import until

MANIFEST = {
    "manifest": 1,
    "name": "firstlight-try-launch",
    "image": {"base": "debian:trixie-slim", "apt": ["openssh-client"]},
    "ssh": True,
    "workspace": "brought",
    "commands": {"mark": {"run": "setsid sleep 0.3 & date > mark", "uses": "disk"}},
    "services": {
        "files": {
            "command": "python3 -m http.server {port} --bind 127.0.0.1",
            "port": 8188,
            "needs": ["mark"],
            "ready": {"http": "/"},
        }
    },
}
ODD = 'it\'s "$HOME" `id` \\n ü\nand  more '
TOKEN = "launch-token-of-the-platform"
PLATFORM = ["sh", "-c", "mkdir -p /run/sshd; ssh-keygen -A >/dev/null; /usr/sbin/sshd; exec sleep infinity"]
MODES: dict[str, list[str] | None] = {"kept": None, "replaced": ["sleep", "infinity"], "ssh": PLATFORM}
"""What the platform starts; None: the image's own entrypoint."""


OPEN = f"""
from urllib.request import Request, urlopen
for url in ("http://127.0.0.1:1111/", "http://127.0.0.1:8888/lab"):
    print(urlopen(Request(url, headers={{"Authorization": "Bearer {TOKEN}"}})).status)
"""


class Launched(Machine):
    """A container, and what runs in it."""

    def onstart(self) -> tuple[int, str]:
        return containers.inside(self.container, "entrypoint.sh")

    def session(self, *words: str) -> tuple[int, str]:
        """Over SSH."""
        return containers.inside(self.container, "ssh", *OPTIONS, "-i", "/root/key", "root@127.0.0.1", *words)

    def pids(self, *words: str) -> list[int]:
        """Processes whose command line has all these words; but not their children, which have it from them until
        they become a program of their own."""
        rows = (row.split(None, 3) for row in self.run("ps", "-eo", "pid=,ppid=,stat=,args=").splitlines())
        alive = ((pid, parent, line) for pid, parent, state, line in rows if not state.startswith("Z"))
        found = {int(pid): int(parent) for pid, parent, line in alive if set(words) <= set(line.split())}
        return [pid for pid, parent in found.items() if parent not in found]

    def programs(self) -> dict[str, str]:
        """State of supervisor's programs; none while one has yet to show that it stays."""
        lines = self.run("sh", "-c", f"{' '.join(SUPERVISORCTL)} status || true").splitlines()
        found = {line.split()[0]: line.split()[1] for line in lines}
        return {} if "STARTING" in found.values() else found

    def zombies(self) -> list[str]:
        return [row for row in self.run("ps", "-eo", "stat=,ppid=,args=").splitlines() if row.startswith("Z")]

    @property
    def boots(self) -> list[int]:
        return self.pids("-I", "boot")

    @property
    def supervisord(self) -> list[int]:
        return self.pids("/opt/firstlight/control/bin/supervisord")


@pytest.fixture(scope="module")
def launched(
    docker: docker_sdk.DockerClient, built: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Launched]]:
    """A container for each way, up and settled."""
    folder = tmp_path_factory.mktemp("launch")
    (folder / "brought" / "deep").mkdir(parents=True)
    (folder / "brought" / "README.txt").write_text("from the image\n")
    (folder / "brought" / "deep" / "tool.sh").write_text("#!/bin/sh\n")
    (folder / "brought" / "deep" / "tool.sh").chmod(0o755)
    (folder / "firstlight-try-launch.yaml").write_text(json.dumps(MANIFEST))
    loaded = load.load(str(folder / "firstlight-try-launch.yaml"))
    image = built(str(folder / "firstlight-try-launch.yaml"))
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = Path(f"{key}.pub").read_text()
    environ = {"ODD": ODD, "JUPYTER_TOKEN": TOKEN, "SSH_PUBLIC_KEY": public}
    found: dict[str, Launched] = {}
    try:
        for mode, words in MODES.items():
            options: dict[str, Any] = {"entrypoint": words, "command": []} if words else {}
            more = {"DATA_DIRECTORY": "/data/of mine/"} if mode == "replaced" else {}
            name = f"firstlight-test-launch-{mode}-{secrets.token_hex(3)}"
            container = docker.containers.create(image, name=name, environment={**environ, **more}, **options)
            found[mode] = Launched(container, loaded, image)
            container.start()
            found[mode].run(
                "sh", "-c", f"umask 077; mkdir -p /root/.ssh; printf '%s' '{key.read_text()}' >/root/key;"
                f" echo '{public.strip()}' >/root/.ssh/authorized_keys"
            )  # fmt: skip
        found["replaced"].run("sh", "-c", "mkdir -p /opt/workspace-internal; echo hello >/opt/workspace-internal/vast")
        yield found
    finally:
        for machine in found.values():
            machine.container.remove(force=True)
        for tag in docker.images.get(image).tags:
            docker.images.remove(tag, force=True)


def test_it_starts_once_however_often_it_is_started(launched: dict[str, Launched]) -> None:
    replaced = launched["replaced"]
    assert replaced.supervisord == []
    with ThreadPoolExecutor(4) as pool:
        answers = [future.result() for future in [pool.submit(replaced.onstart) for _ in range(4)]]
    assert [code for code, _ in answers] == [0, 0, 0, 0], answers
    assert sorted("Firstlight has started." in said for _, said in answers) == [False, False, False, True], answers
    until(lambda: launched["ssh"].session("true")[0] == 0, what="the platform's sshd answers")
    code, said = launched["ssh"].session("entrypoint.sh")
    assert (code, "Firstlight has started." in said) == (0, True), said

    for mode, machine in launched.items():
        until(lambda machine=machine: len(machine.supervisord) == 1, what=mode)  # type: ignore[misc]
        before = machine.supervisord
        code, said = machine.onstart()
        assert (code, "Firstlight runs in this container already: nothing to do" in said) == (0, True), (mode, said)
        assert machine.supervisord == before, mode
        assert len(machine.boots) == 1, mode


def test_it_is_the_same_in_the_end(launched: dict[str, Launched]) -> None:
    ends, programs = {}, {}
    for mode, machine in launched.items():
        state = machine.settled(60)
        ends[mode] = {
            "phase": state["phase"],
            **{entry["id"]: entry["state"] for kind in ("stages", "services") for entry in state[kind]},
        }
        programs[mode] = until(machine.programs, what=mode)
        health = functools.partial(containers.inside, machine.container, "firstlight", "health")
        until(lambda health=health: health()[0] == 0, what=mode)  # type: ignore[misc]
        assert machine.run("python3", "-c", OPEN).split() == ["200", "200"], mode
    assert ends["kept"] == ends["replaced"] == ends["ssh"]
    assert ends["kept"]["phase"] == "ready" and ends["kept"]["files"] == "ready"
    # Where the platform has an sshd of its own, ours leaves the port to it.
    assert [programs[mode].pop("sshd") for mode in MODES] == ["RUNNING", "RUNNING", "STOPPED"]
    assert programs["kept"] == programs["replaced"] == programs["ssh"]
    assert {programs["kept"][name] for name in ("jupyterlab", "portal", "init", "files")} == {"RUNNING"}


def test_it_is_apart_from_who_started_it(launched: dict[str, Launched]) -> None:
    for mode in ("replaced", "ssh"):
        machine = launched[mode]
        (boot,) = machine.boots
        assert machine.run("ps", "-o", "sid=", "-p", str(boot)).strip() == str(boot), "a session of its own"
        assert machine.run("readlink", f"/proc/{boot}/fd/0").strip() == "/dev/null"
        assert "ERROR" not in machine.run("cat", "/var/log/supervisor/boot.log")
        assert f"/lab?token={TOKEN}" in machine.said(), "the container's log has the address"
        log = machine.run("cat", "/var/log/supervisor/boot.log")
        assert "/lab?token=…" in log and TOKEN not in log
        assert "supervisord started" in machine.run("cat", "/var/log/supervisor/supervisord.log")
        environ = machine.run("sh", "-c", f"tr '\\0' '\\n' </proc/{boot}/environ")
        assert "SSH_CONNECTION=" not in environ and re.search(r"^PATH=.*/usr/local/bin", environ, re.MULTILINE)


def test_orphans_are_reaped(launched: dict[str, Launched]) -> None:
    """The stage `mark` has left some, and the first program of this container waits for nobody. Whoever ends, as health
    checks do all the time, is one until its parent has been told."""
    machine = launched["replaced"]
    until(lambda: not machine.zombies(), what=f"all are reaped: {machine.zombies()}")


SEEN = ("import json, os; print(json.dumps({n: os.environ.get(n) for n in"
        " ('ODD', 'FIRSTLIGHT_STATE', 'PATH', 'JUPYTER_TOKEN', 'SSH_PUBLIC_KEY', 'HOME')}))")  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_sessions_see_the_environment(launched: dict[str, Launched], mode: str) -> None:
    machine = launched[mode]
    python = f'python3 -c "{SEEN}"'
    shells = {
        "bash -l": ("env", "-i", "HOME=/root", "bash", "-lc", python),
        "bash -i": ("env", "-i", "HOME=/root", "PATH=/usr/bin:/bin", "bash", "-ic", python),
        "sh -l": ("env", "-i", "HOME=/root", "sh", "-lc", python),
    }
    said = {name: containers.inside(machine.container, *words)[1] for name, words in shells.items()}
    until(lambda: machine.session("true")[0] == 0, what="sshd answers")
    said["ssh"] = machine.session(python)[1]
    said["ssh bash -l"] = machine.session(f"bash -lc {shlex.quote(python)}")[1]
    for name, text in said.items():
        line = next((line for line in text.splitlines() if line.startswith("{")), text)
        seen = json.loads(line)
        if mode != "ssh" and name == "ssh":
            # Our own sshd has no way to say values with quotes and line breaks.
            assert seen.pop("ODD") is None
        else:
            assert seen.pop("ODD") == ODD, name
        assert seen["PATH"].startswith("/opt/firstlight/bin:") and seen["HOME"] == "/root", name
        assert seen["FIRSTLIGHT_STATE"] == "/workspace/.firstlight", name
        assert seen["JUPYTER_TOKEN"] is None and seen["SSH_PUBLIC_KEY"] is None, name
    file = machine.host.file("/run/firstlight/environment.sh")
    assert (file.mode, file.user) == (0o600, "root") and TOKEN not in file.content_string


def test_a_shell_s_own_variables_stay(launched: dict[str, Launched]) -> None:
    words = ("env", "-i", "HOME=/root", "ODD=mine", "bash", "-lc", "echo $ODD")
    assert launched["kept"].run(*words).strip() == "mine"


def test_the_workspace_lies_where_the_platform_says(launched: dict[str, Launched]) -> None:
    machine = launched["replaced"]
    assert machine.run("readlink", "/workspace").strip() == "/data/of mine"
    assert {".firstlight", "README.txt"} <= set(machine.run("ls", "-A", "/data/of mine").split())
    assert "the workspace is /data/of mine, as DATA_DIRECTORY says" in machine.said()
    assert not launched["kept"].host.file("/workspace").is_symlink


def test_what_the_image_brings_is_there_and_never_comes_back(launched: dict[str, Launched]) -> None:
    machine = launched["replaced"]
    until(lambda: machine.host.file("/workspace/vast").exists, what="the copy")
    assert machine.run("cat", "/workspace/README.txt", "/workspace/vast") == "from the image\nhello\n"
    assert machine.host.file("/workspace/deep/tool.sh").mode == 0o755
    machine.run("rm", "/workspace/vast")
    machine.run("sh", "-c", "echo mine >/workspace/README.txt; echo new >/opt/workspace-internal/new")

    # Killed, it is up again with the next on-start, and is one.
    (boot,), (old,) = machine.boots, machine.supervisord
    machine.run("kill", "-9", str(boot))
    until(lambda: machine.supervisord != [old], what="supervisord is gone")
    code, said = machine.onstart()
    assert (code, "Firstlight has started." in said) == (0, True), said
    (new,) = machine.supervisord
    assert new != old and len(machine.boots) == 1
    until(lambda: machine.host.file("/workspace/new").exists, what="what a newer image brings")
    assert machine.run("cat", "/workspace/README.txt") == "mine\n"
    assert not machine.host.file("/workspace/vast").exists
    assert machine.settled(60)["phase"] == "ready"
