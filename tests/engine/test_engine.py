"""Builds with the real BuildKit: what is made, what is said, and what is said when it fails."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import docker as docker_sdk
import pytest

from images import buildx, daemon, engine, remedies
from images.trouble import Trouble
from tests.images.registry import Registry

OWN = daemon.Builder((0, 13), "docker", True)


def folder(tmp_path: Path, dockerfile: str) -> Path:
    (tmp_path / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\n" + dockerfile)
    return tmp_path


def build(tmp_path: Path, base: str, dockerfile: str, extras: buildx.Extras | None = None) -> str:
    place = folder(tmp_path, dockerfile)
    return buildx.build(place, ["firstlight-try:1"], extras or buildx.Extras(), arguments={"BASE": base}, what="try")


def test_tags_name_the_content() -> None:
    assert engine.tags("demo", "0123456789abcdef") == ["demo:0123456789ab", "demo:dev"]
    assert engine.tags("demo", "0123456789abcdef", "mine")[0] == "demo:mine"


def test_a_builder_says_what_it_cannot_do() -> None:
    assert OWN.limits == []
    old = replace(OWN, containerd_store=False)
    assert [words.partition(":")[0] for words in old.limits] == [
        "Docker's overlay2 store keeps no zstd layers",
        "Docker's overlay2 store keeps no attestations",
        "Docker's overlay2 store exports no cache",
    ]
    assert not any("cache" in words for words in replace(old, driver="docker-container").limits)


def test_a_generator_out_of_reach_costs_the_sbom_only(
    monkeypatch: pytest.MonkeyPatch, docker: docker_sdk.DockerClient
) -> None:
    monkeypatch.setenv("FIRSTLIGHT_SBOM_GENERATOR", "127.0.0.1:9/none:1")
    extras, words = buildx.extras(OWN, "demo", None)
    assert (extras.provenance, extras.compression, extras.sbom) == (True, "zstd", None)
    assert words == [
        "no SBOM: its generator 127.0.0.1:9/none:1 is out of reach (FIRSTLIGHT_SBOM_GENERATOR names another)"
    ]


def test_secrets_are_named_and_never_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_verysecret")
    monkeypatch.delenv("CIVITAI_TOKEN", raising=False)
    argv = buildx.command(Path("x"), ["a:1"], buildx.Extras(), metadata=Path("m"))
    assert "--secret=id=hf_token,env=HF_TOKEN" in argv
    assert not [word for word in argv if "verysecret" in word or "civitai" in word]


def test_the_ca_bundle_is_a_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert f"--secret=id=ca,src={bundle}" in buildx.command(Path("x"), ["a:1"], buildx.Extras(), metadata=Path("m"))


def test_an_image_has_zstd_layers_provenance_and_no_trace_of_the_ca(
    docker: docker_sdk.DockerClient, base: str, tmp_path: Path
) -> None:
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    text = f"RUN --mount=type=secret,id=ca,target={bundle} test -s {bundle}; date +%s%N > /stamp\n"
    digest = build(tmp_path, base, text, buildx.Extras(provenance=True, compression="zstd"))
    assert docker.images.get("firstlight-try:1").id == digest
    raw = subprocess.run(["docker", "save", "firstlight-try:1"], capture_output=True, check=True).stdout
    assert b"vnd.oci.image.layer.v1.tar+zstd" in raw
    assert b"https://slsa.dev/provenance" in raw


def test_a_failed_step_is_shown_with_its_last_lines(docker: docker_sdk.DockerClient, base: str, tmp_path: Path) -> None:
    with pytest.raises(Trouble) as caught:
        build(tmp_path, base, "RUN echo before >&2; echo 'E: Unable to locate package libnone' >&2; exit 7\n")
    text = str(caught.value)
    assert text.startswith("error: try was not built\n  in step [2/2] RUN echo before")
    assert "  | before\n  | E: Unable to locate package libnone\n" in text
    assert "exit code: 7" in text
    assert text.endswith("hint: the distribution has no package libnone: correct `image.apt` of the manifest")


def test_a_base_out_of_reach_names_the_way_out(docker: docker_sdk.DockerClient, tmp_path: Path) -> None:
    with pytest.raises(Trouble, match=r"hint: the base image's registry is out of reach.*--base IMAGE.*images\.bases"):
        build(tmp_path, "127.0.0.1:9/none:1", "RUN true\n")


def test_a_dockerfile_that_does_not_parse_is_quoted(docker: docker_sdk.DockerClient, base: str, tmp_path: Path) -> None:
    with pytest.raises(Trouble, match=r"unknown instruction: FLY"):
        build(tmp_path, base, "FLY away\n")


def test_a_cache_in_a_registry_is_written_and_read(
    docker: docker_sdk.DockerClient, base: str, tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(registry.login()))
    extras, _ = buildx.extras(OWN, "try", f"{registry.host}/fl", sbom=False)
    assert (extras.cache_from, extras.cache_to) == (None, f"{registry.host}/fl/try:cache")
    build(tmp_path, base, f"RUN echo {tmp_path.name} > /x\n", extras)
    assert buildx.extras(OWN, "try", f"{registry.host}/fl", sbom=False)[0].cache_from == f"{registry.host}/fl/try:cache"


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("write /x: no space left on device", "docker builder prune"),
        ("curl: (60) SSL certificate problem: self-signed certificate in chain", "SSL_CERT_FILE"),
        ("invalid peer certificate: UnknownIssuer", "SSL_CERT_FILE"),
        ("Temporary failure resolving 'mirror'", "no name service"),
        ("No solution found when resolving dependencies", "python.envs"),
        ('process "/bin/sh" did not complete successfully: exit code: 137', "for want of memory"),
        ("pull access denied, repository does not exist", "docker login"),
        ("hash mismatch for numpy", "do not go on before you know why"),
        ("error getting credentials - err: exec: not found", "credential helper"),
        ("toomanyrequests: You have reached your pull rate limit", "limits anonymous pulls"),
        ("failed to calculate checksum of ref x", "render again"),
        ("something new", ""),
    ],
)
def test_known_causes_have_remedies(said: str, remedy: str) -> None:
    assert remedy in remedies.remedy(said)
    assert remedy or remedies.remedy(said) == ""


def test_no_docker_says_where_it_was_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/dead.sock")
    with pytest.raises(Trouble) as caught:
        daemon.connect(timeout=5)
    assert f"no Docker answers at unix://{tmp_path}/dead.sock" in str(caught.value)
    assert "tests/machine.sh" in caught.value.remedy


def test_free_disk_is_told() -> None:
    assert "GB free for Docker at /" in engine.free_disk("/")
    assert engine.free_disk("/no/such/folder") == ""
