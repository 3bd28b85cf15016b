"""The Docker that is there: the connection, and what its builder and its store can do."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from docker.models.images import Image

from images import dockerfile
from manifests.load import Loaded
from manifests.trouble import Trouble

OLDEST_DOCKER = (23,)
OLDEST_BUILDX = (0, 13)
ANSWERS_WITHIN = 15.0
"""Seconds for a registry."""
START = "`tests/machine.sh` installs and starts Docker on Debian and Ubuntu"


def connect(timeout: int = 60) -> docker.DockerClient:
    """A client of the daemon that the environment names. Raises Trouble when none answers; `timeout` in seconds."""
    try:
        client = docker.from_env(timeout=timeout)
    except DockerException as error:
        raise _absent(error) from None
    try:
        client.ping()
    except (DockerException, OSError) as error:
        raise _absent(error) from None
    return client


def _absent(error: Exception) -> Trouble:
    where = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    reason = str(error)
    if "Permission denied" in reason:
        return Trouble(f"Docker at {where} refuses this user", "", "`sudo usermod -aG docker $USER`, then log in again")
    if "FileNotFoundError" in reason or "No such file" in reason:
        reason = "its socket does not exist: it does not run, or is not installed"
    elif "refused" in reason:
        reason = "nothing listens there"
    return Trouble(f"no Docker answers at {where}", reason, START)


def image(client: docker.DockerClient, reference: str, loaded: Loaded) -> Image:
    """The image of `loaded` that is called `reference` here. Raises Trouble when there is none."""
    found = local(client, reference)
    if found is None:
        name, _, tag = reference.rpartition(":")
        own = f" --tag {tag}" if name == loaded.manifest.name and tag != "dev" else ""
        raise Trouble(f"there is no image {reference}", "", f"`{loaded.verb('build')}{own}` makes it")
    return found


def local(client: docker.DockerClient, reference: str) -> Image | None:
    """The image that is called `reference` here, if there is one. Raises Trouble when none can be called so."""
    try:
        found: Image = client.images.get(reference)
    except ImageNotFound:
        return None
    except APIError as error:
        if error.status_code != 400:
            raise
        raise Trouble(
            f"{reference!r} cannot be an image's name", str(error.explanation), "write NAME:TAG or HOST/PATH/NAME:TAG"
        ) from None
    return found


@dataclass(frozen=True)
class Builder:
    """What `docker buildx build` reaches, and what it can do."""

    buildx: tuple[int, ...]
    driver: str
    """`docker` (the daemon's own BuildKit), `docker-container`, `remote` or `kubernetes`."""
    containerd_store: bool
    """The daemon keeps images in containerd: zstd, attestations and registry caches work with its own BuildKit."""

    @property
    def own(self) -> bool:
        return self.driver == "docker"

    @property
    def keeps_oci(self) -> bool:
        """What is built stays in the daemon's store with its compression and attestations."""
        return self.own and self.containerd_store

    @property
    def caches_to_registry(self) -> bool:
        return self.containerd_store or not self.own

    @property
    def rewrites(self) -> bool:
        """It can date files anew. Docker's own unpacks each image, and BuildKit refuses to do both."""
        return not self.own

    @property
    def limits(self) -> list[str]:
        """What this builder cannot do, a sentence each."""
        dated = (
            [] if self.rewrites else ["Docker's own builder dates files by the clock: layers are shared by cache only"]
        )
        if self.keeps_oci:
            return dated
        store = "Docker's overlay2 store" if self.own else f"the builder's `{self.driver}` driver"
        words = [
            f"{store} keeps no zstd layers: the image is compressed with gzip, about 10 % larger",
            f"{store} keeps no attestations: the image has neither provenance nor SBOM",
        ]
        if not self.caches_to_registry:
            words.append(f"{store} exports no cache: the registry cache is only read")
        return words + dated


def buildx_version() -> tuple[int, ...] | None:
    """Version of the buildx plug-in; None when it is missing."""
    try:
        done = subprocess.run(["docker", "buildx", "version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\bv?(\d+)\.(\d+)", done.stdout.partition(" ")[2] or done.stdout)
    return tuple(int(part) for part in found.groups()) if done.returncode == 0 and found else None


def numbers(version: str) -> tuple[int, ...]:
    """`26.1.5+dfsg1` as (26, 1, 5)."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def has_containerd_store(client: docker.DockerClient) -> bool:
    status = client.info().get("DriverStatus") or []
    return ["driver-type", "io.containerd.snapshotter.v1"] in status


def builder(client: docker.DockerClient) -> Builder:
    """The builder that `docker buildx build` would use. Raises Trouble when there is none that is new enough."""
    found = buildx_version()
    if found is None:
        raise Trouble("docker has no buildx plug-in", "", f"install docker-buildx; {START}")
    if found < OLDEST_BUILDX:
        have, need = (".".join(map(str, version)) for version in (found, OLDEST_BUILDX))
        raise Trouble(f"docker buildx {have} is too old", f"{need} or later is needed", "install a newer docker-buildx")
    version = numbers(client.version()["Version"])
    if version < OLDEST_DOCKER:
        raise Trouble(
            f"Docker {client.version()['Version']} is too old", f"{OLDEST_DOCKER[0]} or later is needed", START
        )
    done = subprocess.run(["docker", "buildx", "inspect"], capture_output=True, text=True, timeout=60, check=False)
    driver = re.search(r"^Driver:\s*(\S+)", done.stdout, re.MULTILINE)
    if done.returncode or not driver:
        raise Trouble(
            "docker buildx has no usable builder",
            done.stderr,
            "`docker buildx ls` shows them; `docker buildx use default`",
        )
    return Builder(found, driver.group(1), has_containerd_store(client))


def image_reachable(reference: str) -> bool:
    """Whether a registry holds `reference`, lets us read it, and says so in time."""
    argv = ["docker", "buildx", "imagetools", "inspect", "--raw", reference]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=ANSWERS_WITHIN, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def config_auths() -> dict[str, object]:
    """Registries that `docker login` knows, by host; a credential helper's are listed without their secret."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        data = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    auths: dict[str, object] = {**(data.get("credHelpers") or {}), **(data.get("auths") or {})}
    return auths


def ca_bundle() -> Path | None:
    """This machine's CA bundle: the one of SSL_CERT_FILE, else the system's."""
    for place in (
        os.environ.get("SSL_CERT_FILE"),
        dockerfile.BUNDLE,
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/cert.pem",
    ):
        if place and Path(place).is_file():
            return Path(place)
    return None
