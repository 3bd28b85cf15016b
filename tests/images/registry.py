"""A real registry on a free port of loopback, with a password."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.ports import free_port
from tests.waiting import until

USER, PASSWORD = "ci", "s3cret"
HTPASSWD = "ci:$2b$05$Xj1HMLt6W4GTCRu1v8WQDeue1kqnLGEvnM5w8WtVKWeMc2T8hn0IG"
CONFIG = """
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {root}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
auth: {{htpasswd: {{realm: test, path: {htpasswd}}}}}
"""


@dataclass(frozen=True)
class Registry:
    host: str
    """`127.0.0.1:PORT`."""
    folder: Path

    def login(self, password: str = PASSWORD) -> Path:
        """A DOCKER_CONFIG folder with a login to this registry."""
        folder = self.folder / f"login-{password}"
        folder.mkdir(exist_ok=True)
        secret = base64.b64encode(f"{USER}:{password}".encode()).decode()
        (folder / "config.json").write_text(json.dumps({"auths": {self.host: {"auth": secret}}}))
        return folder

    def manifest_digest(self, reference: str) -> str:
        """What the registry itself calls `NAME:TAG`."""
        name, _, tag = reference.partition(":")
        request = urllib.request.Request(f"http://{self.host}/v2/{name}/manifests/{tag}", method="HEAD")
        request.add_header("Authorization", "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
        kinds = ("oci.image.index.v1", "oci.image.manifest.v1", "docker.distribution.manifest.v2")
        request.add_header("Accept", ", ".join(f"application/vnd.{kind}+json" for kind in kinds))
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.headers["Docker-Content-Digest"])


def _answers(host: str) -> bool:
    try:
        urllib.request.urlopen(f"http://{host}/v2/", timeout=2)
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False
    return True


@contextmanager
def serving(folder: Path) -> Iterator[Registry]:
    """A registry that keeps everything below `folder`."""
    program = shutil.which("docker-registry")
    assert program, "docker-registry is missing; tests/machine.sh installs it"
    port = free_port()
    (folder / "htpasswd").write_text(HTPASSWD + "\n")
    config = CONFIG.format(root=folder / "store", port=port, htpasswd=folder / "htpasswd")
    (folder / "config.yml").write_text(config)
    log = (folder / "log").open("wb")
    process = subprocess.Popen([program, "serve", folder / "config.yml"], stdout=log, stderr=log)
    registry = Registry(f"127.0.0.1:{port}", folder)
    try:
        until(lambda: _answers(registry.host), within=20, what="the registry answers")
        yield registry
    finally:
        process.terminate()
        process.wait(timeout=10)
        log.close()
