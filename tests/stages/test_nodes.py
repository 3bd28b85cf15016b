"""Custom nodes: what they may bring, and what they may not move."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from init.failure import StageFailed
from init.specs import Code, NodeSpec, NodesSpec, PythonSpec
from init.stages.environment import Environment
from tests.stages import wheels
from tests.stages.bench import Bench, ran, write
from tests.stages.repositories import Repositories

Index = tuple[Path, str]
PIP = "import subprocess, sys\nsubprocess.check_call([sys.executable, '-m', 'pip', 'install', {words}])\n"


@pytest.fixture
def app(bench: Bench, index: Index) -> Bench:
    """A bench with an environment whose `fake-torch` is frozen, and an app with a folder for nodes."""
    folder, url = index
    for version in ("1.0", "2.0"):
        wheels.add(folder, "fake-torch", version, ["fake-cuda==" + version])
        wheels.add(folder, "fake-cuda", version)
        wheels.add(folder, "helper", version)
    wheels.add(folder, "old-fashioned", "1.0", ["fake-torch<2"])
    wheels.add(folder, "shadow", "1.0", files={"shared/part.py": "shadow = True\n"})
    wheels.add(folder, "proper", "1.0", files={"shared/part.py": "proper = True  # and longer\n"})
    bench.environ = {"PIP_INDEX_URL": url}
    packages = ["fake-torch==2.0", "helper==1.0", "proper"]
    bench.run(PythonSpec("app", sys.executable, packages, index={"local": url}, freeze=["fake-torch"]), "app")
    write(bench.paths.source("app"), {"main.py": ""})
    return bench


def spec(index: Index, *nodes: NodeSpec, forbid: list[str] | None = None) -> NodesSpec:
    return NodesSpec("app/nodes", "app", ["fake-torch"], forbid or [], {"local": index[1]}, "first-index", list(nodes))


def node(
    repos: Repositories, name: str, files: Mapping[str, str | None], *packages: str, optional: bool = False
) -> NodeSpec:
    commit = repos.commit(name, files)
    return NodeSpec(name, Code(repos.smart(name), "main", commit), list(packages), optional)


def installed(bench: Bench) -> dict[str, str]:
    found = Environment(bench.context(PythonSpec("app")), "app").installed()
    return {name: version for name, version in found.items() if name != "pip"}


BASE = {"fake-torch": "2.0", "fake-cuda": "2.0", "helper": "1.0", "proper": "1.0"}


def test_nodes_are_fetched_and_installed(app: Bench, index: Index, repos: Repositories) -> None:
    wheels.add(index[0], "extra", "1.0")
    wheels.add(index[0], "unlisted", "1.0")
    script = "import os, pathlib; pathlib.Path('ran').write_text(os.environ['COMFYUI_PATH'])\n"
    files = {"requirements.txt": "# needs\nhelper>=2 # newer\nextra\nhelper>=2\n", "install.py": script}
    one = node(repos, "one", files, "unlisted")
    two = node(repos, "two", {"__init__.py": ""})
    outcome = app.run(spec(index, one, two))
    assert outcome.state == "done" and outcome.message == "2 of 2 nodes"
    assert installed(app) == {**BASE, "helper": "2.0", "extra": "1.0", "unlisted": "1.0"}
    assert (app.paths.source("app/nodes/one") / "ran").read_text() == str(app.paths.source("app"))
    facts = outcome.result["nodes"]
    assert facts[0]["commit"] == one.code.commit and facts[0]["state"] == "done"
    assert facts[0]["changed"] == {"extra": ["", "1.0"], "helper": ["1.0", "2.0"], "unlisted": ["", "1.0"]}
    assert facts[1]["changed"] == {}
    lines = [line for line in ran(app.log, "pip install") if "nodes.in" in line]
    assert len(lines) == 3, "one installation for each requirement that is not met yet"
    assert all(path.exists() for path in outcome.made)

    before = app.log
    again = app.run(spec(index, one, two))
    assert again.result == outcome.result
    assert not ran(app.log[len(before) :], "install")

    newer = node(repos, "one", {"requirements.txt": "extra\n"})
    assert app.run(spec(index, newer, two)).result["nodes"][0]["commit"] == newer.code.commit
    assert len(ran(app.log[len(before) :], "install.py")) == 1, "a new commit is installed again, the other node is not"


def test_nodes_that_want_another_torch(app: Bench, index: Index, repos: Repositories) -> None:
    lines = node(repos, "lines", {"requirements.txt": "fake_torch==1.0\nhelper==2.0\n"})
    pip = node(repos, "pip-in-script", {"install.py": PIP.format(words="'fake-torch==1.0'")}, optional=True)
    needs = node(repos, "needs-old", {"requirements.txt": "old-fashioned\n"}, optional=True)
    words = "'--isolated', '--index-url', '" + index[1] + "', 'fake-torch==1.0'"
    script = "import os\nos.environ.pop('PIP_CONSTRAINT')\nopen(sys.prefix + '/pip.conf', 'w').close()\n"
    brute = node(repos, "brute", {"install.py": "import sys\n" + script + PIP.format(words=words)})
    outcome = app.run(spec(index, lines, pip, needs, brute))
    facts = {fact["name"]: fact for fact in outcome.result["nodes"]}
    assert installed(app) == {**BASE, "helper": "2.0"}, "whatever they did, torch and its libraries are what they were"
    assert facts["lines"]["state"] == "done" and facts["lines"]["message"] == "asks for fake_torch==1.0, kept 2.0"
    assert facts["pip-in-script"]["state"] == "failed" and "install.py failed" in facts["pip-in-script"]["message"]
    assert "fake-torch==2.0" in facts["pip-in-script"]["message"] or "conflict" in facts["pip-in-script"]["message"]
    assert facts["needs-old"]["state"] == "failed"
    assert "old-fashioned (requirements.txt:1) could not be installed" in facts["needs-old"]["message"]
    assert facts["brute"]["state"] == "done"
    assert facts["brute"]["message"] == "moved fake-torch from 2.0 to 1.0; put back"
    assert outcome.state == "degraded"
    assert outcome.consequence == "pip-in-script will not work; needs-old will not work"
    assert "brute: moved fake-torch from 2.0 to 1.0; put back" in outcome.message
    python = [str(app.paths.env("app") / "bin/python"), "-m", "pip", "install", "--index-url", index[1]]
    by_hand = subprocess.run([*python, "fake-torch==1.0"], capture_output=True, text=True, check=False)
    assert by_hand.returncode != 0, "what the script took away from pip is there again"
    assert "fake-torch==2.0" in by_hand.stdout + by_hand.stderr


def test_a_required_node_that_fails(app: Bench, index: Index, repos: Repositories) -> None:
    good = node(repos, "good", {"requirements.txt": "helper==2.0"})
    bad = node(repos, "bad", {"install.py": "import sys; print('error: no luck'); sys.exit(4)"})
    gone = NodeSpec(
        "gone", Code(repos.dumb("gone"), "main"), optional=True, consequence="the Gone workflow will not load"
    )
    with pytest.raises(StageFailed) as failure:
        app.run(spec(index, bad, gone, good))
    assert "bad: install.py failed: python ended with 4" in failure.value.message and "no luck" in failure.value.message
    assert "gone: there is no repository at" in failure.value.message
    assert failure.value.consequence == "bad will not work; the Gone workflow will not load"
    states = {fact["name"]: fact["state"] for fact in failure.value.result["nodes"]}
    assert states == {"bad": "failed", "gone": "failed", "good": "done"}, "the others are installed all the same"
    assert installed(app)["helper"] == "2.0"


def test_a_node_that_could_not_be_fetched_is_fetched_once_more(app: Bench, index: Index, repos: Repositories) -> None:
    good = node(repos, "good", {"__init__.py": ""})
    commit = repos.commit("shaky", {"__init__.py": ""})
    outcome = app.run(spec(index, good, NodeSpec("shaky", Code(f"{repos.address}/shaky/shaky", "main", commit))))
    assert (outcome.state, outcome.message) == ("done", "2 of 2 nodes")
    assert (app.paths.source("app/nodes/shaky") / "__init__.py").exists()


def test_forbidden_packages_are_taken_out_again(app: Bench, index: Index, repos: Repositories) -> None:
    listed = node(repos, "listed", {"requirements.txt": "shadow\n"})
    words = "'--isolated', '--index-url', '" + index[1] + "', 'shadow'"
    script = "import os, sys\nos.environ.pop('PIP_CONSTRAINT')\nopen(sys.prefix + '/pip.conf', 'w').close()\n"
    brute = node(repos, "brute", {"install.py": script + PIP.format(words=words)})
    outcome = app.run(spec(index, listed, brute, forbid=["shadow"]))
    assert installed(app) == BASE
    facts = {fact["name"]: fact for fact in outcome.result["nodes"]}
    assert facts["brute"]["message"] == "installed shadow, which must not be there; removed"
    site = Environment(app.context(PythonSpec("app")), "app").packages
    assert "proper" in (site / "shared/part.py").read_text(), "what it had overwritten is back"


def test_what_was_moved_behind_our_back_is_put_back(app: Bench, index: Index, repos: Repositories) -> None:
    environment = Environment(app.context(PythonSpec("app")), "app", {"local": index[1]})
    environment.freeze_file.rename(hidden := environment.path / "hidden")
    environment.install(["fake-torch==1.0"])
    hidden.rename(environment.freeze_file)
    outcome = app.run(spec(index, node(repos, "one", {})))
    assert installed(app)["fake-torch"] == "2.0"
    assert outcome.message == "1 of 1 nodes; fake-torch was 1.0; put back"


def test_nodes_without_their_app(bench: Bench, index: Index) -> None:
    with pytest.raises(StageFailed, match="the environment app does not exist") as failure:
        bench.run(spec(index))
    assert failure.value.hint == "firstlight retry app"
    bench.run(PythonSpec("app", sys.executable), "app")
    with pytest.raises(StageFailed, match="the source app is not there"):
        bench.run(spec(index))
    for into in ("../nodes", "/nodes", "app", "app/../../nodes"):
        with pytest.raises(StageFailed, match="leaves its source"):
            bench.run(NodesSpec(into, "app", [], [], {}, "first-index", []))
