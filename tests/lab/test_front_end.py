"""The panel's TypeScript and the wheel that carries it, with the tools that build it."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from images import panel
from tests.waiting import until


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """The sources with their packages, and an environment with Node."""
    folder = tmp_path_factory.mktemp("lab")
    environ = panel.prepare(folder, os.environ)
    yield folder, environ


@pytest.mark.timeout(600)
@pytest.mark.parametrize("script", ["lint", "test"])
def test_the_front_end(workshop: tuple[Path, dict[str, str]], script: str) -> None:
    folder, environ = workshop
    done = subprocess.run(["jlpm", "run", script], cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(600)
def test_the_wheel_carries_the_built_panel_and_enables_its_server() -> None:
    wheel = panel.wheel(os.environ)
    names = zipfile.ZipFile(wheel).namelist()
    shared = "firstlight_lab-0.1.0.data/data"
    assert f"{shared}/etc/jupyter/jupyter_server_config.d/firstlight_lab.json" in names
    assert f"{shared}/share/jupyter/labextensions/firstlight-lab/package.json" in names
    assert any("/static/remoteEntry." in name for name in names)
    assert not [name for name in names if "labextension/" in name or name.endswith((".ts", ".tsx", ".map"))]
    assert wheel.stat().st_size < 200_000
    told: list[str] = []
    assert panel.wheel(os.environ, told.append) == wheel and told == [], "built once"


def test_yarn_asks_the_registry_that_npm_is_set_to(tmp_path: Path) -> None:
    elsewhere = {**os.environ, "npm_config_registry": "http://127.0.0.1:9/npm/", "YARN_HTTP_RETRY": "0"}
    elsewhere["YARN_GLOBAL_FOLDER"] = str(tmp_path / "what an earlier build has fetched")
    elsewhere.pop("YARN_NPM_REGISTRY_SERVER", None)
    with pytest.raises(panel.PanelError, match="packages from the npm registry"):
        panel.prepare(tmp_path / "lab", elsewhere)


@pytest.mark.parametrize(("spared", "asked"), [("", "proxy"), ("localhost,127.0.0.1", "registry")])
def test_yarn_takes_the_proxy_of_this_machine(tmp_path: Path, spared: str, asked: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy, socket.create_server(("127.0.0.1", 0)) as registry:
        servers = {"proxy": proxy, "registry": registry}
        addresses = {name: "http://127.0.0.1:{1}".format(*server.getsockname()) for name, server in servers.items()}
        environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environ |= {"http_proxy": addresses["proxy"], "NO_PROXY": spared, "YARN_HTTP_RETRY": "0"}
        environ |= {"YARN_NPM_REGISTRY_SERVER": addresses["registry"], "YARN_UNSAFE_HTTP_WHITELIST": "127.0.0.1"}
        environ["YARN_GLOBAL_FOLDER"] = str(tmp_path / "what an earlier build has fetched")
        with ThreadPoolExecutor() as pool:
            built = pool.submit(panel.prepare, tmp_path / "lab", environ)
            until(lambda: select.select([proxy, registry], [], [], 0)[0], within=240)
            first = select.select([proxy, registry], [], [], 0)[0]
            for server in servers.values():
                server.close()
            with pytest.raises(panel.PanelError):
                built.result(240)
        assert first == [servers[asked]]


def test_a_registry_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    nowhere = {**os.environ, "YARN_NPM_REGISTRY_SERVER": "http://127.0.0.1:9", "YARN_HTTP_RETRY": "0"}
    nowhere["YARN_GLOBAL_FOLDER"] = str(tmp_path / "what an earlier build has fetched")
    with pytest.raises(panel.PanelError) as raised:
        panel.prepare(tmp_path / "lab", nowhere)
    assert "JupyterLab's panel cannot be built: packages from the npm registry:" in str(raised.value)
    assert "NODE_EXTRA_CA_CERTS" in str(raised.value)
