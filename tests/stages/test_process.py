"""Programs of stages, and what they leave behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from init import children
from init.failure import StageFailed
from init.priority import idle_prefix
from init.process import Runner, clean, gist
from tests.waiting import until

ENVIRON = {
    "PATH": os.environ["PATH"],
    "HF_TOKEN": "hf_abcdefghijkl",
    "CIVITAI_TOKEN": "civitai-secret",
    "JUPYTER_PASSWORD": "jupyter-secret",
    "OPEN_BUTTON_TOKEN": "button-secret",
    "WEB_PASSWORD": "web-secret",
    "RUNPOD_API_KEY": "runpod-secret",
    "FIRSTLIGHT_PLAN": "/opt/plan.json",
    "PYTHONPATH": "/opt/firstlight",
    "LANG": "C.UTF-8",
}


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path / "logs" / "stage.log", tmp_path / "run", ENVIRON)


def alive(word: str) -> list[int]:
    """Processes that have this word in their command line."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if word.encode() in words:
                found.append(int(folder.name))
    return found


def test_output_goes_to_the_log_and_to_the_listener(runner: Runner) -> None:
    heard: list[str] = []
    assert (
        runner(["sh", "-c", "echo one; printf '10%%\\r100%%\\n'; echo two >&2; printf three"], on_line=heard.append)
        == 0
    )
    assert heard == ["one", "100%", "two", "three"]
    assert runner.log.read_text().splitlines()[1:] == heard


def test_a_build_sees_every_line_whoever_else_listens(runner: Runner) -> None:
    shown: list[str] = []
    heard: list[str] = []
    runner.echo = shown.append
    runner(["echo", "one"])
    runner(["echo", "two"], on_line=heard.append)
    assert (shown, heard) == (["one", "two"], ["two"])


def test_the_environment_holds_no_token_and_nothing_of_the_runner(runner: Runner) -> None:
    heard: list[str] = []
    runner(["env"], env={"EXTRA": "1"}, on_line=heard.append)
    names = {line.partition("=")[0] for line in heard}
    assert names == {"PATH", "LANG", "EXTRA", children.MARK}
    assert clean({"UV_INDEX_PASSWORD": "x", "TOKENIZERS_PARALLELISM": "0"}) == {"TOKENIZERS_PARALLELISM": "0"}


def test_secrets_are_not_written(runner: Runner) -> None:
    with pytest.raises(StageFailed) as failure:
        runner(["sh", "-c", "echo error: hf_abcdefghijkl https://me:pw@host/file?sig=123 refused; exit 1"])
    for text in (failure.value.message, runner.log.read_text()):
        assert "hf_abc" not in text and "pw" not in text and "sig" not in text
    assert "refused" in failure.value.message


def test_a_failure_tells_code_reason_and_log(runner: Runner) -> None:
    with pytest.raises(StageFailed) as failure:
        runner(["sh", "-c", "echo start; echo 'error: no such header'; echo bye; exit 3"])
    # How soon is a matter of the machine: what is idle waits for all else.
    assert re.fullmatch(r"sh ended with 3 (at once|after \d.*): error: no such header", failure.value.message)
    assert failure.value.hint == f"see {runner.log}"
    assert runner(["sh", "-c", "exit 3"], check=False) == 3


def test_it_runs_at_idle_priority_in_its_own_session(runner: Runner) -> None:
    heard: list[str] = []
    code = "import os; print(os.sched_getscheduler(0), os.getsid(0) == os.getpid())"
    # The first to go when memory runs out, though not from its first moment: the runner says so once it has begun.
    seen = "while (score := open('/proc/self/oom_score_adj').read()) != '900\\n': pass\nprint(score)"
    runner([sys.executable, "-c", f"{code}\n{seen}"], within=60, on_line=heard.append)
    assert "chrt" in idle_prefix() and "ionice" in idle_prefix()
    assert heard[:2] == [f"{os.SCHED_IDLE} True", "900"]


def test_stdin_is_empty(runner: Runner) -> None:
    assert runner(["sh", "-c", "! read answer"]) == 0


def test_too_long_ends_the_whole_group(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "GRACE", 0.5)
    line = "sleep 4001 & setsid sleep 4001 & trap '' TERM; echo started; while :; do sleep 4001; done"
    with pytest.raises(StageFailed, match="sh did not end in time and was stopped"):
        runner(["sh", "-c", line], within=0.5)
    assert alive("4001") == []


def test_cancel_ends_it(runner: Runner) -> None:
    def stop(line: str) -> None:
        runner.cancel.set()

    with pytest.raises(StageFailed, match="stopped"):
        runner(["sh", "-c", "echo started; sleep 4002"], on_line=stop)
    assert alive("4002") == []
    with pytest.raises(StageFailed, match="stopped"):
        runner(["true"])


def test_what_it_left_in_the_background_ends_with_it(runner: Runner) -> None:
    assert runner(["sh", "-c", "setsid sleep 4003 & sleep 4003 & exit 0"]) == 0
    assert alive("4003") == []
    assert list((runner.folder / "children").iterdir()) == []


def test_one_that_eats_the_memory_is_stopped(runner: Runner) -> None:
    holds = "import time; x = bytearray(300_000_000); time.sleep(4004)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {holds!r}])"
    with pytest.raises(StageFailed, match=r"used \d+ MB of memory and only 100 MB were free for it") as failure:
        runner([sys.executable, "-c", code], memory=100_000_000)
    assert "more memory" in (failure.value.hint or "")
    assert alive(holds) == []


def test_killed_from_outside(runner: Runner) -> None:
    with pytest.raises(StageFailed, match="sh was killed by SIGKILL"):
        runner(["sh", "-c", "kill -9 $$"])


def test_a_missing_program_or_folder(runner: Runner, tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match="nothing-like-it is not installed"):
        runner(["nothing-like-it"])
    with pytest.raises(StageFailed, match="does not exist, so true cannot run there"):
        runner(["true"], cwd=tmp_path / "nowhere")


def test_the_end_of_the_attempt_counts_too(runner: Runner) -> None:
    runner.deadline = time.monotonic() + 0.3
    with pytest.raises(StageFailed, match="did not end in time"):
        runner(["sleep", "4005"], within=3600)


def test_several_threads_share_a_runner(runner: Runner) -> None:
    codes: list[int] = []
    work = [
        threading.Thread(target=lambda n=n: codes.append(runner(["sh", "-c", f"exit {n}"], check=False)))
        for n in range(6)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert sorted(codes) == [0, 1, 2, 3, 4, 5]


def test_leftovers_of_a_killed_runner_are_reaped(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from init.process import Runner;"
        "Runner(Path(sys.argv[1], 'log'), Path(sys.argv[1], 'run'), {'PATH': sys.argv[2]})"
        "(['sh', '-c', 'setsid sleep 4006 & sleep 4006 & sleep 4006'])"
    )
    runner = subprocess.Popen([sys.executable, "-c", script, str(tmp_path), os.environ["PATH"]])
    noted = tmp_path / "run" / "children"
    until(lambda: len(alive("4006")) == 3 and any(noted.glob("[0-9]*")))
    children.reap(tmp_path / "run")  # what others have left, it ends as well
    assert len(alive("4006")) == 3, "a living runner keeps its children"
    runner.kill()
    runner.wait()
    children.reap(tmp_path / "run")
    assert alive("4006") == []
    assert list(noted.iterdir()) == []


def test_what_a_runner_had_no_time_to_write_down_is_reaped(tmp_path: Path) -> None:
    script = (
        "import os, subprocess, sys; from init import children;"
        "mark = {**os.environ, children.MARK: children.new_mark()};"
        "subprocess.Popen(['sleep', '4008'], env=mark, start_new_session=True); sys.stdin.read()"
    )
    runner = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE)
    until(lambda: len(alive("4008")) == 1)
    children.reap(tmp_path / "run")
    assert len(alive("4008")) == 1, "a living runner keeps its children"
    foreign = {**os.environ, children.MARK: "1.1.1.abc"}
    container = subprocess.Popen(["sleep", "4009"], env=foreign)
    runner.kill()
    runner.wait()
    try:
        children.reap(tmp_path / "run")
        assert alive("4008") == []
        assert container.poll() is None, "one of a container, whose runner is not seen from here"
    finally:
        container.kill()
        container.wait()


def test_another_process_with_the_same_number_is_left_alone(tmp_path: Path) -> None:
    bystander = subprocess.Popen(["sleep", "4007"], start_new_session=True)
    try:
        file = children.record(tmp_path, bystander.pid, "0" * 32)
        text = file.read_text()
        started = children.started(bystander.pid)
        file.write_text(
            text.replace(f'"started": {started}', '"started": 1').replace(f'"runner": {os.getpid()}', '"runner": 1')
        )
        assert bystander.pid not in children.reap(tmp_path)
        assert bystander.poll() is None
        assert not file.exists()
    finally:
        bystander.kill()
        bystander.wait()


def test_a_program_that_prints_without_end_does_not_fill_the_disk(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("init.process.LOG_LIMIT", 10_000)
    heard: list[str] = []
    runner(["sh", "-c", "yes 0123456789 | head -5000"], on_line=heard.append)
    assert len(heard) == 5000
    text = runner.log.read_text()
    assert len(text) < 10_200 and text.endswith("… the rest of this output is left out\n")


def test_gist_prefers_lines_that_tell_something() -> None:
    assert gist(["", "a.c:3: error: x", "note: y", "compilation done"]) == "a.c:3: error: x"
    assert gist(["first", "second", "third", "fourth"]) == "second / third / fourth"
    assert gist([]) == ""
