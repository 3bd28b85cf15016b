"""The Dockerfile: what is in which order, and what Docker makes of its values."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from images import buildx, engine, render
from manifests import load, lock
from manifests.problems import Refused
from tests.rendering import cases

if TYPE_CHECKING:
    import docker as docker_sdk


def dockerfile(name: str, base: str | None = None) -> str:
    loaded = cases.loaded(name) if name in cases.NAMES else load.load(name)
    return render.render(loaded, lock.read(loaded), base=base)["Dockerfile"]


def steps(text: str) -> list[str]:
    """Instructions, each in one line."""
    return [line for line in text.replace("\\\n", "").splitlines() if line and not line.startswith("#")]


def test_hadolint_has_no_complaint(tmp_path: Path) -> None:
    names = [*cases.NAMES, *load.names()]
    for name in names:
        (tmp_path / name).write_text(dockerfile(name))
    loaded = cases.hostile(tmp_path)
    lines = render.render(loaded, lock.read(loaded))["Dockerfile"].split("\n")
    # hadolint's parser, unlike Docker's, takes the quote after an escaped backslash for an escaped one.
    (tmp_path / "hostile").write_text("\n".join(line for line in lines if "end\\\\" not in line))
    command = [str(Path(sys.executable).with_name("hadolint")), "--no-color", *names, "hostile"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_exceptions_of_hadolint_say_why() -> None:
    lines = dockerfile("full").splitlines()
    excepted = [number for number, line in enumerate(lines) if line.startswith("# hadolint ignore=")]
    assert excepted
    for number in excepted:
        assert lines[number - 1].startswith("# ")


def test_no_syntax_line_and_no_latest() -> None:
    text = dockerfile("full")
    assert not text.startswith("# syntax") and "<<" not in text


def test_the_base_is_an_argument_with_the_locked_digest() -> None:
    digest = "sha256:88e1a1c3ad4ec1fb6d6b3a4d2a3bb4d2d8e1a4c9e2f3a4b5c6d7e8f90a1b2c3d"
    assert f'ARG FIRSTLIGHT_BASE="registry.example/cuda:12.8.1-devel@{digest}"' in dockerfile("full")
    assert 'ARG FIRSTLIGHT_BASE="debian:trixie-slim"' in dockerfile("small"), "nothing is known yet"
    assert 'ARG FIRSTLIGHT_BASE="localhost/mine:1"' in dockerfile("full", base="localhost/mine:1")


def test_images_on_one_base_begin_alike(tmp_path: Path) -> None:
    one = cases.written(tmp_path, name="one", image={"base": "debian:trixie-slim", "apt": ["tree"]})
    other = cases.written(
        tmp_path,
        name="other",
        image={"base": "debian:trixie-slim", "user": "maker", "env": {"A": "b"}, "labels": {"c": "d"}},
        jupyter={"port": 9999, "packages": ["jupyterlab-git"]},
    )
    begin = []
    for loaded in (one, other):
        begin.append(steps(render.render(loaded, lock.read(loaded))["Dockerfile"]))
    shared = begin[0].index("FROM control AS image")
    assert shared > 5
    assert begin[0][:shared] == begin[1][:shared]


def test_order_is_from_what_is_shared_to_what_changes_most() -> None:
    text = dockerfile("full")
    marks = [
        "AS common", "AS uv", "AS control", "--require-hashes -r /tmp/control.txt", "AS image",
        "libgl1", "-r /tmp/jupyter.txt", "COPY init ", "useradd", "ENV ", "bake app --part 1/3", "bake app --part 3/3",
        "bake studio\n", "bake studio:packages", "bake nodes", "bake fast", "COPY files", "plan.json /opt",
        "WORKDIR", "USER maker", "ENTRYPOINT", "LABEL",
    ]  # fmt: skip
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)


def test_secrets_stand_only_where_they_are_needed() -> None:
    text = steps(dockerfile("full"))
    with_token = [step for step in text if "hf_token" in step]
    assert len(with_token) == 1 and "bake fast" in with_token[0]
    assert not any("civitai" in step for step in text)
    for step in text:
        if "type=secret,id=ca" in step:
            assert step.startswith("RUN "), "never in a layer, an argument or the environment"
        elif "--offline" not in step and any(tool in step for tool in ("apt-get", "pip install", "firstlight bake")):
            pytest.fail(f"reaches the network without the CA bundle: {step}")


def test_compilers_come_with_kernels_only() -> None:
    assert "build-essential" in dockerfile("full")
    assert "build-essential" not in dockerfile("small")


def test_one_time_only() -> None:
    assert dockerfile("demo").count("        git ") == 1, "Firstlight's own packages are not asked for again"


def test_what_the_container_says_about_itself() -> None:
    text = dockerfile("full")
    assert "EXPOSE 22 1112 8188 8189 8888 18188" in text
    assert 'ENTRYPOINT ["/usr/bin/tini", "--", "/opt/firstlight/bin/firstlight", "boot"]' in text
    assert "HEALTHCHECK" in text and '"/opt/firstlight/bin/firstlight", "health"' in text
    assert "STOPSIGNAL SIGTERM" in text
    assert "VOLUME" not in text
    assert f'LABEL "io.firstlight.lock"="{lock.read(cases.loaded("full")).revision}"' in text
    assert f'LABEL "io.firstlight.checksum"="{lock.read(cases.loaded("full")).checksum}"' in text


def test_it_can_be_started_where_the_entrypoint_is_replaced() -> None:
    text = dockerfile("small")
    assert "ln -s /opt/firstlight/bin/firstlight /opt/firstlight/bin/entrypoint.sh " in text
    assert "ln -s /opt/firstlight/etc/profile.sh /etc/profile.d/firstlight.sh" in text
    # Before the line at which a shell without a terminal leaves: that is what runs a command that came by SSH.
    assert 'sed -i "1i . /opt/firstlight/etc/bashrc" /etc/bash.bashrc' in text


def test_root_needs_no_user_line() -> None:
    assert "USER" not in dockerfile("small") and "useradd" not in dockerfile("small")


def test_docker_reads_environment_and_labels_as_they_were_written(
    docker: docker_sdk.DockerClient, tmp_path: Path
) -> None:
    loaded = cases.hostile(tmp_path)
    text = render.render(loaded, lock.read(loaded))["Dockerfile"]
    chosen = [line for line in text.split("\n") if line.startswith(("ARG FIRSTLIGHT_NEWLINE", "ENV ", 'LABEL "'))]
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text("\n".join(["FROM scratch", *chosen, ""]), encoding="utf-8")
    build = ["docker", "buildx", "build", "--quiet", "--provenance=false", "--load"]
    tag = "firstlight-hostile:1"
    subprocess.run([*build, "--build-arg", "FIRSTLIGHT_NEWLINE=\n", "-t", tag, folder], check=True, capture_output=True)
    try:
        config: dict[str, Any] = docker.images.get(tag).attrs["Config"]
    finally:
        docker.images.remove(tag)
    found = dict(entry.split("=", 1) for entry in config["Env"])
    del found["PATH"]
    assert found == {"LANG": "C.UTF-8", **loaded.manifest.image.env}
    assert {name: value for name, value in config["Labels"].items() if name.startswith("label.")} == dict(
        loaded.manifest.image.labels
    )
    assert config["Labels"]["org.opencontainers.image.title"] == loaded.manifest.title

    without = subprocess.run([*build, "-t", tag, folder], capture_output=True, text=True, check=False)
    assert without.returncode != 0
    assert "build with --build-arg FIRSTLIGHT_NEWLINE set to a line feed" in without.stderr


def test_no_variable_of_the_image_is_one_of_the_build(tmp_path: Path) -> None:
    env = {"NEWLINE": "X", "BASE": "b", "REVISION": "mine", "CREATED": "never", "Z": "a\nb"}
    loaded = cases.written(tmp_path, image={"base": "debian:trixie-slim", "env": env, "labels": {"l": "c\nd"}})
    text = render.render(loaded, lock.read(loaded))["Dockerfile"]
    arguments = {word for step in steps(text) for word in re.findall(r"(?:^ARG |\$\{)(\w+)", step)}
    assert arguments == {f"FIRSTLIGHT_{name}" for name in ("BASE", "NEWLINE", "REVISION", "CREATED")}
    with pytest.raises(Refused, match="`FIRSTLIGHT_NEWLINE` is Firstlight's own variable"):
        cases.written(tmp_path, image={"base": "debian:trixie-slim", "env": {"FIRSTLIGHT_NEWLINE": "X"}})


def test_what_the_image_says_of_itself_is_not_its_variables(docker: docker_sdk.DockerClient, tmp_path: Path) -> None:
    env = {"NEWLINE": "X", "BASE": "b", "REVISION": "mine", "CREATED": "never", "Z": "a\nb"}
    loaded = cases.written(tmp_path, image={"base": "debian:trixie-slim", "env": env})
    text = render.render(loaded, lock.read(loaded))["Dockerfile"]
    chosen = [step for step in steps(text) if step.startswith(("ARG ", "ENV ", "LABEL org."))]
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text("\n".join([chosen[0], "FROM scratch", *chosen[1:], ""]), encoding="utf-8")
    tag = "firstlight-itself:1"
    arguments = engine.build_arguments(text)
    buildx.build(folder, [tag], buildx.Extras(), arguments=arguments, load=True)
    try:
        config: dict[str, Any] = docker.images.get(tag).attrs["Config"]
    finally:
        docker.images.remove(tag)
    found = dict(entry.split("=", 1) for entry in config["Env"])
    assert {name: found[name] for name in env} == env
    assert {name.rpartition(".")[2]: value for name, value in config["Labels"].items()} == {
        "name": "debian:trixie-slim",
        "revision": arguments["FIRSTLIGHT_REVISION"],
        "created": arguments["FIRSTLIGHT_CREATED"],
    }


def test_the_digest_of_another_base_is_not_taken() -> None:
    loaded = cases.loaded("full")
    known = lock.read(loaded)
    other = replace(known, base=replace(known.base, reference="debian:12"))
    assert known.base.digest
    assert known.base.digest not in render.render(loaded, other)["Dockerfile"]


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("civitai://7", "civitai_token"),
        ("https://civitai.com/x.whl", "civitai_token"),
        ("hf://a/b/x.whl", "hf_token"),
        ("https://huggingface.co/a/b/resolve/main/x.whl", "hf_token"),
        ("https://elsewhere.example/x.whl", None),
    ],
)
def test_a_wheel_is_fetched_with_its_own_secret(tmp_path: Path, url: str, secret: str | None) -> None:
    (tmp_path / "probe.py").write_text("")
    wheels = [{"url": url, "sha256": "a" * 64}]
    kernel = {"git": "https://git.example/x", "ref": "main", "env": "app", "probe": "probe.py", "wheels": wheels}
    loaded = cases.written(tmp_path, at="build", python={"envs": {"app": {}}}, kernels={"fast": kernel})
    text = render.render(loaded, lock.read(loaded))["Dockerfile"]
    assert {one for one in ("hf_token", "civitai_token") if f"id={one}" in text} == ({secret} if secret else set())


def test_what_installs_is_known_by_its_hashes() -> None:
    for step in steps(dockerfile("small")):
        if "pip install" in step:
            assert "--require-hashes" in step or "--offline --no-deps /tmp/lab/*.whl" in step, step
