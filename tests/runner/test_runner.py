"""The real runner, as a process, on small plans."""

from __future__ import annotations

import json
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from init import control
from init.plan import Stage
from init.specs import CommandSpec, FileSpec, ModelsSpec
from init.state import ENDED, latest
from tests.runner.support import House, command, stop
from tests.waiting import until

WORK = "echo {0} >> work"


def test_a_start_a_second_one_and_a_change(tmp_path: Path) -> None:
    needs = {"a": (), "b": ("a",), "c": ("b", "a?")}
    stages = [command(name, WORK.format(name), *words) for name, words in needs.items()]
    house = House(tmp_path, stages)
    with house.running():
        house.until_phase("ready")
    assert house.lines("work") == ["a", "b", "c"]
    with house.running():
        house.until_phase("ready")
        assert {house.stage(name).message for name in "abc"} == {"kept from an earlier start"}
    assert house.lines("work") == ["a", "b", "c"]
    house.stages[1] = command("b", WORK.format("changed"), "a")
    house.write()
    with house.running():
        house.until_phase("ready")
    assert house.lines("work") == ["a", "b", "c", "changed", "c"]


def test_a_failure_blocks_only_what_needs_it_and_a_retry_repairs(tmp_path: Path) -> None:
    house = House(
        tmp_path,
        [
            command("broken", "test -e repaired || { echo 'error: no luck' >&2; exit 3; }", consequence="No pictures."),
            command("after", WORK.format("after"), "broken"),
            command("besides", WORK.format("besides"), "broken?"),
        ],
    )
    with house.running():
        house.until({"broken": "failed", "after": "blocked", "besides": "done"})
        snapshot = house.until_phase("degraded")
        broken, after, _ = snapshot.stages
        assert "sh ended with 3" in broken.message and "error: no luck" in broken.message
        assert (broken.consequence, broken.repair) == ("No pictures.", "firstlight retry broken")
        assert (after.message, after.repair) == ("cannot start: broken failed", "firstlight retry broken")
        assert after.consequence == "After is missing until then; JupyterLab and everything else go on"
        (house.workspace / "repaired").touch()
        again = house.firstlight("retry", "after")
        assert (again.returncode, again.stdout) == (0, "after waits for broken: broken starts again\n")
        snapshot = house.until_phase("ready")
        assert {(stage.consequence, stage.repair) for stage in snapshot.stages} == {(None, None)}
    assert house.lines("work") == ["besides", "after"]


def test_attempts_pauses_timeouts_and_degrading(tmp_path: Path) -> None:
    house = House(
        tmp_path,
        [
            command("second", "echo x >> tries; test $(wc -l < tries) -ge 2", attempts=2),
            command("slow", "sleep 60", within=0.5, on_failure="degrade", consequence="Slower."),
            command("user", WORK.format("user"), "slow"),
        ],
    )
    with house.running():
        house.until({"second": "done", "slow": "degraded", "user": "done"})
        slow = house.stage("slow")
        assert "did not end in time" in slow.message
        assert (slow.consequence, slow.repair) == ("Slower.", "firstlight retry slow")
        assert house.stage("second").attempt == 2
        house.until_phase("degraded")


def test_between_two_attempts_it_says_why_and_for_how_long(tmp_path: Path) -> None:
    told: list[str] = []
    house = House(tmp_path, [command("a", "echo x >> tries; test $(wc -l < tries) -ge 2", attempts=2)])
    end = house.attempt(house.stages[0], lambda **changes: told.append(changes.get("message", ""))).run()
    assert end.state == "done" and house.lines("tries") == ["x", "x"]
    (said,) = filter(None, told)
    assert said.startswith("attempt 1 of 2 failed: sh ended with 1 ") and said.endswith("; again in 2 s")


def test_what_cannot_work_is_not_tried_at_every_start(tmp_path: Path) -> None:
    wrong = CommandSpec(["no-such-program"])
    stage = Stage("hopeless", "command", "Hopeless", [], wrong, attempts=3, on_failure="degrade")
    house = House(tmp_path, [stage, command("after", "true", "hopeless")])
    for _ in range(2):
        with house.running():
            house.until({"hopeless": "degraded", "after": "done"})
            hopeless = house.stage("hopeless")
            assert hopeless.message == "no-such-program is not installed; add it to the image"
            assert hopeless.repair == "firstlight retry hopeless"
    assert [event["attempt"] for event in house.events("stage") if event["id"] == "hopeless"] == [1, 1, 0]


def test_a_mistake_in_a_handler_is_a_failure_of_its_stage(tmp_path: Path) -> None:
    house = House(tmp_path, [command("a", "true"), command("b", "true")])
    (tmp_path / "workspace" / ".firstlight").mkdir()
    (tmp_path / "disk" / "records").write_text("in the way")
    with house.running() as process:
        house.until({"a": "failed", "b": "failed"})
        assert process.poll() is None
        assert house.stage("a").message


def test_sigterm_ends_the_children_and_leaves_a_clean_state(tmp_path: Path) -> None:
    house = House(tmp_path, [command("long", "echo $$ > pid; sleep 300"), command("next", "true", "long")])
    with house.running() as process:
        house.until({"long": "running"})
        pid = int(until(lambda: house.lines("pid"))[0])
        assert stop(process) == 0
    assert not Path(f"/proc/{pid}").exists()
    assert house.states() == {"long": "waiting", "next": "waiting"}
    assert house.stage("long").message == "interrupted"
    assert not Path(house.paths.run, control.NAME).exists()


def test_ctrl_c_is_130(tmp_path: Path) -> None:
    house = House(tmp_path, [command("long", "sleep 300")])
    with house.running() as process:
        house.until({"long": "running"})
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130


def test_one_runner_at_a_time(tmp_path: Path) -> None:
    house = House(tmp_path, [command("long", "sleep 300")])
    with house.running() as first:
        house.until({"long": "running"})
        second = house.firstlight("run")
        assert second.returncode == 1
        assert second.stderr == (
            f"firstlight: another runner (process {first.pid}) is at work here; see `firstlight status`\n"
        )
        assert first.poll() is None
        assert house.states() == {"long": "running"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"schema": "firstlight.plan/0"}, "plan.json has the schema 'firstlight.plan/0'"),
        ({"surprise": 1}, "plan.json is damaged"),
    ],
)
def test_a_plan_of_another_version_fails_in_peace(tmp_path: Path, damage: dict[str, object], message: str) -> None:
    house = House(tmp_path, [command("a", "true")])
    file = tmp_path / "home" / "plan.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **damage}))
    with house.running() as process:
        snapshot = house.until_phase("failed")
        assert snapshot.message.startswith(message)
        assert "build the image again" in snapshot.message
        assert snapshot.image == "test"
        shown = house.firstlight("status")
        assert shown.returncode == 1
        assert message in " ".join(shown.stdout.split())
        refused = house.firstlight("retry", "a")
        assert refused.returncode == 1
        assert message in refused.stderr
        assert process.poll() is None
        assert stop(process) == 0


def test_no_secret_in_state_events_logs_or_the_process_list(tmp_path: Path) -> None:
    line = 'echo "with tops3cret-token from https://cdn.example/x?Signature=abcdef"; env; exit 1'
    house = House(tmp_path, [command("leaky", line)])
    with house.running(HF_TOKEN="tops3cret-token"):
        house.until({"leaky": "failed"})
        argv = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                argv.append(path.read_bytes())
        assert not [line for line in argv if b"tops3cret-token" in line and b"echo" not in line]
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in ("plan.json", "leaky.json")]
    assert any(path.name == "leaky.log" for path in written)
    for path in written:
        text = path.read_text(errors="replace")
        text = text.replace(line, "")
        assert "tops3cret-token" not in text, path
        assert "Signature=abcdef" not in text, path


def test_sets_that_nobody_selected_are_skipped_and_satisfy(tmp_path: Path) -> None:
    spec = ModelsSpec("big", [FileSpec("big.bin", "https://example.invalid/big.bin", size=4)])
    stages = [Stage("models:big", "models", "Big", [], spec), command("after", WORK.format("after"), "models:big")]
    house = House(tmp_path, stages)
    with house.running(MODEL_SETS="+bigg"):
        snapshot = house.until_phase("ready")
        assert house.stage("models:big").state == "skipped"
        assert "did you mean big?" in snapshot.message
        assert snapshot.files == []
    assert house.lines("work") == ["after"]


def test_requests_that_cannot_be_done_say_why(tmp_path: Path) -> None:
    house = House(tmp_path, [command("long", "sleep 300"), command("next", "true", "long")])
    with house.running():
        house.until({"long": "running"})
        said = {name: house.firstlight("retry", name) for name in ("long", "next", "lang")}
        assert {process.returncode for process in said.values()} == {1}
        assert "long is at work already" in said["long"].stderr
        assert "next has not started yet: it waits for long" in said["next"].stderr
        assert "no stage 'lang'; did you mean long?" in said["lang"].stderr
        run = Path(house.paths.run)
        assert house.firstlight("retry", "zzz").stderr == "firstlight: no stage 'zzz'; there is long, next\n"
        for request, reason in [
            ({"do": "dance"}, "unknown request 'dance'; there is retry, start, models.add"),
            ({}, "unknown request"),
        ]:
            with pytest.raises(control.Refused, match=reason):
                control.ask(run, request)
        with pytest.raises(control.Refused, match="no model set 'x'"):
            control.ask(run, {"do": "models.add", "set": "x"})
        assert Path(run, control.NAME).stat().st_mode & 0o777 == 0o600


def test_memory_stays_small(tmp_path: Path) -> None:
    stages = [command(f"s{number}", "true", *([f"s{number - 5}"] if number >= 5 else [])) for number in range(40)]
    house = House(tmp_path, stages)
    with house.running() as process:
        house.until_phase("ready", within=60)
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        assert peak < 80_000
    assert all(stage.state in ENDED for stage in house.snapshot().stages)  # type: ignore[union-attr]


def test_a_deep_root_does_not_break_the_socket(tmp_path: Path) -> None:
    house = House(tmp_path / ("deep" * 25), [command("a", "true")])
    with house.running():
        house.until_phase("ready")
        assert control.ask(Path(house.paths.run), {"do": "state"})["ok"]


def test_what_a_stage_was_made_on_counts(tmp_path: Path) -> None:
    house = House(tmp_path, [command("base", WORK.format("base")), command("top", WORK.format("top"), "base")])
    with house.running():
        house.until_phase("ready")
        assert house.firstlight("retry", "base").returncode == 0
        until(lambda: house.lines("work") == ["base", "top", "base", "top"])
        house.until_phase("ready")


def test_two_containers_on_one_volume_each_see_their_own(tmp_path: Path) -> None:
    first = House(tmp_path / "first", [command("a", "sleep 300")])
    second = House(tmp_path / "second", [command("b", "sleep 300")])
    second.workspace.rmdir()
    second.workspace.symlink_to(first.workspace)
    with first.running(), second.running():
        for house, name in ((first, "a"), (second, "b")):
            until(lambda: '"running"' in house.firstlight("status", "--json").stdout)  # noqa: B023
            shown = json.loads(house.firstlight("status", "--json").stdout)
            assert [stage["id"] for stage in shown["stages"]] == [name]
            snapshot = latest(Path(house.paths.run), house.paths.state)
            assert snapshot is not None and snapshot.stages[0].id == name
        assert len({event["boot"] for event in first.events("boot")}) == len(first.events("boot")) == 2
