"""`firstlight serve sshd`: becomes OpenSSH's server, for the keys that a platform or the user gave.

Passwords are never asked for. RunPod gives `PUBLIC_KEY`, Vast.ai `SSH_PUBLIC_KEY`; without either it does not start.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from init import privacy, session
from init.complaint import Complaint
from init.paths import Paths

SERVER = "/usr/sbin/sshd"
PORT = 22
LAUNCH = "/.launch"
"""Vast.ai leaves it where it replaces the entrypoint; there it starts an sshd of its own."""
GIVES_WAY = 0.3
"""Seconds for an sshd of ours that was just killed to leave the port."""
KEY = re.compile(r"(ssh-[a-z0-9-]+|ecdsa-[a-z0-9-]+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/=]+( .*)?")
OPTIONS = """\
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys .ssh/authorized_keys
AuthenticationMethods publickey
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PidFile none
PrintMotd no
ClientAliveInterval 60
Subsystem sftp internal-sftp
"""


class NoKey(Complaint):
    """No key can be made or kept; the text says why."""


def keys(environ: Mapping[str, str]) -> list[str]:
    """Public keys, as lines of `authorized_keys`; what is none is passed over."""
    lines = [line.strip() for name in session.KEYS for line in environ.get(name, "").splitlines()]
    return list(dict.fromkeys(line for line in lines if KEY.fullmatch(line)))


def wanted(environ: Mapping[str, str]) -> bool:
    """Whether ours is to start: someone has a key, and no sshd of the platform's own is there."""
    if not keys(environ) or not os.access(SERVER, os.X_OK) or Path(LAUNCH).exists():
        return False
    deadline = time.monotonic() + GIVES_WAY
    while taken := _taken():
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return not taken


def _taken() -> bool:
    with socket.socket() as client:
        client.settimeout(1.0)
        return client.connect_ex(("127.0.0.1", PORT)) == 0


def config(folder: Path, environ: Mapping[str, str]) -> str:
    """sshd's configuration: sessions see the container's environment, without what opens JupyterLab and the portal."""
    seen = {
        name: value
        for name, value in session.shown(environ).items()
        if value.isprintable() and not set(value) & set('"\\')
    }
    told = " ".join(f'{name}="{value}"' for name, value in seen.items())
    return OPTIONS.format(port=PORT, folder=folder) + f"SetEnv {told}\n"


def serve(paths: Paths, environ: Mapping[str, str]) -> list[str]:
    """Write what sshd reads; the words that start it. Raises NoKey."""
    import subprocess

    folder = Path(paths.run, "ssh")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        for name, text in (
            ("authorized_keys", "\n".join(keys(environ)) + "\n"),
            ("sshd_config", config(folder, environ)),
        ):
            privacy.write(folder / name, text)
        if not (folder / "host_key").exists():
            make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "firstlight", "-f", str(folder / "host_key")]
            subprocess.run(make, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoKey(f"what sshd needs cannot be written to {folder}: {error}") from None
    return [SERVER, "-D", "-e", "-f", str(folder / "sshd_config")]
