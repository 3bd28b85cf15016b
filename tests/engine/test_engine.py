"""Builds with the real BuildKit: what is made, what is said, and what is said when it fails."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import docker as docker_sdk
import pytest

from images import buildx, daemon, engine, panel, remedies, render
from manifests import load, lock
from manifests.trouble import Trouble
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
    assert engine.tags("demo", "0123456789abcdef", "mine") == ["demo:mine", "demo:0123456789ab", "demo:dev"]


def test_a_builder_says_what_it_cannot_do() -> None:
    dates = "Docker's own builder dates files by the clock"
    assert [words.partition(":")[0] for words in OWN.limits] == [dates]
    old = replace(OWN, containerd_store=False)
    assert [words.partition(":")[0] for words in old.limits] == [
        "Docker's overlay2 store keeps no zstd layers",
        "Docker's overlay2 store keeps no attestations",
        "Docker's overlay2 store exports no cache",
        dates,
    ]
    assert not any("clock" in words for words in replace(OWN, driver="remote").limits)
    assert not any("cache" in words for words in replace(old, driver="docker-container").limits)


def test_a_generator_out_of_reach_costs_the_sbom_only(
    monkeypatch: pytest.MonkeyPatch, docker: docker_sdk.DockerClient
) -> None:
    monkeypatch.setenv("FIRSTLIGHT_SBOM_GENERATOR", "127.0.0.1:9/none:1")
    extras, words = buildx.extras(OWN, "demo", None)
    assert (extras.provenance, extras.compression, extras.sbom) == (True, "zstd", None)
    assert words[1:] == [
        "no SBOM: its generator 127.0.0.1:9/none:1 is out of reach (FIRSTLIGHT_SBOM_GENERATOR names another)"
    ]


@pytest.mark.parametrize(
    ("variable", "id", "other"),
    [("HF_TOKEN", "hf_token", "CIVITAI_TOKEN"), ("CIVITAI_TOKEN", "civitai_token", "HF_TOKEN")],
)
def test_secrets_are_named_and_never_written(
    monkeypatch: pytest.MonkeyPatch, variable: str, id: str, other: str
) -> None:
    monkeypatch.setenv(variable, "verysecret")
    monkeypatch.delenv(other, raising=False)
    argv = buildx.command(Path("x"), ["a:1"], buildx.Extras(), metadata=Path("m"))
    assert [word for word in argv if "token" in word] == [f"--secret=id={id},env={variable}"]
    assert not [word for word in argv if "verysecret" in word]


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
    written = f"{registry.host}/fl/try:cache"
    assert (extras.cache_from, extras.cache_to) == ((), written)
    build(tmp_path, base, f"RUN echo {tmp_path.name} > /x\n", extras)
    assert buildx.extras(OWN, "try", f"{registry.host}/fl", sbom=False)[0].cache_from == (written,)
    other, _ = buildx.extras(OWN, "other", f"{registry.host}/fl", others=["other", "try"], sbom=False)
    assert (other.cache_from, other.cache_to) == ((written,), f"{registry.host}/fl/other:cache")
    assert f"--cache-from=type=registry,ref={written}" in buildx.command(tmp_path, ["a:1"], other, metadata=tmp_path)


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
        ("failed to solve: invalid reference format", "correct --base or --tag"),
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


def test_docker_that_does_not_listen_or_refuses_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    with pytest.raises(Trouble, match=r"no Docker answers at tcp://127.0.0.1:9\n  nothing listens there\nhint: "):
        daemon.connect(timeout=5)
    place = tmp_path / "closed.sock"
    with socket.socket(socket.AF_UNIX) as closed:
        closed.bind(str(place))
        closed.listen()
        place.chmod(0)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{place}")
        powerless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
        code = "from images import daemon; daemon.connect(timeout=5)"
        command = [*powerless, sys.executable, "-c", code]
        done = subprocess.run(command, cwd=engine.ROOT, capture_output=True, text=True, check=False)
    assert f"Docker at unix://{place} refuses this user\nhint: `sudo usermod -aG docker $USER`" in done.stderr


def test_at_decides_what_is_baked(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("manifest: 1\nname: x\nimage: {base: debian:13}\ncommands: {go: {run: 'true'}}\n")
    asked = load.load(str(tmp_path / "x.yaml"))

    def baked(at: str | None) -> bool:
        loaded = engine.with_at(asked, at)
        return "firstlight bake go" in render.render(loaded, lock.read(loaded))["Dockerfile"]

    assert (baked("build"), baked("start"), baked(None)) == (True, False, False)


def test_a_dockerfile_is_given_what_it_asks_for() -> None:
    git = ["git", "log", "-1", "--format=%H %cI %ct"]
    revision, created, epoch = subprocess.run(
        git, cwd=engine.ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    names = [f"FIRSTLIGHT_{name}" for name in ("NEWLINE", "REVISION", "CREATED")]
    known = engine.build_arguments("ARG BASE\n" + "".join(f"ARG {name}=x\n" for name in names))
    assert known == {**dict(zip(names, ("\n", revision, created), strict=True)), "SOURCE_DATE_EPOCH": epoch}
    assert engine.build_arguments("ARG BASE\n# ARG FIRSTLIGHT_NEWLINE\n") == {"SOURCE_DATE_EPOCH": epoch}


@pytest.mark.parametrize("printing", [True, False])
def test_a_panel_that_cannot_be_built_is_said(
    docker: docker_sdk.DockerClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    printing: bool,
) -> None:
    (tmp_path / "x.yaml").write_text("manifest: 1\nname: x\nimage: {base: debian:13}\n")
    loaded = load.load(str(tmp_path / "x.yaml"))
    monkeypatch.setattr(engine, "ROOT", tmp_path)
    monkeypatch.setattr(panel, "CACHE", tmp_path / "lab")
    monkeypatch.setattr(panel, "_tools", lambda environ: tmp_path)
    monkeypatch.setattr(panel, "_environment", lambda tools, environ: {"PATH": str(tmp_path)})
    (tmp_path / "jlpm").write_text("#!/bin/sh\necho 'YN0035: The remote server failed'\nexit 1\n")
    (tmp_path / "jlpm").chmod(0o755)
    assert engine.run_build(loaded, lock.read(loaded), printing=printing, sbom=False) == 1
    assert capsys.readouterr().err == (
        "error: JupyterLab's panel cannot be built: packages from the npm registry\n"
        "  YN0035: The remote server failed\n"
        f"hint: {panel.NPM}\n"
    )


def test_free_disk_is_told() -> None:
    assert "GB free for Docker at /" in engine.free_disk("/")
    assert engine.free_disk("/no/such/folder") == ""


def test_a_build_argument_of_the_users_is_one_that_the_dockerfile_asks_for() -> None:
    asks = 'ARG FIRSTLIGHT_BASE=x\nARG NOTEBOOK_REPO_URL=""\nARG NOTEBOOK_FILENAME=""\n'
    words = ["NOTEBOOK_REPO_URL=https://h/a?b=c", "NOTEBOOK_FILENAME="]
    assert engine.given(words, asks) == {"NOTEBOOK_REPO_URL": "https://h/a?b=c", "NOTEBOOK_FILENAME": ""}
    for word, dockerfile, reason, remedy in (
        ("NOTEBOOK_REPO", asks, "NOTEBOOK_REPO has no value", "it asks for NOTEBOOK_REPO_URL, NOTEBOOK_FILENAME"),
        ("FIRSTLIGHT_BASE=y", asks, "this image's Dockerfile does not ask for FIRSTLIGHT_BASE", "it asks for NOTEBOOK"),
        ("X=1", "ARG FIRSTLIGHT_BASE\n", "does not ask for X", "it asks for none; a `notebook` in its manifest would"),
    ):
        with pytest.raises(Trouble) as refused:
            engine.given([word], dockerfile)
        assert f"--build-arg {word} is refused" in str(refused.value)
        assert reason in str(refused.value) and remedy in str(refused.value)
    with pytest.raises(Trouble, match="its address holds a password") as refused:
        engine.given(["NOTEBOOK_REPO_URL=https://me:pa55word@h/a"], asks)
    assert "pa55word" not in str(refused.value)
