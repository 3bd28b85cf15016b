"""An image that has passed its tests goes to a registry."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

import docker
from docker.errors import APIError, DockerException
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from images import content, daemon, records
from manifests.load import Loaded
from manifests.trouble import Trouble, told

PUSHED = re.compile(r"digest: (sha256:[0-9a-f]{64})")


@dataclass(frozen=True)
class Pushed:
    reference: str
    """`REGISTRY/NAME:TAG`."""
    digest: str
    """What the registry calls it."""


class Transfer:
    """Bytes of a push, by layer. Docker may report more than the total, or no total at all."""

    def __init__(self) -> None:
        self.layers: dict[str, tuple[int, int]] = {}
        self.digest = ""

    def take(self, item: dict[str, Any]) -> None:
        """Take one item of the stream in. Raises Trouble when it is an error."""
        if "error" in item:
            raise _refused(str(item["error"]))
        detail, layer = item.get("progressDetail") or {}, item.get("id", "")
        if detail.get("total"):
            self.layers[layer] = (min(detail.get("current", 0), detail["total"]), detail["total"])
        elif layer in self.layers and item.get("status") in ("Pushed", "Layer already exists"):
            self.layers[layer] = (self.layers[layer][1],) * 2
        self.digest = (item.get("aux") or {}).get("Digest") or self.digest
        if found := PUSHED.search(item.get("status", "")):
            self.digest = found.group(1)

    @property
    def done(self) -> int:
        return sum(done for done, _ in self.layers.values())

    @property
    def total(self) -> int:
        return sum(total for _, total in self.layers.values())


def _refused(reason: str) -> Trouble:
    remedies = [
        (
            r"no basic auth|unauthorized|authentication required|denied|401|403|unexpected status from HEAD",
            "the registry refuses this login: `docker login HOST` with a user who may push there",
        ),
        (r"no such host|lookup ", "the registry's name is not known: check REGISTRY"),
        (r"connection refused|i/o timeout|timeout", "the registry does not answer: check REGISTRY and the network"),
        (
            r"server gave HTTP response to HTTPS client",
            "the registry speaks plain http: name it in `insecure-registries` of /etc/docker/daemon.json",
        ),
        (r"certificate", "Docker does not trust the registry: put its CA at /etc/docker/certs.d/HOST/ca.crt"),
        (r"no space left|quota", "the registry has no space left"),
    ]
    remedy = next(
        (words for pattern, words in remedies if re.search(pattern, reason)), "try again; layers that arrived are kept"
    )
    return Trouble("the image was not pushed", reason, remedy)


@contextmanager
def _shown(out: TextIO) -> Iterator[Callable[[Transfer], None]]:
    """A function that shows how far a push is: a bar on a terminal, a line every ten seconds elsewhere."""
    if out.isatty():
        columns = (TextColumn("pushing"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=Console(file=out), transient=True) as bar:
            task = bar.add_task("push", total=None)
            yield lambda transfer: bar.update(task, completed=transfer.done, total=transfer.total or None)
        return
    began = spoke = time.monotonic()

    def line(transfer: Transfer) -> None:
        nonlocal spoke
        now = time.monotonic()
        if transfer.total and now - spoke >= 10:
            spoke = now
            rate = transfer.done / (now - began) / 1e6
            print(
                f"  {transfer.done / 1e6:.0f} of {transfer.total / 1e6:.0f} MB, {rate:.1f} MB/s", file=out, flush=True
            )

    yield line


def follow(stream: Iterable[dict[str, Any]], out: TextIO) -> Transfer:
    """Read a push to its end. Raises Trouble when the registry or Docker reports an error."""
    transfer = Transfer()
    with _shown(out) as show:
        for item in stream:
            transfer.take(item)
            show(transfer)
    return transfer


def target(tag: str, registry: str) -> tuple[str, str]:
    """(`REGISTRY/NAME`, `TAG`) for the local reference `NAME:TAG`. Raises Trouble when `registry` is none."""
    if not re.fullmatch(r"[a-z0-9.-]+(:\d+)?(/[a-z0-9._/-]+)?", registry):
        raise Trouble(
            f"{registry!r} is no registry",
            "",
            "write HOST or HOST/PATH in lower case and without https://, such as ghcr.io/me",
        )
    name, _, version = tag.rpartition(":")
    if version == "latest" or not name:
        raise Trouble(
            f"{tag} says nothing about its content",
            "a tag names one content, and `latest` names any",
            "push NAME:CHECKSUM",
        )
    return f"{registry.rstrip('/')}/{name.rpartition('/')[2]}", version


def _free(reference: str, image: dict[str, Any], loaded: Loaded) -> None:
    """Raises Trouble when the registry has another image of this name: whoever pulls it counts on that one."""
    try:
        held = content.held(reference)
    except content.Unseen as error:
        raise _refused(str(error)) from None
    if held in (None, content.of(image)):
        return
    raise Trouble(
        f"{reference} was not pushed: the registry has another image of this name",
        "packages or the base image have changed since it was pushed, or somebody else built it",
        f"take the one that is there, or give this one a name of its own: `docker tag {image['RepoTags'][0]}"
        f" {loaded.manifest.name}:TAG`, `{loaded.verb('push')} --registry … --tag TAG`",
    )


def push(
    loaded: Loaded, tag: str, registry: str, *, client: docker.DockerClient | None = None, out: TextIO | None = None
) -> Pushed:
    """Push the manifest's local image `tag` to `registry` (`HOST[/PATH]`), with the docker configuration's login.

    Raises Trouble.
    """
    out = out or sys.stdout
    client = client or daemon.connect(timeout=600)
    repository, version = target(tag, registry)
    image = daemon.image(client, tag, loaded)
    if records.tested(image.attrs) is None:
        raise Trouble(
            f"{tag} was not pushed: it has not passed its tests",
            "",
            f"`{loaded.verb('test')} --image {tag}`, then push again",
        )
    reference = f"{repository}:{version}"
    _free(reference, image.attrs, loaded)
    print(f"pushing {reference} ({image.attrs['Size'] / 1e6:.0f} MB)", file=out, flush=True)
    began = time.monotonic()
    known = reference in image.tags
    try:
        image.tag(repository, version)
        transfer = follow(client.api.push(repository, version, stream=True, decode=True), out)
        arrived = client.images.get_registry_data(reference).id
    except APIError as error:
        raise _refused(str(error.explanation or error)) from None
    except DockerException as error:
        raise _refused(str(error)) from None
    finally:
        if not known:
            with contextlib.suppress(DockerException):
                client.images.remove(reference)
    if transfer.digest and arrived != transfer.digest:
        raise Trouble(
            f"{reference} is not what was pushed",
            f"the registry has {arrived}, and {transfer.digest} was pushed",
            "someone else pushes the same tag: use another one, or push again",
        )
    seconds = time.monotonic() - began
    size = f", {transfer.total / 1e6:.0f} MB at {transfer.total / 1e6 / seconds:.1f} MB/s" if transfer.total else ""
    records.remember_push(loaded.manifest.name, f"{reference}@{arrived}")
    print(f"pushed {reference}@{arrived} in {seconds:.1f} s{size}", file=out, flush=True)
    return Pushed(reference, arrived)


def latest(client: docker.DockerClient, loaded: Loaded) -> str:
    """`NAME:CONTENT` of what was built last. Raises Trouble."""
    name = loaded.manifest.name
    _, checksum = content.of(daemon.image(client, f"{name}:dev", loaded).attrs)
    if not checksum:
        raise Trouble(
            f"{name}:dev does not say what it was made of",
            f"it has no label {content.LABEL}",
            f"`{loaded.verb('build')}`, or push another one with --tag",
        )
    return f"{name}:{checksum[: content.DIGITS]}"


def run_push(loaded: Loaded, *, registry: str, tag: str | None = None) -> int:
    """The verb `push`: exit code. Without `tag` it pushes what was built last, under the tag that names its content."""

    def action() -> int:
        client = daemon.connect(timeout=600)
        push(loaded, f"{loaded.manifest.name}:{tag}" if tag else latest(client, loaded), registry, client=client)
        return 0

    return told(action)
