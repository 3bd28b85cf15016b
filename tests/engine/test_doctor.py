"""Findings about this machine, and about worse ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import docker as docker_sdk
import pytest

from images import daemon, doctor
from images.doctor import Finding
from manifests import desktop, load, lock
from manifests.trouble import Trouble
from tests.origin import Bytes, Origin


def found(findings: list[Finding], subject: str) -> Finding:
    return next(finding for finding in findings if finding.subject == subject)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with no program on PATH and no Docker."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/dead.sock")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


def test_a_prepared_machine_has_no_error(docker: docker_sdk.DockerClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.run_doctor(json=True) == 0
    findings = {item["subject"]: item["severity"] for item in json.loads(capsys.readouterr().out)}
    for subject in ("docker", "buildx", "aria2", "caddy", "git", "CA bundle"):
        assert findings[subject] == "ok", subject


def test_every_lack_has_its_remedy(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Asked twice, the network and the disk may answer differently.
    findings = doctor.examine()
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    assert doctor.run_doctor() == 1
    said = capsys.readouterr().out
    assert f"error   docker: no Docker answers at unix://{bare}/dead.sock" in said
    for subject in ("buildx", "aria2", "caddy", "git"):
        assert f"error   {subject}: is missing" in said
    assert "warning registry login: none; needed to push\n        hint: `docker login HOST`" in said
    lacks = [finding for finding in findings if finding.severity != "ok"]
    assert {"docker", "buildx", "aria2", "caddy", "git", "tini", "compiler"} <= {lack.subject for lack in lacks}
    for lack in lacks:
        assert lack.remedy, lack.subject
        assert f"{lack.subject}: {lack.message}\n        hint: {lack.remedy}\n" in said


def test_a_credential_helper_that_is_missing_is_found(bare: Path) -> None:
    (bare / "config.json").write_text('{"auths": {"ghcr.io": {}}, "credHelpers": {"ecr.example": "ecr-login"}}')
    findings = [(f.severity, f.message) for f in doctor.logins()]
    assert findings == [("error", "ecr.example wants docker-credential-ecr-login, which is missing"), ("ok", "ghcr.io")]


def test_a_bundle_that_is_none_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("not a certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert [(f.severity, f.remedy) for f in doctor.ca_bundle()] == [
        ("error", "point SSL_CERT_FILE at a bundle in PEM format")
    ]


def test_a_full_disk_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "LOW_DISK", 10**18)
    (finding,) = doctor.disk()
    assert finding.severity == "warning"
    assert "GB free at" in finding.message


def test_the_disk_of_docker_is_looked_at_too(monkeypatch: pytest.MonkeyPatch, docker: docker_sdk.DockerClient) -> None:
    monkeypatch.setattr(doctor, "LOW_DISK", 10**18)
    disk = found(list(doctor.docker_engine()), "docker disk")
    assert (disk.severity, disk.remedy) == (
        "warning",
        "`docker builder prune` and `docker image prune` free what nothing uses",
    )


def test_an_old_python_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    assert list(doctor.python()) == [
        Finding("error", "python", "3.10.4 is too old; 3.11 or later is needed", "put a newer python3 first on PATH")
    ]


def test_an_old_docker_is_found(monkeypatch: pytest.MonkeyPatch, docker: docker_sdk.DockerClient) -> None:
    monkeypatch.setattr(daemon, "OLDEST_DOCKER", (999,))
    (finding,) = doctor.docker_engine()
    version = docker.version()["Version"]
    assert (finding.severity, finding.message) == ("error", f"{version} is too old; 999 or later is needed")
    assert finding.remedy == daemon.START
    with pytest.raises(Trouble, match=r"is too old\n  999 or later is needed\nhint: "):
        daemon.builder(docker)


def test_a_store_without_oci_images_is_found(docker: docker_sdk.DockerClient, monkeypatch: pytest.MonkeyPatch) -> None:
    overlay2 = docker.info() | {"DriverStatus": [["Backing Filesystem", "extfs"]]}
    monkeypatch.setattr(docker, "info", lambda: overlay2)
    monkeypatch.setattr(daemon, "connect", lambda timeout: docker)
    store = found(list(doctor.docker_engine()), "image store")
    assert (store.severity, store.message) == ("warning", "overlay2: no zstd layers, no SBOM, no provenance")
    assert "containerd-snapshotter" in store.remedy


def test_no_bundle_at_all_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "ca_bundle", lambda: None)
    assert [(f.severity, f.remedy) for f in doctor.ca_bundle()] == [("error", "apt-get install ca-certificates")]


def program(folder: Path, name: str, script: str) -> None:
    """Put a program on the path of a bare machine."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_an_old_buildx_is_found(bare: Path) -> None:
    program(bare, "docker", "echo github.com/docker/buildx v0.9.1 abc")
    assert [(f.severity, f.message) for f in doctor.buildx()] == [("error", "0.9 is too old; 0.13 or later is needed")]


def test_a_build_with_an_old_buildx_is_refused(bare: Path, docker: docker_sdk.DockerClient) -> None:
    with pytest.raises(Trouble, match="docker has no buildx plug-in\nhint: install docker-buildx"):
        daemon.builder(docker)
    program(bare, "docker", "echo github.com/docker/buildx v0.9.1 abc")
    with pytest.raises(Trouble, match=r"docker buildx 0\.9 is too old\n  0\.13 or later is needed"):
        daemon.builder(docker)
    program(bare, "docker", "[ $2 = version ] && echo github.com/docker/buildx v0.30.1 abc || exit 1")
    with pytest.raises(Trouble, match=r"no usable builder\nhint: `docker buildx ls` shows them"):
        daemon.builder(docker)


def test_less_important_programs_are_warnings(bare: Path) -> None:
    for subject in ("mmdebstrap", "docker-registry", "tini"):
        lack = found(list(doctor.suite()), subject)
        assert lack.severity == "warning"
        assert "whole repository" in lack.message
        assert lack.remedy.endswith("images are built, tested and pushed without it")
    assert found(list(doctor.local_programs()), "compiler").severity == "warning"
    program(bare, "cc", "echo cc 14")
    assert found(list(doctor.local_programs()), "compiler") == Finding("ok", "compiler", "cc 14")


def test_a_gpu_that_containers_cannot_use_is_found(bare: Path) -> None:
    assert [(f.severity, f.message) for f in doctor.gpu()] == [("ok", "none here; images build without one")]
    program(bare, "nvidia-smi", "echo 'NVIDIA-SMI has failed because it could not talk to the driver'")
    assert [(f.severity, f.message) for f in doctor.gpu()] == [("ok", "none here; images build without one")]
    program(bare, "nvidia-smi", "echo 'NVIDIA X, 570.1'")
    (finding,) = doctor.gpu()
    assert (finding.severity, finding.remedy) == (
        "warning",
        "install the NVIDIA container toolkit (nvidia-container-toolkit)",
    )
    program(bare, "nvidia-ctk", "true")
    assert [(f.severity, f.message) for f in doctor.gpu()] == [("ok", "NVIDIA X, 570.1")]


@pytest.fixture
def kasm(monkeypatch: pytest.MonkeyPatch, origin: Origin) -> str:
    """Address of a release of KasmVNC; one manifest wants it."""
    monkeypatch.setattr(load, "names", lambda: ["demo", "visomaster-kasmvnc"])
    monkeypatch.setattr(desktop, "RELEASES", f"{origin.url}/releases")
    url = desktop.package_url(load.load("visomaster-kasmvnc").manifest)
    assert url is not None
    return url


def test_images_with_programs_that_are_not_pinned_are_found(kasm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "names", lambda: ["demo", "visomaster-kasmvnc", "visomaster-conda"])
    (package,) = doctor.pins()
    assert package == Finding(
        "warning",
        "visomaster-kasmvnc",
        f"the lock does not know the SHA-256 of KasmVNC's package ({kasm}), and so it is not built",
        "run `./buildkit.py lock visomaster-kasmvnc` where GitHub can be reached; `provider: tigervnc` needs no such "
        "package",
    )
    monkeypatch.setattr(lock, "read", lambda loaded: lock.Lock())
    _, micromamba = doctor.pins()
    assert micromamba.subject == "visomaster-conda"
    assert "the lock does not know the SHA-256 of micromamba" in micromamba.message
    assert "`./buildkit.py lock visomaster-conda`" in micromamba.remedy


def test_a_package_that_cannot_be_had_is_found(kasm: str, origin: Origin) -> None:
    (lost,) = doctor.kasmvnc()
    assert lost.message == "its package cannot be had here (HTTP 404): visomaster-kasmvnc cannot be built"
    assert lost.remedy == "`desktop: {provider: tigervnc}` needs nothing but the distribution"
    origin.stop()
    (lost,) = doctor.kasmvnc()
    assert lost.message.startswith("its package cannot be had here (127.0.0.1:")


def test_a_package_that_is_there_is_fine(kasm: str, origin: Origin) -> None:
    file = origin.plain(kasm.removeprefix(f"{origin.url}/"), Bytes(b"the package"))
    assert file.url == kasm
    assert list(doctor.kasmvnc()) == [Finding("ok", "KasmVNC", "kasmvncserver_noble_1.4.0_amd64.deb")]
