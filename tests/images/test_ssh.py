"""sshd: for whoever has the key that the platform gave, and for nobody else."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

import docker as docker_sdk
import pytest

from images import containers
from tests.images.machine import Machine, started
from tests.images.test_boot import SUPERVISORCTL
from tests.waiting import until

OPTIONS = ("-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=accept-new", "-o", "UserKnownHostsFile=/tmp/known")


def test_without_a_key_there_is_no_sshd(container: Machine) -> None:
    assert containers.inside(container.container, *SUPERVISORCTL, "status", "sshd")[1].split()[1] == "STOPPED"
    assert ":0016 " not in container.run("cat", "/proc/net/tcp", "/proc/net/tcp6"), "nobody listens on port 22"
    assert container.run("sh", "-c", "ls /etc/ssh/ssh_host_* 2>/dev/null | wc -l").strip() == "0"


@pytest.fixture
def machine(docker: docker_sdk.DockerClient, container: Machine) -> Iterator[Machine]:
    """A container whose platform gave a key, as RunPod does; the key, and another one, lie in `/tmp`."""
    for name in ("key", "other"):
        container.run("sh", "-c", f"rm -f /tmp/{name}*; ssh-keygen -q -t ed25519 -N '' -f /tmp/{name}")
    environ = {
        "PUBLIC_KEY": f"no key\n{container.run('cat', '/tmp/key.pub')}",
        "HF_TOKEN": f"hf_{secrets.token_hex(8)}",
    }
    environ |= {"SPACED": "two words; $HOME %h", "LINES": "a\nPermitEmptyPasswords yes"}
    environ |= {"QUOTED": 'a" PermitRootLogin="yes'}
    with started(docker, container.loaded, container.image, environ) as found:
        for name in ("key", "other"):
            words = container.run("cat", f"/tmp/{name}")
            found.run("sh", "-c", f"umask 077; printf '%s' '{words}' >/tmp/{name}")
        until(lambda: "RUNNING" in found.run("sh", "-c", f"{' '.join(SUPERVISORCTL)} status sshd || true"), within=60)
        yield found


def test_whoever_has_the_key_comes_in(machine: Machine) -> None:
    user = machine.attributes["Config"]["User"] or "root"

    def ssh(key: str, *words: str) -> tuple[int, str]:
        return containers.inside(machine.container, "ssh", *OPTIONS, "-i", f"/tmp/{key}", f"{user}@127.0.0.1", *words)

    until(lambda: ssh("key", "true")[0] == 0, within=30, what="sshd answers")
    code, said = ssh("key", "firstlight", "status", "--json")
    assert json.loads(said)["image"] == machine.loaded.manifest.name, code
    seen = dict(line.partition("=")[::2] for line in ssh("key", "env")[1].splitlines())
    assert seen["HF_TOKEN"].startswith("hf_") and seen["FIRSTLIGHT_STATE"] == "/workspace/.firstlight"
    assert seen["SPACED"] == "two words; $HOME %h" and not {"QUOTED", "LINES"} & set(seen)
    assert not {"PUBLIC_KEY", "JUPYTER_TOKEN", "JUPYTER_PASSWORD"} & set(seen)
    code, said = ssh("other", "true")
    assert code == 255 and "Permission denied (publickey)" in said
    assert machine.token not in machine.run("sh", "-c", "cat /run/firstlight/ssh/*")
