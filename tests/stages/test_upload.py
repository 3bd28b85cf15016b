"""What users put on the workspace is used, or passed over with the reason; it is never changed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from init.failure import StageFailed
from init.specs import Code, CommandSpec, GitSpec, InsteadSpec, PythonSpec
from init.stages import HANDLERS
from init.stages.environment import Environment
from tests.stages import wheels
from tests.stages.bench import Bench, write
from tests.stages.repositories import Repositories, git

Index = tuple[Path, str]


@pytest.fixture
def torch(index: Index) -> Index:
    folder, _ = index
    for version in ("1.0", "2.0"):
        wheels.add(folder, "fake-torch", version)
    wheels.add(folder, "vision", "1.0", ["fake-torch"])
    wheels.add(folder, "old-vision", "1.0", ["fake-torch<2"])
    wheels.add(folder, "shadow", "1.0")
    wheels.add(folder, "extra", "1.0")
    return index


def env(index: Index, **more: Any) -> PythonSpec:
    return PythonSpec(
        "app",
        sys.executable,
        ["fake-torch==2.0", "vision"],
        index={"local": index[1]},
        freeze=["fake-torch"],
        forbid=["shadow"],
        requirements_from="requirements.txt",
        **more,
    )


def installed(bench: Bench) -> dict[str, str]:
    found = Environment(bench.context(PythonSpec("app")), "app").installed()
    return {name: version for name, version in found.items() if name != "pip"}


def put(bench: Bench, files: Mapping[str, str]) -> Path:
    return write(Path(bench.paths.workspace), files)


def test_the_users_requirements_win_line_by_line(bench: Bench, torch: Index) -> None:
    bench.run(env(torch), "app")
    assert installed(bench) == {"fake-torch": "2.0", "vision": "1.0"}
    put(bench, {"requirements.txt": "# mine\nfake-torch==1.0\nextra  # more\n"})
    outcome = bench.run(env(torch), "app")
    assert outcome.state == "done"
    assert outcome.message.startswith(
        "your requirements.txt is used (lines: 2); what it does not name comes from the image's list; Python "
    )
    assert installed(bench) == {"fake-torch": "1.0", "extra": "1.0", "vision": "1.0"}
    assert outcome.result["frozen"] == {"fake-torch": "1.0"}, "what the user chose is what nothing moves from now on"
    Path(bench.paths.workspace, "requirements.txt").unlink()
    assert "requirements.txt" not in bench.run(env(torch), "app").message
    assert installed(bench) == {"fake-torch": "2.0", "vision": "1.0"}


def test_what_is_forbidden_stays_out_and_that_is_said(bench: Bench, torch: Index) -> None:
    put(bench, {"requirements.txt": "shadow\nextra\n"})
    assert "; without shadow, which would get in the way of another package; " in bench.run(env(torch), "app").message
    assert "shadow" not in installed(bench)


def test_an_option_behind_a_requirement_counts_as_pip_takes_it(bench: Bench, torch: Index) -> None:
    put(bench, {"requirements.txt": f"extra==1.0 --extra-index-url {torch[1]}\n--extra-index-url={torch[1]}\n"})
    assert bench.run(env(torch), "app").state == "done"
    assert installed(bench)["extra"] == "1.0"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("old-vision\nfake-torch==2.0\n", "the packages asked for do not fit together: "),
        ("fake-torch==9\n", "the packages asked for do not fit together: "),
        ("extra\nthis is no requirement\n", "requirements.txt:2: 'this is no requirement' is no requirement"),
        ("", "it names no package"),
        ("# nothing\n", "it names no package"),
        ("--trusted-host x\n", "requirements.txt:1: --trusted-host is passed over"),
        ("./nothing-here.whl\n", "a line is no requirement: "),
        ("./not_here-1-py3-none-any.whl\n", "a line is no requirement: "),
    ],
)
def test_requirements_that_cannot_be_installed_leave_the_images_own(
    bench: Bench, torch: Index, text: str, reason: str
) -> None:
    put(bench, {"requirements.txt": text})
    outcome = bench.run(env(torch), "app")
    assert outcome.state == "degraded"
    assert outcome.message.startswith(f"your requirements.txt is not used: {reason}"), outcome.message
    assert "; the image's own list is installed: Python " in outcome.message
    assert outcome.consequence == "it cannot be installed, so the image's own list is"
    assert outcome.result["without"] == "your requirements.txt"
    assert installed(bench) == {"fake-torch": "2.0", "vision": "1.0"}


@pytest.mark.parametrize("odd", ["pipe", "folder", "includes a pipe", "larger than memory", "nobody may read"])
def test_odd_things_called_requirements_leave_the_images_own(bench: Bench, torch: Index, odd: str) -> None:
    file = Path(bench.paths.workspace, "requirements.txt")
    file.parent.mkdir(parents=True, exist_ok=True)
    reason = "it is no file"
    match odd:
        case "pipe":
            os.mkfifo(file)
        case "folder":
            file.mkdir()
        case "includes a pipe":
            os.mkfifo(file.with_name("more.txt"))
            file.write_text("-r more.txt\n")
            reason = f"{file.with_name('more.txt')} is no file or larger than 1 MB, and is passed over"
        case "larger than memory":
            with file.open("wb") as stream:
                stream.truncate(1 << 42)
            reason = f"{file} is no file or larger than 1 MB, and is passed over"
        case _:
            file.symlink_to("/proc/self/mem")
            reason = f"{file} leads out of its folder and is passed over"
    outcome = bench.run(env(torch), "app")
    assert outcome.message.startswith(f"your requirements.txt is not used: {reason}; the image's own"), outcome.message
    assert HANDLERS["python"].abi(bench.context(env(torch), "app"))["upload"], "a change is seen"
    assert installed(bench) == {"fake-torch": "2.0", "vision": "1.0"}


def test_a_network_that_is_away_is_no_fault_of_the_file(bench: Bench, torch: Index) -> None:
    put(bench, {"requirements.txt": "--index-url http://127.0.0.1:1/simple\nnew-one\n"})
    with pytest.raises(StageFailed, match=r"cannot reach 127\.0\.0\.1:1") as failed:
        bench.run(env(torch), "app")
    assert failed.value.retry


def test_a_change_of_the_file_is_seen(bench: Bench, torch: Index) -> None:
    def abi() -> dict[str, str]:
        return HANDLERS["python"].abi(bench.context(env(torch), "app"))

    before = abi()
    assert "upload" not in before, "without one the record of a baked environment counts"
    put(bench, {"requirements.txt": "extra\n"})
    first = abi()
    put(bench, {"requirements.txt": "extra==1.0\n"})
    assert len({repr(before), repr(first), repr(abi())}) == 3


def source(repos: Repositories, *persist: str, **more: Any) -> GitSpec:
    commit = repos.commit("app", {"main.py": "of the image", "dependencies/readme": "of the image"})
    code = Code(repos.smart("app"), "main", commit)
    return GitSpec("app", code, list(persist), InsteadSpec("VisoMaster", "main.py"), ["dependencies"], **more)


def at(bench: Bench) -> Path:
    return bench.paths.source("app")


def test_the_users_code_is_linked_and_left_as_it_is(bench: Bench, repos: Repositories) -> None:
    spec = source(repos)
    own = put(bench, {"VisoMaster/main.py": "mine", "VisoMaster/.git/HEAD": "ref: refs/heads/mine\n"}) / "VisoMaster"
    outcome = bench.run(spec)
    assert (outcome.state, outcome.message) == ("done", f"your code in {own} is used, as it is")
    assert outcome.result["upload"] == str(own)
    assert at(bench).is_symlink() and (at(bench) / "main.py").read_text() == "mine"
    assert sorted(str(p.relative_to(own)) for p in own.rglob("*") if p.is_file()) == [".git/HEAD", "main.py"]
    assert "fetch" not in bench.log
    bench.run(CommandSpec(["cat", "main.py"], cwd="app"), "look")
    assert "mine" in bench.log, "stages work in it, too"


def test_it_comes_and_goes(bench: Bench, repos: Repositories) -> None:
    spec = source(repos)
    bench.run(spec)
    (at(bench) / "notes.txt").write_text("the user's")
    own = put(bench, {"VisoMaster/main.py": "mine"}) / "VisoMaster"
    for _ in range(2):
        bench.run(spec)
        assert (at(bench) / "main.py").read_text() == "mine"
    subprocess.run(["rm", "-r", own], check=True)
    outcome = bench.run(spec)
    assert (at(bench) / "main.py").read_text() == "of the image" and not at(bench).is_symlink()
    assert (at(bench) / "notes.txt").read_text() == "the user's", "nothing of the former checkout is lost"
    assert "upload" not in outcome.result


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "your folder VisoMaster is empty"),
        ({"VisoMaster/readme.md": "x"}, "your code in VisoMaster has no main.py"),
        ({"VisoMaster/VisoMaster/main.py": "x"}, "your code in VisoMaster has no main.py"),
        ({"VisoMaster": "x"}, "your VisoMaster is no folder"),
    ],
)
def test_what_is_no_code_leaves_the_images_own(
    bench: Bench, repos: Repositories, files: dict[str, str], reason: str
) -> None:
    put(bench, files)
    if not files:
        Path(bench.paths.workspace, "VisoMaster").mkdir(parents=True)
    outcome = bench.run(source(repos))
    assert outcome.state == "degraded"
    assert outcome.message.startswith(f"{reason}; app at ")
    assert outcome.consequence == f"{reason}, so the image's own is used"
    assert outcome.result["without"] == "your code in VisoMaster"
    assert (at(bench) / "main.py").read_text() == "of the image"


def test_the_users_files_are_where_the_app_looks_for_them(bench: Bench, repos: Repositories) -> None:
    spec = source(repos)
    put(bench, {"dependencies/ffmpeg": "mine", "dependencies/deep/x": "1"})
    outcome = bench.run(spec)
    assert outcome.message.endswith("; 3 files of yours in dependencies"), "the source's own are put there, too"
    assert (at(bench) / "dependencies" / "ffmpeg").read_text() == "mine"
    assert (at(bench) / "dependencies" / "readme").read_text() == "of the image"
    put(bench, {"dependencies/later": "2"})
    assert (at(bench) / "dependencies" / "later").read_text() == "2", "what comes later needs no retry"
    assert bench.run(spec).result["changed"] is False
    assert git("status", "--porcelain", "main.py", cwd=at(bench)) == ""


@pytest.mark.parametrize("has", [False, True])
def test_the_users_code_finds_them_unless_it_has_its_own(bench: Bench, repos: Repositories, has: bool) -> None:
    own = put(bench, {"VisoMaster/main.py": "mine", "dependencies/ffmpeg": "there"}) / "VisoMaster"
    if has:
        put(bench, {"VisoMaster/dependencies/ffmpeg": "inside"})
    for _ in range(2):
        message = bench.run(source(repos)).message
        assert ("dependencies of your code is used, and" in message) is has
        assert (own / "dependencies" / "ffmpeg").read_text() == ("inside" if has else "there")


def test_a_change_of_the_folder_is_seen(bench: Bench, repos: Repositories) -> None:
    spec, seen = source(repos), []
    for files in ({}, {"VisoMaster/x": ""}, {"VisoMaster/main.py": ""}):
        put(bench, files)
        seen.append(HANDLERS["git"].abi(bench.context(spec)))
    assert seen[0] == {} and len({repr(found) for found in seen}) == 3
