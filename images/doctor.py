"""What this machine lacks for Firstlight, and how to get it."""

from __future__ import annotations

import json as jsons
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import docker
from rich.console import Console
from rich.text import Text

from images import daemon, dockerfile
from manifests import desktop, load, lock, web
from manifests.problems import Refused
from manifests.trouble import Trouble

Severity = Literal["ok", "warning", "error"]
SETUP = "`tests/machine.sh demo` installs it on Debian and Ubuntu"
SUITE = "`tests/machine.sh` installs it on Debian and Ubuntu; images are built, tested and pushed without it"
LOW_DISK = 10_000_000_000
STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


@dataclass(frozen=True)
class Finding:
    severity: Severity
    subject: str
    message: str
    remedy: str = ""


def _version(argv: list[str]) -> str | None:
    """First line of what a program says of its version; None when there is no such program."""
    if shutil.which(argv[0]) is None:
        return None
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return next((line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()), "")


def _program(name: str, argv: list[str], needed_for: str, severity: Severity = "error", remedy: str = SETUP) -> Finding:
    said = _version(argv)
    if said is None:
        return Finding(severity, name, f"is missing; {needed_for}", remedy)
    return Finding("ok", name, said)


def python() -> Iterator[Finding]:
    """Python's version and its venv."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 11):  # noqa: UP036 - the doctor is asked where setup went wrong
        yield Finding(
            "error", "python", f"{version} is too old; 3.11 or later is needed", "put a newer python3 first on PATH"
        )
    else:
        yield Finding("ok", "python", version)


def docker_engine() -> Iterator[Finding]:
    """Docker answers, is new enough, and how it keeps images."""
    try:
        client = daemon.connect(timeout=20)
        version = str(client.version()["Version"])
        if daemon.numbers(version) < daemon.OLDEST_DOCKER:
            yield Finding(
                "error", "docker", f"{version} is too old; {daemon.OLDEST_DOCKER[0]} or later is needed", daemon.START
            )
            return
        yield Finding("ok", "docker", version)
        yield from _store(client)
    except Trouble as trouble:
        said = ": ".join(filter(None, [trouble.what, trouble.reason]))
        yield Finding("error", "docker", f"{said}; it builds, tests, pushes and runs images", trouble.remedy)


def _store(client: docker.DockerClient) -> Iterator[Finding]:
    if daemon.has_containerd_store(client):
        yield Finding("ok", "image store", "containerd: zstd layers, attestations, registry cache")
    else:
        yield Finding(
            "warning",
            "image store",
            "overlay2: no zstd layers, no SBOM, no provenance",
            '`"features": {"containerd-snapshotter": true}` in /etc/docker/daemon.json, restart Docker, build again',
        )
    yield _disk("docker disk", client.info().get("DockerRootDir", ""))


def _disk(subject: str, folder: str) -> Finding:
    if not Path(folder).is_dir():
        return Finding("ok", subject, "on another machine")
    free = shutil.disk_usage(folder).free
    if free < LOW_DISK:
        remedy = (
            "`docker builder prune` and `docker image prune` free what nothing uses"
            if "docker" in subject
            else "free some"
        )
        return Finding("warning", subject, f"only {free / 1e9:.1f} GB free at {folder}", remedy)
    return Finding("ok", subject, f"{free / 1e9:.0f} GB free at {folder}")


def buildx() -> Iterator[Finding]:
    """The plug-in that builds."""
    found = daemon.buildx_version()
    need = ".".join(map(str, daemon.OLDEST_BUILDX))
    if found is None:
        yield Finding(
            "error",
            "buildx",
            "is missing; it builds images",
            "install docker-buildx; `tests/machine.sh` does on Debian and Ubuntu",
        )
    elif found < daemon.OLDEST_BUILDX:
        yield Finding(
            "error",
            "buildx",
            f"{'.'.join(map(str, found))} is too old; {need} or later is needed",
            "install a newer docker-buildx",
        )
    else:
        yield Finding("ok", "buildx", ".".join(map(str, found)))


def logins() -> Iterator[Finding]:
    """Registries that one is logged in to; their credential helpers exist."""
    known = daemon.config_auths()
    if not known:
        yield Finding("warning", "registry login", "none; needed to push", "`docker login HOST`")
    for host, helper in known.items():
        if isinstance(helper, str) and shutil.which(f"docker-credential-{helper}") is None:
            yield Finding(
                "error",
                "registry login",
                f"{host} wants docker-credential-{helper}, which is missing",
                f"install it, or `docker login {host}`",
            )
        else:
            yield Finding("ok", "registry login", host)


def local_programs() -> Iterator[Finding]:
    """What `run --local` and the demo start."""
    yield _program("aria2", ["aria2c", "--version"], "it fetches models (`run --local`, `make demo`)")
    yield _program("caddy", ["caddy", "version"], "it is the portal (`run --local`, `make demo`)")
    yield _program("git", ["git", "--version"], "it resolves and fetches sources")
    yield _program(
        "compiler", ["cc", "--version"], "kernels are compiled with it (`run --local`, `make demo`)", "warning"
    )


def suite() -> Iterator[Finding]:
    """What the tests of this repository use, and those of an image do not."""
    tests = "`make test` of the whole repository uses it"
    yield _program("mmdebstrap", ["mmdebstrap", "--version"], f"{tests}, and `images.bases`", "warning", SUITE)
    yield _program("docker-registry", ["docker-registry", "--version"], tests, "warning", SUITE)
    yield _program("tini", ["tini", "--version"], tests, "warning", SUITE)


def pins() -> Iterator[Finding]:
    """Images that would run a program unseen, and so are not built."""
    for name in load.names():
        with suppress(Refused):
            loaded = load.load(name)
            for problem in dockerfile.unpinned(loaded, lock.read(loaded)):
                yield Finding("warning", name, f"{problem.text}, and so it is not built", problem.hint or "")


def kasmvnc() -> Iterator[Finding]:
    """The package of each image whose desktop is KasmVNC's is to be had."""
    wanted: dict[str, list[str]] = {}
    for name in load.names():
        with suppress(Refused):
            if (url := desktop.package_url(load.load(name).manifest)) is not None:
                wanted.setdefault(url, []).append(name)
    for url, names in wanted.items():
        try:
            status = web.ask(url, method="HEAD", timeout=5).status
            said = "" if status == 200 else f"HTTP {status}"
        except (web.Busy, web.Silent) as error:
            said = error.reason
        if said:
            message = f"its package cannot be had here ({said}): {', '.join(names)} cannot be built"
            remedy = "`desktop: {provider: tigervnc}` needs nothing but the distribution"
            yield Finding("warning", "KasmVNC", message, remedy)
        else:
            yield Finding("ok", "KasmVNC", url.rpartition("/")[2])


def ca_bundle() -> Iterator[Finding]:
    """The certificate authorities that builds and downloads trust."""
    bundle = daemon.ca_bundle()
    if bundle is None:
        yield Finding("error", "CA bundle", "none found; no https works", "apt-get install ca-certificates")
        return
    try:
        ssl.create_default_context(cafile=str(bundle))
    except (ssl.SSLError, OSError) as error:
        yield Finding(
            "error", "CA bundle", f"{bundle} cannot be read: {error}", "point SSL_CERT_FILE at a bundle in PEM format"
        )
        return
    yield Finding("ok", "CA bundle", str(bundle))


def gpu() -> Iterator[Finding]:
    """A GPU, if there is one, can be given to containers."""
    said = _version(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"])
    if not said or "fail" in said.lower():
        yield Finding("ok", "GPU", "none here; images build without one")
        return
    if shutil.which("nvidia-container-cli") or shutil.which("nvidia-ctk"):
        yield Finding("ok", "GPU", re.sub(r"\s+", " ", said))
    else:
        yield Finding(
            "warning",
            "GPU",
            f"{said}, and containers cannot use it",
            "install the NVIDIA container toolkit (nvidia-container-toolkit)",
        )


def disk() -> Iterator[Finding]:
    """Room for models where the local runner would put them."""
    yield _disk("disk", str(Path.cwd()))


CHECKS: list[Callable[[], Iterator[Finding]]] = [
    python,
    docker_engine,
    buildx,
    logins,
    local_programs,
    suite,
    pins,
    kasmvnc,
    ca_bundle,
    gpu,
    disk,
]


def examine() -> list[Finding]:
    """All findings, in the order of `CHECKS`."""
    return [finding for check in CHECKS for finding in check()]


def run_doctor(*, json: bool = False) -> int:
    """The verb `doctor`: 1 when there is an error, else 0."""
    findings = examine()
    if json:
        print(jsons.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        console = Console(soft_wrap=True, highlight=False)
        for finding in findings:
            console.print(
                Text.assemble(
                    (f"{finding.severity:8}", STYLES[finding.severity]), f"{finding.subject}: {finding.message}"
                )
            )
            if finding.remedy:
                console.print(Text(f"{'':8}hint: {finding.remedy}", style="dim"))
    return 1 if any(finding.severity == "error" for finding in findings) else 0
