"""An image as a container on this machine: its ports, its workspace, and what it answers."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.types import DeviceRequest, Mount

from images import daemon, dockerfile, hostports
from manifests import expand
from manifests.load import Loaded
from manifests.trouble import Trouble

HOST = hostports.HOST
LABEL = "firstlight.image"


def mount(volume: str | None, name: str) -> Mount:
    """The workspace: a folder (it has a `/`, or starts with `.` or `~`) or a named volume. Raises Trouble."""
    if volume and ("/" in volume or volume[0] in ".~"):
        folder = Path(volume).expanduser().resolve()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Trouble(
                f"{volume} cannot be the workspace", str(error), "give a folder that exists, or a volume's name"
            ) from None
        return Mount("/workspace", str(folder), type="bind")
    named = volume or f"firstlight-{name}"
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", named):
        raise Trouble(
            f"{named!r} is no volume's name", "letters, digits and `_.-` make one", "a folder is written with a `/`"
        )
    return Mount("/workspace", named, type="volume")


def start(
    loaded: Loaded,
    image: str,
    *,
    client: docker.DockerClient,
    volume: str | None = None,
    env: Mapping[str, str] | None = None,
    gpus: bool = False,
    port_offset: int | None = None,
    name: str | None = None,
    keep: bool = False,
) -> Container:
    """A started container of `image`, its ports on loopback. Raises Trouble, and leaves no container then.

    `port_offset`: its ports have exactly the numbers of the image's and this one; else similar ones will do.
    `keep`: Docker starts it again when it ends by itself, and after a reboot.
    """
    manifest = loaded.manifest
    _have(client, image, loaded)
    name = name or f"firstlight-{manifest.name}"
    mounts, values = [mount(volume, manifest.name)], dict(env or {})
    bundle = daemon.ca_bundle()
    if os.environ.get("SSL_CERT_FILE") and bundle:
        # This machine has a certificate authority of its own; downloads inside meet it too.
        mounts.append(Mount(dockerfile.BUNDLE, str(bundle.resolve()), type="bind", read_only=True))
        values = {"SSL_CERT_FILE": dockerfile.BUNDLE, "REQUESTS_CA_BUNDLE": dockerfile.BUNDLE} | values
    options: dict[str, Any] = {
        "name": name,
        "mounts": mounts,
        "labels": {LABEL: manifest.name},
        "shm_size": "2g",
    }
    if keep:
        options["restart_policy"] = {"Name": "unless-stopped"}
    if gpus:
        options["device_requests"] = [DeviceRequest(count=-1, capabilities=[["gpu"]])]
    refused: set[int] = set()
    while True:
        try:
            with hostports.choose(expand.ports(manifest), refused, port_offset) as chosen:
                options["ports"] = {f"{port}/tcp": (HOST, here) for port, here in chosen.items()}
                # As Vast.ai says it: the links of the portal and of the panel lead there.
                moved = {f"VAST_TCP_PORT_{port}": str(here) for port, here in chosen.items() if here != port}
                options["environment"] = {**moved, **values}
                return _started(client, image, options)
        except APIError as error:
            # Between the choice of a port and Docker's taking it, a program that promises nothing may take it.
            lost = hostports.lost(str(error.explanation or error), chosen.values())
            if not lost or len(refused) > hostports.TRIES * len(chosen):
                raise _refusal(error, name, gpus) from None
            if port_offset is not None:
                raise hostports.taken(min(lost)) from None
            refused |= lost


def _started(client: docker.DockerClient, image: str, options: dict[str, Any]) -> Container:
    """Raises APIError, and leaves nothing behind then."""
    container: Container = client.containers.create(image, **options)
    try:
        container.start()
    except BaseException:
        with contextlib.suppress(APIError):
            container.remove(force=True)
        raise
    return container


def _have(client: docker.DockerClient, image: str, loaded: Loaded) -> None:
    """Pull an image that names its registry; one without is only ever our own. Raises Trouble."""
    host, path, _ = image.partition("/")
    if not path or not (set(".:") & set(host)):
        daemon.image(client, image, loaded)
        return
    if daemon.local(client, image):
        return
    print(f"pulling {image}", flush=True)
    try:
        client.images.pull(image)
    except APIError as error:
        reason = str(error.explanation or error)
        raise Trouble(f"{image} was not pulled", reason, "check its name, and `docker login HOST`") from None


def _refusal(error: APIError, name: str, gpus: bool) -> Trouble:
    reason = str(error.explanation or error)
    if "is already in use" in reason:
        return Trouble(
            f"a container {name} is there already", "", f"`docker rm -f {name}` ends it; its workspace volume stays"
        )
    if gpus and re.search(r"device driver|nvidia|gpu", reason, re.IGNORECASE):
        return Trouble(
            "Docker has no access to a GPU here", reason, "install the NVIDIA container toolkit, or leave --gpus away"
        )
    return Trouble(
        f"container {name} did not start", reason, "`./buildkit.py doctor` says whether Docker lacks something"
    )


def published(container: Container, port: int) -> int:
    """The port of this machine that leads to `port` of the container."""
    container.reload()
    bound = (container.attrs["NetworkSettings"]["Ports"] or {}).get(f"{port}/tcp")
    if not bound:
        raise _ended(container)
    return int(bound[0]["HostPort"])


def log_tail(container: Container, lines: int | Literal["all"] = 15) -> str:
    """The last lines of what the container said."""
    text = container.logs(tail=lines)
    return text.decode(errors="replace") if isinstance(text, bytes) else ""


def _ended(container: Container) -> Trouble:
    tail = log_tail(container)
    state = container.attrs["State"]
    return Trouble(
        f"container {container.name} ended with exit code {state.get('ExitCode')}",
        tail,
        f"`docker logs {container.name}` has it all",
    )


def wait_for(container: Container, answers: Callable[[], bool], what: str, within: float) -> None:
    """Until `answers()`. Raises Trouble when the container ends before, or after `within` seconds."""
    deadline = time.monotonic() + within
    while not answers():
        container.reload()
        if container.status in ("exited", "dead"):
            raise _ended(container)
        if time.monotonic() > deadline:
            tail = log_tail(container)
            raise Trouble(f"{what} not within {within:.0f} s", tail, f"`docker logs {container.name}` has it all")
        time.sleep(0.1)


def jupyter_answers(url: str) -> bool:
    """Whether JupyterLab answers at `url` (without a trailing slash)."""
    try:
        # With a certificate of its own there is nobody to vouch for it; it is this machine's container that is asked.
        with urllib.request.urlopen(f"{url}/api", timeout=5, context=ssl._create_unverified_context()) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def healthy(container: Container) -> bool:
    """Docker's opinion, of the image's HEALTHCHECK."""
    container.reload()
    return bool(container.attrs["State"].get("Health", {}).get("Status", "healthy") == "healthy")


def inside(container: Container, *argv: str) -> tuple[int, str]:
    """Exit code and output of a program in the container."""
    code, output = container.exec_run(list(argv))
    return code or 0, output.decode(errors="replace") if isinstance(output, bytes) else ""


def token(container: Container, *options: str) -> str:
    """What the container's own `firstlight token` says. Raises Trouble."""
    code, output = inside(container, "firstlight", "token", *options)
    if code:
        raise Trouble("the container does not tell its token", output, f"`docker logs {container.name}` says more")
    return output.strip()


def stop(container: Container) -> None:
    """Stop and remove it; its workspace stays."""
    with contextlib.suppress(NotFound):
        container.stop(timeout=15)
        container.remove(v=False, force=True)
