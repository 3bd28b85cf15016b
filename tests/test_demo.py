"""`make demo` where nobody has worked yet, as its first user meets it: from nothing to the app, and on from there."""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from images import panel
from init import state, views
from init.fetch.verify import digest
from manifests import load, lock
from tests.terminal import CTRL_C, Terminal
from tests.waiting import until

ROOT = Path(__file__).resolve().parent.parent
FOREIGN = re.compile(r"FIRSTLIGHT_|HF_|JUPYTER_|MAKE|MFLAGS|MODEL_SETS|NB_|OPEN_BUTTON_|WEB_")
"""Variables of whoever runs the tests that would make it another demo."""
RARE = ("home/control", "disk", "workspace/models", "workspace/.firstlight/wheels", "workspace/.firstlight/records")
"""What is installed, compiled and fetched, below `.demo`."""


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """The files of this checkout, as they are now, in another folder. The panel's wheel goes by the content of its
    sources: the one that is here already is that of the copy too."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    folder = tmp_path / "checkout"
    for name in filter(None, os.fsdecode(listed.stdout).split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    wheel = panel.wheel(os.environ)
    shutil.copytree(wheel.parent, folder / wheel.parent.relative_to(ROOT))
    yield folder
    shutil.rmtree(folder)  # a gigabyte


class Browser:
    """Opens addresses, and keeps their cookies."""

    def __init__(self) -> None:
        self._cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())

    def open(self, url: str) -> tuple[int, bytes]:
        """Status, 0 when nothing answers, and body."""
        request = urllib.request.Request(url, headers={"Accept": "text/html"})
        try:
            with urllib.request.build_opener(self._cookies).open(request, timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError as error:
            return 0, str(error).encode()


class Demo:
    """One `make demo`."""

    def __init__(self, checkout: Path, terminal: Terminal):
        self.checkout, self.terminal, self.root = checkout, terminal, checkout / ".demo"
        self.browser = Browser()

    def address(self, title: str) -> str:
        """As it was printed: JupyterLab's, or that with the title."""
        self.terminal.shows("Ctrl-C stops everything", within=600)
        pattern = r"^  (http://\S+/lab\?token=\S+)" if title == "JupyterLab" else rf"^  {title}: (http://\S+)"
        found = re.search(pattern, self.terminal.text, re.MULTILINE)
        assert found, self.terminal.text
        return found[1]

    def below(self, title: str, path: str) -> str:
        return self.address(title).partition("?")[0] + path

    def processes(self) -> dict[int, dict[bytes, bytes]]:
        """The variables of every process that has to do with this checkout."""
        found = {}
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                variables = (entry / "environ").read_bytes() if entry.name.isdigit() else b""
                if os.fsencode(self.checkout) in variables + (entry / "cmdline").read_bytes():
                    found[int(entry.name)] = dict(
                        line.split(b"=", 1) for line in variables.split(b"\0") if b"=" in line
                    )
        return found

    def hub(self, **order: Any) -> Any:
        """Tell the demo's own model hub to do something."""
        (url,) = {v[b"HF_ENDPOINT"] for v in self.processes().values() if b"HF_ENDPOINT" in v}
        request = urllib.request.Request(f"{url.decode()}/_control", json.dumps(order).encode())
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def settled(self) -> state.Snapshot | None:
        found = state.read(self.root / "workspace" / ".firstlight")
        return found if found and views.settled(found) else None

    def made(self) -> dict[str, tuple[int, int]]:
        """Every file that was installed, compiled or fetched: which one it is, and when it was written. Not what
        Python writes down of a module when somebody imports it first."""
        found = [self.checkout / ".venv" / "ready", *(file for name in RARE for file in (self.root / name).rglob("*"))]
        files = [file for file in found if not file.is_dir() and "__pycache__" not in file.parts]
        return {str(file): (file.lstat().st_ino, file.lstat().st_mtime_ns) for file in files}


@contextmanager
def demo(checkout: Path) -> Iterator[Demo]:
    """Runs, and ends by Ctrl-C."""
    environ = {name: value for name, value in os.environ.items() if not FOREIGN.match(name)}
    environ["FIRSTLIGHT_DEMO_RATE"] = "0.5"
    with Terminal(["make", "demo"], checkout, environ) as terminal:
        running = Demo(checkout, terminal)
        yield running
        terminal.press(CTRL_C)
        assert terminal.ended(within=90) == 130, terminal.text
        assert "nothing of it runs any more" in terminal.text
        assert running.processes() == {}


@pytest.mark.timeout(1200)
def test_from_nothing_to_the_app_and_on_from_there(checkout: Path) -> None:
    locked = {key: file for key, file in lock.read(load.load("demo")).models.items() if "/mural/" not in key}
    with demo(checkout) as first:
        status, page = first.browser.open(first.address("JupyterLab"))
        assert (status, b"jupyter-config-data" in page) == (200, True), page
        status, page = first.browser.open(first.address("Lightbox"))
        assert (status, b'data-page="holding"' in page) == (503, True), page
        first.hub(do="limit", total=None)
        until(lambda: first.browser.open(first.address("Lightbox"))[0] == 200, 240, every=0.5, what="Lightbox answers")
        before = until(first.settled, 240, what="everything has ended")
        assert before and before.phase == "ready", first.terminal.text
        status, page = first.browser.open(first.address("Lightbox"))
        assert (status, b"<title>Lightbox</title>" in page) == (200, True), page
        pictures = set()
        for key, file in locked.items():
            name = "/".join(key.partition("@")[0].split("/")[-2:])
            assert digest(first.root / "workspace" / "models" / name) == file.sha256
            status, picture = first.browser.open(first.below("Lightbox", f"picture/{name}?width=64"))
            assert (status, picture[:4]) == (200, b"\x89PNG"), name
            pictures.add(picture)
        assert len(pictures) == len(locked) == 7
        assert json.loads(first.browser.open(first.below("Lightbox", "files"))[1])["kernel"], "it was compiled"
        assert first.hub(do="sent") >= sum(file.size or 0 for file in locked.values())
        made = first.made()
        assert all(any(f"/.demo/{name}/" in file for file in made) for name in RARE)

    with demo(checkout) as again:
        status, _ = again.browser.open(again.address("JupyterLab"))
        assert status == 200
        until(lambda: again.browser.open(again.address("Lightbox"))[0] == 200, 240, every=0.5, what="Lightbox answers")
        after = until(lambda: (now := again.settled()) and now.boot != before.boot and now, 240, what="it is settled")
        assert after and after.phase == "ready", again.terminal.text
        assert again.hub(do="sent") == 0
        assert again.made() == made, "nothing is installed or compiled twice"
