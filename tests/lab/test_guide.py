"""The guide's cells as plain text, with a real runner: what they begin, and the three sentences that they end with."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from firstlight_lab import guide, tools

from init.paths import Paths
from init.plan import DESKTOP, Stage
from init.specs import Code, GitSpec, InsteadSpec, PythonSpec
from init.stages import upload
from tests.ports import free_port
from tests.runner.support import House, command, service, stop, supervised
from tests.waiting import until

Cell = Callable[[Callable[[], None]], str]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    house = House(tmp_path / "house")
    monkeypatch.setenv("FIRSTLIGHT_RUN", house.paths.run)
    monkeypatch.setenv("FIRSTLIGHT_STATE", str(house.paths.state))
    return house


@pytest.fixture
def cell(capsys: pytest.CaptureFixture[str]) -> Iterator[Cell]:
    def run(call: Callable[[], None]) -> str:
        capsys.readouterr()
        call()
        said = capsys.readouterr().out
        return said[said.rfind("What is so: ") :]

    yield run


@contextmanager
def screen(display: str) -> Iterator[None]:
    """Something that answers where this display does."""
    place = Path("/tmp/.X11-unix", f"X{display.removeprefix(':')}")
    place.parent.mkdir(exist_ok=True)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(place))
            server.listen()
            yield
    finally:
        place.unlink(missing_ok=True)


def source(house: House, *uploads: str) -> Stage:
    """Code that the image ships."""
    folder = Path(house.paths.home, "files", "code")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.py").write_text("of the image")
    spec = GitSpec("app", Code(path="code"), [], InsteadSpec("Own", "main.py"), list(uploads))
    return Stage("app", "git", "Source app", [], spec, uses="net")


def test_a_cell_begins_its_part_and_says_how_it_ended(house: House, cell: Cell) -> None:
    house.stages = [source(house, "dependencies"), command("other", "true")]
    house.write()
    with house.running(SETUP="guided"):
        until(lambda: "waits for you" in house.stage("app").message, what="it waits for the user")
        assert "This machine was started with SETUP=guided: each step begins when its cell is run." in cell(
            guide.overview
        )
        for _ in range(2):
            said = cell(guide.code)
            assert said.startswith("What is so: Source app: "), said
            assert "What it means: The image's own code is used.\n" in said
            assert f"your own code goes to {house.workspace}/Own; files that the app looks for go to" in said
        house.until({"app": "done", "other": "waiting"})

        (house.workspace / "Own").mkdir()
        assert "your folder Own is empty" in cell(guide.code)
        (house.workspace / "Own" / "main.py").write_text("mine")
        (house.workspace / "dependencies" / "tool").write_text("")
        said = cell(guide.code)
        assert f"your code in {house.workspace}/Own is used, as it is" in said
        assert "What it means: Your code is used, as it is: git does not touch it." in said
        assert f"{house.workspace}/dependencies holds 1 file of yours." in said
        (house.workspace / "Own" / "main.py").unlink()
        assert "your code in Own has no main.py" in cell(guide.code)


def test_what_failed_is_said_and_repaired(house: House, cell: Cell) -> None:
    house.stages = [command("shaky", "test -e good", consequence="The app does not start.")]
    house.services = [service("app", ["sleep", "600"], "shaky")]
    house.write()
    with supervised(house, runner=True):
        house.until({"shaky": "failed"})
        said = cell(guide.launch)
        assert "What is so: App: cannot start: shaky failed\n" in said
        assert "What to do: Run the repair cell below (`guide.repair()`), or `firstlight retry shaky`" in said
        said = cell(guide.repair)
        assert "What it means: The app does not start." in said and "Shaky: " in said
        (house.workspace / "good").touch()
        assert cell(guide.repair).startswith("What is so: Repaired: shaky.\n")
        assert cell(guide.launch).startswith("What is so: App runs.\n")
        assert cell(guide.repair).startswith("What is so: Nothing has failed.\n")


def test_an_app_with_a_window_is_found_on_the_desktop(house: House, cell: Cell) -> None:
    display, sleep = f":{20_000 + os.getpid()}", ["sleep", "600"]
    drawn = {"environment": {"DISPLAY": display}}
    house.services = [
        service("painter", sleep, "service:desktop", **drawn),
        service("desktop-web", sleep, "service:desktop", **drawn, port=free_port(), listen=free_port()),
        service("desktop", sleep),
        service("desktop-session", sleep, "service:desktop", **drawn),
    ]
    house.write()
    with screen(display), supervised(house, runner=True):
        house.until_phase("ready")
        port = house.service("desktop-web").port
        assert house.service("painter").url == house.service("desktop-web").url == f":{port}/"
        assert house.service("desktop").url is None and house.service("desktop-session").url is None
        said = cell(guide.launch)
        assert said.startswith("What is so: Painter runs.\n"), said
        assert "What to do: Painter: its window is on the desktop; open that from the panel on the right" in said


def test_it_knows_the_desktop_by_its_names() -> None:
    assert set(guide.DESKTOP) == {f"service:{name}" for name in DESKTOP}


@contextmanager
def hearing(number: signal.Signals) -> Iterator[None]:
    """A kernel hears it, even where whoever runs the tests is deaf."""
    before = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def test_whoever_stops_watching_stops_nothing(house: House, cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    house.stages = [source(house), command("slow", "while [ ! -e open ]; do sleep 0.05; done", "app")]
    house.services = [service("app", ["sleep", "600"], "slow")]
    house.write()
    with house.running():
        house.until({"slow": "running"})
        with monkeypatch.context() as patched, hearing(signal.SIGINT):
            patched.setattr("firstlight_lab.cell.time.sleep", lambda _: os.kill(os.getpid(), signal.SIGINT))
            said = cell(guide.launch)
        assert "What is so: You stopped watching.\nWhat it means: The work itself goes on." in said
        assert house.states()["slow"] == "running"
        (house.workspace / "open").touch()
        house.until({"slow": "done"})


def test_without_a_runner_it_says_so(house: House, cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstlight_lab.cell.SILENT_FOR", 2.0)
    said = cell(guide.environment)
    assert said.startswith("What is so: Nothing was started here yet: ") or "The runner does not run" in said
    process = house.start()
    until(lambda: house.snapshot(), what="a state")
    stop(process)
    assert "The runner does not run" in cell(guide.models)


def test_an_image_without_these_parts_says_that(house: House, cell: Cell) -> None:
    house.stages = [command("only", "true")]
    house.write()
    with house.running():
        house.until_phase("ready")
        assert "This image has no Python environment of its own." in cell(guide.environment)
        assert "This image has its own list of packages, and takes no other." in cell(guide.requirements)
        assert "No model set is chosen." in cell(guide.models)
        assert "This image runs no app." in cell(guide.launch)
        assert "There is no environment yet." in cell(guide.cuda)


NVIDIA = """#!/bin/sh
case "$SAYS" in
  gpu) echo "NVIDIA GeForce RTX 5090, 570.86, 32607 MiB, 12 MiB, 3 %";;
  two) echo "A, 1, 2 MiB, 3 MiB, 4 %"; echo "B, 1, 2 MiB, 3 MiB, 4 %";;
  gone) echo "Unable to determine the device handle for GPU 0000:01:00.0: Unknown Error"; exit 255;;
esac
"""


@pytest.mark.parametrize(
    ("says", "words", "fine"),
    [
        ("gpu", "NVIDIA GeForce RTX 5090, driver 570.86, 12 MiB of 32607 MiB in use, 3 % busy.", True),
        ("two", "A, driver 1, 3 MiB of 2 MiB in use, 4 % busy; B, driver 1", True),
        ("gone", "The driver shows no GPU: Unable to determine the device handle", False),
        ("nothing", "The driver shows no GPU: nvidia-smi says nothing.", False),
    ],
)
def test_the_gpu_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, words: str, fine: bool
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(NVIDIA)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SAYS", says)
    text, found = tools.gpu()
    assert (text.startswith(words), found) == (True, fine), text


PACKAGES = {
    "torch": "class version: cuda = '12.4'\nclass cuda:\n    is_available = staticmethod(lambda: {usable})\n"
    "class backends:\n    class cudnn:\n        version = staticmethod(lambda: 90100)\n",
    "onnxruntime": "def get_available_providers(): return ['CUDAExecutionProvider', 'CPUExecutionProvider']\n",
}


@pytest.mark.parametrize("usable", [True, False])
def test_cuda_as_the_packages_see_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usable: bool) -> None:
    packages = tmp_path / "packages"
    for name, version in (("torch", "2.4.1+cu124"), ("onnxruntime", "1.20.0"), ("onnxruntime-gpu", "1.20.0")):
        info = packages / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    for name, text in PACKAGES.items():
        (packages / f"{name}.py").write_text(text.replace("{usable}", str(usable)))
    (tmp_path / "app" / "bin").mkdir(parents=True)
    python = tmp_path / "app" / "bin" / "python"
    python.write_text('#!/bin/sh\nPYTHONPATH=$FOUND exec /usr/bin/env python3 "$@"\n')
    python.chmod(0o755)
    (python.parent / "activate").write_text(f"export FOUND={packages}\n")
    (tmp_path / "app" / "conda-meta").mkdir()
    (tmp_path / "app" / "conda-meta" / "cudnn-9.1.0-h0_1.json").write_text("{}")
    text, found = tools.cuda(tmp_path / "app")
    assert found is usable
    assert "torch 2.4.1+cu124, onnxruntime-gpu 1.20.0, cudnn-9.1.0, made for CUDA 12.4, cuDNN 90100" in text
    assert "onnxruntime for the processor stands in the way of the one for the GPU" in text
    assert text.endswith(f"a GPU is {'reached' if usable else 'not reached'}.")
    python.write_text("#!/bin/sh\necho broken >&2; exit 1\n")
    assert tools.cuda(tmp_path / "app") == ("app: its Python does not answer: broken.", False)


@pytest.mark.parametrize("content", [None, "", "torch\n", "x" * 2_000_000], ids=["none", "empty", "one", "too large"])
def test_the_users_requirements_are_known_by_what_the_runner_notes(tmp_path: Path, content: str | None) -> None:
    """Otherwise the cell would begin the environment again whenever it is run."""
    if content is not None:
        (tmp_path / "requirements.txt").write_text(content)
    noted = upload.digest(Paths(workspace=str(tmp_path)), PythonSpec("app", requirements_from="requirements.txt"))
    assert guide._digest(tmp_path / "requirements.txt") == noted


def test_a_link_to_the_whole_machine_is_not_counted_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guide, "MOST", 10)
    (tmp_path / "dependencies").symlink_to(tmp_path / "all")
    for number in range(30):
        (tmp_path / "all" / str(number)).mkdir(parents=True)
        (tmp_path / "all" / str(number) / "file").touch()
    assert guide._count(tmp_path / "dependencies") == 10
