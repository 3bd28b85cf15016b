"""Findings about this machine, and about worse ones."""

from __future__ import annotations

import json
from pathlib import Path

import docker as docker_sdk
import pytest

from images import doctor
from images.doctor import Finding


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


def test_every_lack_has_its_remedy(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.run_doctor() == 1
    said = capsys.readouterr().out
    assert f"error   docker: no Docker answers at unix://{bare}/dead.sock" in said
    for subject in ("buildx", "aria2", "caddy", "git"):
        assert f"error   {subject}: is missing" in said
    assert "warning registry login: none; needed to push\n        hint: `docker login HOST`" in said
    errors = [finding for finding in doctor.examine() if finding.severity != "ok"]
    assert all(finding.remedy for finding in errors)


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


def test_an_old_buildx_is_found(bare: Path) -> None:
    script = bare / "docker"
    script.write_text("#!/bin/sh\necho github.com/docker/buildx v0.9.1 abc\n")
    script.chmod(0o755)
    assert [(f.severity, f.message) for f in doctor.buildx()] == [("error", "0.9 is too old; 0.13 or later is needed")]


def test_a_gpu_that_containers_cannot_use_is_found(bare: Path) -> None:
    script = bare / "nvidia-smi"
    script.write_text("#!/bin/sh\necho 'NVIDIA X, 570.1'\n")
    script.chmod(0o755)
    (finding,) = doctor.gpu()
    assert (finding.severity, finding.remedy) == (
        "warning",
        "install the NVIDIA container toolkit (nvidia-container-toolkit)",
    )
