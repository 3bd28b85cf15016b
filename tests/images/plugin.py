"""Fixtures for tests with Docker: a daemon, a registry, a base image, built images and running containers.

`container` is a running container of each image whose manifest names the test file under `test`; `test_boot.py` is for
every image. With FIRSTLIGHT_TEST_IMAGE and FIRSTLIGHT_TEST_MANIFEST it is that image only.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import docker as docker_sdk

    from tests.images.machine import Machine
    from tests.images.registry import Registry
    from tests.origin.server import Origin

ROOT = Path(__file__).resolve().parents[2]
IMAGE, MANIFEST = "FIRSTLIGHT_TEST_IMAGE", "FIRSTLIGHT_TEST_MANIFEST"
BUILT = ["demo", "comfyui-wan22", "visomaster"]
"""What the whole suite builds, on a base made from distribution packages."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "boot_log(allow): regular expressions of lines that this test makes a program say"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "container" not in metafunc.fixturenames:
        return
    from images.testing import ALWAYS
    from manifests import load

    if only := os.environ.get(MANIFEST):
        metafunc.parametrize("container", [only], indirect=True, ids=[Path(only).stem], scope="session")
        return
    test = Path(metafunc.module.__file__).stem.removeprefix("test_").replace("_", "-")
    names = [name for name in BUILT if test == ALWAYS or test in load.load(name).manifest.test]
    metafunc.parametrize("container", names, indirect=True, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if {"built", "container"} & set(getattr(item, "fixturenames", ())) and not item.get_closest_marker("timeout"):
            # The first test of an image waits for its build.
            item.add_marker(pytest.mark.timeout(1200))


@pytest.fixture(scope="session")
def docker() -> Iterator[docker_sdk.DockerClient]:
    """A client of this machine's Docker. An image's own tests take the one that answers; for the repository's it is
    installed and started if need be, with all that they use besides."""
    from images import daemon
    from manifests.trouble import Trouble

    if MANIFEST not in os.environ:
        done = subprocess.run([ROOT / "tests" / "machine.sh"], capture_output=True, text=True, check=False)
        if done.returncode:
            said = f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
            pytest.fail(f"tests with Docker cannot run here\n{said}", pytrace=False)
    try:
        client = daemon.connect()
    except Trouble as trouble:
        pytest.fail(str(trouble), pytrace=False)
    yield client
    client.close()


@pytest.fixture(scope="session")
def base(docker: docker_sdk.DockerClient) -> str:
    """A base image made from distribution packages."""
    from images import bases

    return bases.make()


@pytest.fixture(scope="session")
def registry(docker: docker_sdk.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry of our own that asks for a password."""
    from tests.images.registry import serving

    with serving(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="session")
def built(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Builds an image by its manifest's name or path, once in a session; its reference."""
    done: dict[str, str] = {}

    def build(name: str) -> str:
        if name == os.environ.get(MANIFEST):
            return os.environ[IMAGE]
        if name not in done:
            from images import engine
            from manifests import load, lock

            loaded = load.load(name)
            # Compressing gigabytes that nobody pushes would be most of the time.
            compression = "zstd" if name == BUILT[0] else "uncompressed"
            base = request.getfixturevalue("base")
            done[name] = engine.build(loaded, lock.read(loaded), base=base, sbom=False, compression=compression).tag
        return done[name]

    return build


@pytest.fixture(scope="session")
def gateway(docker: docker_sdk.DockerClient) -> str:
    """Where containers reach this machine."""
    return str(docker.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"])


@pytest.fixture(scope="session")
def hub(gateway: str) -> Iterator[Origin]:
    """A model hub that containers reach, with the demo's files."""
    from tests.origin.demo import publish
    from tests.origin.server import Origin

    with Origin(hosts=(gateway, gateway)) as origin:
        publish(origin)
        yield origin


@pytest.fixture(scope="session")
def container(
    request: pytest.FixtureRequest, built: Callable[[str], str], docker: docker_sdk.DockerClient, hub: Origin
) -> Iterator[Machine]:
    """A container in which JupyterLab answers. Its models come from the hub, or are not fetched.

    What it said until the end is looked at too. Of the runner that is so where the hub has all models: elsewhere its
    stages depend on what this machine can reach.
    """
    from manifests import load
    from tests.images.machine import FIRST, started

    loaded = load.load(request.param)
    served = {models.hf for models in loaded.manifest.models.sets.values()} <= set(hub.repos)
    environment = {"HF_ENDPOINT": hub.url} if served else {"MODEL_SETS": "none"}
    with started(docker, loaded, built(request.param), environment) as machine:
        yield machine
        if served:
            machine.settled()
        programs = FIRST if served else FIRST[:-1]
        if found := machine.complaints(_allowed(request), machine.first_logs(programs)):
            pytest.fail("\n".join(["at its end the container's log complains", *found]), pytrace=False)


def _allowed(request: pytest.FixtureRequest) -> list[str]:
    """Lines that this container's tests make its programs say."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function) and hasattr(item, "callspec")]
    own = [item for item in items if item.callspec.params.get("container") == request.param]
    return [line for item in own for mark in item.iter_markers("boot_log") for line in mark.kwargs.get("allow", [])]
