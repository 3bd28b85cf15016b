"""Everything goes wrong in one start: JupyterLab stays up, and the user reads what happened, what it means and what
repairs it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from images import render
from init.plan import JupyterSpec, ReadySpec, Stage
from init.specs import Code, KernelSpec, NodeSpec, NodesSpec, PythonSpec
from manifests import load
from tests.days.watch import Watch
from tests.portal.conftest import control, stop  # noqa: F401
from tests.ports import free_port
from tests.runner.support import ROOT, House, command, service
from tests.stages import wheels
from tests.stages.bench import write
from tests.stages.repositories import Repositories, repositories
from tests.stages.test_kernel import PROBE, SETUP, TOML, C
from tests.waiting import until

APP = """
import http.server, sys
print("started with", *sys.argv[2:], flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
HANG = "import subprocess; subprocess.run(['sleep', '4200'])"
BRUTE = """
import os, subprocess, sys
os.environ.pop("PIP_CONSTRAINT")
open(sys.prefix + "/pip.conf", "w").close()
words = ["--isolated", "--index-url", "{url}", "fake-torch==1.0"]
subprocess.check_call([sys.executable, "-m", "pip", "install", *words])
"""


@pytest.fixture
def repos(tmp_path: Path) -> Iterator[Repositories]:
    with repositories(tmp_path / "repositories") as found:
        yield found


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "index"
    for version in ("1.0", "2.0"):
        wheels.add(folder, "fake-torch", version)
    wheels.add(folder, "old-fashioned", "1.0", ["fake-torch<2"])
    with wheels.served(folder) as address:
        yield f"{address}/simple"


def kernel(id: str, within: float, consequence: str | None) -> Stage:
    spec = KernelSpec(id, "app", Code(path=id, digest=id), "probe.py", adds={"app": [f"--{id}"]})
    needs = command("", "", "env").needs
    return Stage(
        id, "kernel", id.capitalize(), needs, spec, within=within, on_failure="degrade", consequence=consequence
    )


def unlucky(root: Path, index: str, repos: Repositories) -> House:
    house = House(root)
    hangs = {"hangs/tiny.c": C, "hangs/setup.py": SETUP.format(extra=HANG), "hangs/pyproject.toml": TOML}
    write(house.paths.files, {"probe.py": PROBE, **hangs})
    write(house.paths.source("app"), {"main.py": APP})
    nodes = [
        NodeSpec(
            "brute", Code(repos.smart("brute"), "main", repos.commit("brute", {"install.py": BRUTE.format(url=index)}))
        ),
        NodeSpec(
            "old",
            Code(repos.smart("old"), "main", repos.commit("old", {"requirements.txt": "old-fashioned\n"})),
            optional=True,
            consequence="the Old workflow will not load",
        ),
    ]
    packages = ["setuptools", "fake-torch==2.0"]
    env = PythonSpec("app", sys.executable, packages, index={"local": index}, freeze=["setuptools", "fake-torch"])
    needs = command("", "", "env").needs
    house.stages[:] = [
        Stage("env", "python", "Packages", [], env),
        Stage(
            "nodes",
            "nodes",
            "Nodes",
            needs,
            NodesSpec("app/nodes", "app", ["fake-torch"], [], {"local": index}, "first-index", nodes),
        ),
        kernel("hangs", 2.0, "pictures take twice as long"),
        command("broken", "echo 'error: no luck' >&2; exit 3"),
        command("next", "true", "broken"),
    ]
    words = [sys.executable, str(house.paths.source("app") / "main.py"), "{port}"]
    app = {"port": free_port(), "listen": free_port(), "ready": ReadySpec(http="/", within=30.0)}
    house.services[:] = [
        service("app", words, "nodes", "hangs?", **app),
        service("dies", ["sh", "-c", "echo 'ImportError: No module named torch' >&2; exit 1"], "env", restarts=0),
        service("viewer", ["true"], "next"),
    ]
    house.more |= {"jupyter": JupyterSpec(free_port()), "portal_port": free_port()}
    house.write()
    return house


@contextmanager
def booted(house: House, environment: Path, **environ: str) -> Iterator[None]:
    """All that a container starts, as it is rendered for one: supervisord, JupyterLab, the portal and the runner.

    `environment`: of control."""
    home = Path(house.paths.home)
    files = render.runtime(house.plan, load.load("demo").manifest)
    for name, target in render.places(files).items():
        render.put(home / target, files[name], program=name == "firstlight")
    (home / "control").symlink_to(environment)
    (home / "init").symlink_to(ROOT / "init")
    with (house.root / "out").open("wb") as out:
        argv, env = [str(home / "bin" / "firstlight"), "boot"], house.environ(**environ)
        process = subprocess.Popen(argv, env=env, stdout=out, stderr=out, start_new_session=True)
    try:
        yield
    finally:
        stop(process, Path(house.paths.run, "supervisor.sock"))


def answers(url: str) -> bool:
    with suppress(URLError, OSError), urlopen(url, timeout=5) as reply:
        return bool(reply.status == 200)
    return False


def test_everything_goes_wrong(tmp_path: Path, index: str, repos: Repositories, control: Path) -> None:  # noqa: F811
    house = unlucky(tmp_path / "root", index, repos)
    lab = f"http://127.0.0.1:{house.plan.jupyter.port}/api"
    with booted(house, control, PIP_INDEX_URL=index):
        until(lambda: answers(lab), within=30, what="JupyterLab")
        watch = Watch(lab)
        with watch.asking():
            house.until({"service:app": "ready", "service:dies": "failed", "service:viewer": "failed"}, within=60)
            house.until_phase("degraded")
            watch.up()
        assert all(watch.answers), "JupyterLab answers without a break"
        shown = " ".join(house.firstlight("status").stdout.split())
        assert subprocess.run(["pgrep", "-f", "^sleep 4200"], capture_output=True, check=False).returncode == 1
        expected = {
            "hangs": ("degraded", "hangs could not be compiled: uv did not end in time", "pictures take twice as long"),
            "nodes": (
                "degraded",
                "brute: moved fake-torch from 2.0 to 1.0; put back",
                "the Old workflow will not load",
            ),
            "broken": (
                "failed",
                "error: no luck",
                "Viewer cannot start; JupyterLab and everyth",
            ),
        }
        for name, (state, message, consequence) in expected.items():
            stage = house.stage(name)
            assert (stage.state, stage.repair) == (state, f"firstlight retry {name}")
            assert message in stage.message and stage.consequence is not None and consequence in stage.consequence
            for text in (message, consequence, f"to repair: firstlight retry {name}"):
                assert text in shown
        blocked, viewer, dies = house.stage("next"), house.service("viewer"), house.service("dies")
        assert blocked.state == "blocked" and blocked.consequence and blocked.repair == "firstlight retry broken"
        assert viewer.consequence and viewer.repair == "firstlight retry broken"
        # On a busy machine it lives long enough to count as one that ran and ended.
        died = r"ended (at once|\d+ times within ten minutes), last with: ImportError: No module named torch"
        assert re.match(died, dies.message)
        assert re.search(f"dies failed: {died}", shown) and "to repair: firstlight retry service:dies" in shown
        log = Path(house.paths.logs, "app.log").read_text()
        assert "started with\n" in log, "without the arguments of kernels that do not work"
