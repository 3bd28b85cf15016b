"""One boot at a time, and one supervisord, on this machine: the real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from init import bootlock, echo
from init.paths import Paths
from tests.portal import house
from tests.portal.conftest import CLI, start_stack
from tests.waiting import until


def supervisords(made: house.House) -> list[int]:
    return bootlock._running(made.plan.paths.control / "bin" / "supervisord", made.home / "etc" / "supervisord.conf")


def test_a_supervisord_that_a_killed_boot_has_left_becomes_no_second_one(control: Path, tmp_path: Path) -> None:
    made = house.build(tmp_path / "house", control, cli=CLI)
    python, config = control / "bin" / "python", made.home / "etc" / "supervisord.conf"
    environ = {"PATH": os.environ["PATH"], "FIRSTLIGHT_SSH": "false", "FIRSTLIGHT_PLAN": str(made.home / "plan.json")}
    # As it would be when the boot died before the kernel was asked to end the child with it.
    command: list[str | Path] = [python, "-I", made.plan.paths.control / "bin" / "supervisord", "-n", "-c", config]
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, start_new_session=True) as left:
        try:
            until(lambda: (made.run / "supervisord.pid").exists(), what="supervisord")
            # Between fork and exec a child looks like supervisord, too.
            until(lambda: supervisords(made) == [left.pid], what="one supervisord")
            running = start_stack(made, {})
            try:
                assert left.wait(10) == -signal.SIGKILL
                until(lambda: len(supervisords(made)) == 1, what="one supervisord")
            finally:
                running.stop()
        finally:
            left.kill()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which has the lock of `tmp_path`."""
    code = (
        "import sys, time; from init import bootlock; from init.paths import Paths;"
        " print(bootlock.take(Paths(run=sys.argv[1])) is not None, flush=True); time.sleep(1e6)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, cwd=house.REPO, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "True\n"
        yield process
        process.kill()


def test_a_boot_that_is_killed_gives_the_lock_back(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    assert bootlock.take(Paths(run=str(tmp_path))) is None
    other.kill()
    other.wait(10)
    handle = bootlock.take(Paths(run=str(tmp_path)))
    assert handle is not None
    os.close(handle)


def test_the_container_s_own_program_waits_for_its_turn(
    tmp_path: Path, other: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The container would end with it."""
    assert bootlock.turn(Paths(run=str(tmp_path)), "") is False
    monkeypatch.setattr(os, "getppid", lambda: 1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(bootlock.turn, Paths(run=str(tmp_path)), "")
        said: list[str] = []

        def whole() -> bool:
            said.append(capsys.readouterr().out)
            return "".join(said).endswith("already: this one takes over when that one ends\n")

        until(whole, what="it says so")
        assert not waiting.done()
        other.kill()
        assert waiting.result(10) is True


def test_a_lock_is_handed_on(tmp_path: Path) -> None:
    paths = Paths(run=str(tmp_path))
    handle = bootlock.take(paths)
    assert handle is not None
    os.set_inheritable(handle, True)
    assert bootlock._inherited(paths, str(handle)) and not os.get_inheritable(handle)
    with (tmp_path / "other").open("w") as other:
        for text in (str(other.fileno()), "999", "x", ""):
            assert not bootlock._inherited(paths, text)
    os.close(handle)


class Broken:
    def write(self, text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError


def test_a_log_that_nobody_reads_is_no_reason_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "boot.log"
    for stream in (Broken(), sys.stdout):
        print("see http://x/lab?token=secret%20 and /?a=b&token=secret&c", file=echo.Twice(stream, log))  # type: ignore[arg-type]
    assert log.read_text() == "see http://x/lab?token=… and /?a=b&token=…&c\n" * 2
    assert "token=secret%20" in capsys.readouterr().out
