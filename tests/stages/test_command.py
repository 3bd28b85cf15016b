"""The author's own stages."""

from __future__ import annotations

from pathlib import Path

import pytest

from init.failure import StageFailed
from init.specs import CommandSpec, PythonSpec
from tests.stages.bench import Bench, write


def test_arguments_are_filled_in_and_never_seen_by_a_shell(bench: Bench) -> None:
    write(bench.paths.files, {"in.txt": "x"})
    words = ["printf", "%s\n", "{workspace}/a b", "{files}/in.txt", "{models}", "{disk}", "$HOME; {other}"]
    bench.run(CommandSpec(words))
    paths = bench.paths
    said = bench.log.splitlines()[1:]
    workspace = paths.workspace
    assert said == [f"{workspace}/a b", f"{paths.files}/in.txt", f"{workspace}/models", paths.disk, "$HOME; {other}"]


def test_a_shell_line_gets_variables(bench: Bench) -> None:
    line = 'echo "$FIRSTLIGHT_WORKSPACE"; echo "$GREETING" > "$FIRSTLIGHT_WORKSPACE/out file"; pwd'
    outcome = bench.run(CommandSpec(["sh", "-euc", line], environment={"GREETING": "to {workspace}"}))
    workspace = bench.paths.workspace
    assert Path(workspace, "out file").read_text() == f"to {workspace}\n"
    assert outcome.message == workspace, "it runs in the workspace, and its last line is the message"
    with pytest.raises(StageFailed, match=r"sh ended with 2 (at once|after \d.*): .*UNSET"):
        bench.run(CommandSpec(["sh", "-euc", 'echo "$UNSET"; echo not reached']))
    assert "not reached" not in bench.log.splitlines()


def test_the_environments_programs_come_first(bench: Bench) -> None:
    bench.run(PythonSpec("app"), "app")
    bench.run(CommandSpec(["python", "-c", "import sys; print(sys.prefix)"], env="app"))
    assert str(bench.paths.env("app")) in bench.log.splitlines()


def test_it_runs_where_it_should(bench: Bench) -> None:
    write(bench.paths.source("app"), {"sub/here.txt": ""})
    bench.run(CommandSpec(["ls"], cwd="app/sub"))
    assert "here.txt" in bench.log.splitlines()
    with pytest.raises(StageFailed, match="does not exist"):
        bench.run(CommandSpec(["ls"], cwd="nowhere"))
    (bench.paths.source("app") / "out").symlink_to("/etc")
    with pytest.raises(StageFailed, match="leads out of"):
        bench.run(CommandSpec(["ls"], cwd="app/out"))


def test_tokens_do_not_reach_it(bench: Bench) -> None:
    bench.environ = {"HF_TOKEN": "hf_verysecret", "CIVITAI_TOKEN": "verysecret"}
    bench.run(CommandSpec(["env"]))
    assert "verysecret" not in bench.log
