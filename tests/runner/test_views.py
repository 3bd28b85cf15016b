"""What one sees: once, live, and as plain lines."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from init import lines, screen, state
from init.state import Boot, Headline, ServiceState, Snapshot, StageState
from init.views import Presence
from tests.runner.support import House, command, service, supervised
from tests.waiting import until

NOW = time.time()


def snapshot() -> Snapshot:
    return Snapshot(
        "demo",
        "Demo",
        Boot("b1", NOW - 75),
        eta_s=64.2,
        headline=Headline("App in about 1 min, without Kernel and Broken", "warning"),
        stages=[
            StageState("app", "python", "App", [], "done", NOW - 70, NOW - 10, message="14 packages"),
            StageState("nodes", "nodes", "Nodes", ["app", "models:a"], "waiting"),
            StageState(
                "kernel",
                "kernel",
                "Kernel",
                [],
                "degraded",
                message="nvcc was killed because the memory was full",
                consequence="Slower.",
                repair="firstlight retry kernel",
            ),
            StageState("models:a", "models", "A", [], "running", NOW - 70, None, 4_200_000_000, 9_800_000_000, 312e6),
            StageState(
                "broken",
                "command",
                "Broken",
                [],
                "failed",
                message="no [bold]luck[/]",
                repair="firstlight retry broken",
            ),
            StageState("after", "command", "After", ["broken"], "blocked", message="cannot start: broken failed"),
        ],
        services=[
            ServiceState("app", "App", ["nodes"], "waiting", ":8188/", 8188),
            ServiceState("web", "Web", [], "ready", ":81/x", 81, NOW - 20, NOW - 18.8),
        ],
        disk={"free": 100_000_000_000, "needed": 5_600_000_000},
    )


def shown(width: int, height: int | None = None, runner: Presence = "here") -> list[str]:
    console = Console(width=width, highlight=False, file=io.StringIO(), record=True)
    console.print(screen.render(snapshot(), runner, NOW, console, height))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_everything_is_on_eighty_columns() -> None:
    text = shown(80)
    assert max(len(line) for line in text) <= 80
    whole = "\n".join(text)
    for part in (
        "App in about 1 min, without Kernel and Broken",
        "2 of 6 stages, started 1 min 15 s ago",
        "4.2 of 9.8 GB, 312 MB/s",
        "waits for models:a",
        "ready at :81/x",
        "kernel degraded: nvcc was killed because the memory was full\n  Slower.\n  to repair: firstlight retry kernel",
        "no [bold]luck[/]",
        "5.6 GB still to fetch, 100 GB free on the workspace",
    ):
        assert part in whole, whole


def test_no_width_cuts_the_command_that_repairs(tmp_path: Path) -> None:
    name = "wan22-t2v-" + "long-" * 9 + "name"
    left, short = (f"not selected; `firstlight models add {one}` fetches it" for one in (name, "mural"))
    house = House(tmp_path, [command("a", "true")])
    seen = Snapshot("demo", "Demo", Boot("b1", NOW), stages=[
        StageState("models:mural", "models", "M", [], "skipped", message=short),
        StageState(f"models:{name}", "models", "N", [], "skipped", message=left),
        StageState("odd", "command", "O", [], "failed", message="no", repair=f"firstlight retry models:{name}"),
    ])  # fmt: skip
    house.paths.state.mkdir(parents=True)
    (house.paths.state / "state.json").write_text(state.dump(seen))
    text = house.firstlight("status", COLUMNS="80").stdout
    assert left in text and f"to repair: firstlight retry models:{name}\n" in text
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    on_terminal = terminal(house)
    assert max(len(line) for line in on_terminal) <= 80
    assert any(line.endswith("not selected;") for line in on_terminal)
    assert any(line.strip() == "`firstlight models add mural` fetches it" for line in on_terminal)
    assert f"`firstlight models add {name}` fetches it".replace(" ", "") in "".join(on_terminal).replace(" ", "")


def terminal(house: House) -> list[str]:
    """What `status` writes on a terminal without colours."""
    ours, theirs = pty.openpty()
    environ = house.environ(TERM="xterm", NO_COLOR="1", COLUMNS="80", LINES="24")
    argv = [sys.executable, "-m", "init.cli", "status"]
    with subprocess.Popen(argv, env=environ, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        try:
            while more := os.read(ours, 65536):
                seen += more
        except OSError:
            pass
        assert process.wait(20) == 0
    os.close(ours)
    return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in seen.decode().splitlines()]


def test_a_low_terminal_folds_what_is_done() -> None:
    text = shown(80, height=12)
    assert "✔ 1 done: app" in text
    assert "· 1 waiting: nodes" in text
    assert any(line.startswith("✘ broken") for line in text)


def test_a_dead_runner_is_said() -> None:
    assert any("The runner does not run" in line for line in shown(80, runner="away"))
    assert "supervisor starts it again; `firstlight logs init` tells why it ended." in shown(80, runner="away")


def test_after_the_end_of_everything_nothing_is_said_to_start_again(tmp_path: Path) -> None:
    house = House(tmp_path, [command("a", "true")])
    with supervised(house, runner=True) as supervisord:
        house.until_phase("ready")
        supervisord.kill()
        supervisord.wait()
    assert Path(house.paths.run, "supervisor.sock").exists(), "it had no time to tidy up"
    assert "nothing of Firstlight runs here" in house.firstlight("retry", "a").stderr
    text = house.firstlight("status").stdout
    assert "Nothing of it runs any more: this was so at" in text
    assert "start the container, or `./buildkit.py run NAME --local`." in text
    assert "supervisor starts it again" not in text


def test_numbers_for_people() -> None:
    assert [lines.size(n) for n in (0, 999, 1000, 12_345, 99_960, 999_600, 4.2e9, 9e14)] == [
        "0 B", "999 B", "1.0 kB", "12.3 kB", "100 kB", "1.0 MB", "4.2 GB", "900.00 TB",
    ]  # fmt: skip
    assert [lines.span(s) for s in (0.04, 9.94, 9.96, 59.6, 125, 4330)] == [
        "0.0 s", "9.9 s", "10 s", "1 min 00 s", "2 min 05 s", "1 h 12 min",
    ]  # fmt: skip


def test_status_once_and_as_json(tmp_path: Path) -> None:
    house = House(tmp_path, [command("a", "sleep 300"), command("b", "true", "a")])
    before = house.firstlight("status")
    assert (before.returncode, before.stdout) == (1, "")
    assert "nothing was ever started here" in before.stderr
    with house.running():
        house.until({"a": "running"})
        assert state.load(house.firstlight("status", "--json").stdout).stages[0].state == "running"
        text = house.firstlight("status").stdout
        assert "Test in " in text and "waits for a" in text
        assert "this was so at" not in text
    text = house.firstlight("status").stdout
    assert "Nothing of it runs any more" in text


def test_a_state_of_another_version_is_not_shown(tmp_path: Path) -> None:
    house = House(tmp_path)
    for text, reason in (
        (json.dumps({**json.loads(state.dump(snapshot())), "schema": "firstlight.state/0"}), "another version"),
        (json.dumps({"schema": state.SCHEMA}), "damaged state file: KeyError('boot')"),
        ("{", "Expecting property name"),
    ):
        (tmp_path / "run" / "state.json").write_text(text)
        found = house.firstlight("status")
        assert (found.returncode, found.stdout) == (1, "")
        assert "the state cannot be read: " in found.stderr and reason in found.stderr


def test_follow_without_a_terminal_prints_transitions(tmp_path: Path) -> None:
    house = House(tmp_path, [command("a", "sleep 0.5"), command("b", "exit 3", "a", consequence="No b.")])
    with house.running():
        followed = house.firstlight("status", "--follow")
        assert followed.returncode == 0
        told = [line.split(" ", 1)[1] for line in followed.stdout.splitlines() if line[0] != " "]
        assert "a: done" in told
        assert re.search(r"ERROR b: failed: sh ended with 3 (at once|after \d.*); see", "\n".join(told))
        assert told[-1] == "WARNING ready, with something missing: `firstlight status` says what"
        assert "         No b.\n         to repair: firstlight retry b\n" in followed.stdout
        each = house.firstlight("status", "--follow", "--json").stdout
        assert json.loads(each)["phase"] == "degraded"


def test_follow_on_a_terminal_ends_when_all_is_ready(tmp_path: Path) -> None:
    house = House(tmp_path, [command("a", "while ! test -e go; do sleep 0.05; done")])
    house.services[:] = [service("app", ["sleep", "300"], "a", port=8188)]
    house.write()
    with supervised(house, runner=True):
        house.until({"a": "running"})
        ours, theirs = pty.openpty()
        argv = [sys.executable, "-m", "init.cli", "status", "--follow"]
        environ = house.environ(TERM="xterm-256color", COLUMNS="80", LINES="24")
        process = subprocess.Popen(argv, env=environ, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        seen = b""

        def read(until_text: bytes) -> bool:
            nonlocal seen
            try:
                seen += os.read(ours, 65536)
            except OSError:
                return True
            return until_text in seen

        until(lambda: read(b"starts after a"))
        (house.workspace / "go").touch()
        until(lambda: read(b"ready at :8188/"))
        until(lambda: read(b"\0") or process.poll() is not None)
        assert process.wait(20) == 0
        os.close(ours)


def test_the_runner_does_not_load_what_only_views_need(tmp_path: Path) -> None:
    code = "import sys, init.cli, init.runner; print({'rich', 'aria2p', 'huggingface_hub'} & set(sys.modules))"
    environ = House(tmp_path).environ()
    found = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"
