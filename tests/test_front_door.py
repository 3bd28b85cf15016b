"""`./buildkit.py` as a user meets it: exit codes, and no traceback for what the user can mend."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from buildkit import VERBS
from images import arguments
from tests.waiting import until

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = "manifest: 1\nname: mine\nimage: {base: debian:12}\ncommands: {a: {run: 'true', inputs: [here.txt]}}\n"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A manifest that does not lie in the repository, with a file beside it."""
    (tmp_path / "here.txt").touch()
    (tmp_path / "mine.yaml").write_text(MANIFEST)
    return tmp_path


def buildkit(folder: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, output, errors."""
    command = [sys.executable, str(ROOT / "buildkit.py"), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_manifest_anywhere(outside: Path) -> None:
    assert buildkit(outside, "check", "mine.yaml") == (0, "mine.yaml: fine\n", "")
    code, said, _ = buildkit(outside, "render", "mine.yaml", "-o", "made")
    assert (code, said.startswith("made: Caddyfile, Dockerfile, ")) == (0, True)
    assert {"Dockerfile", "supervisord.conf", "Caddyfile", "plan.json"} <= {
        p.name for p in (outside / "made").iterdir()
    }
    assert buildkit(outside, "render", "mine.yaml", "-o", "made", "--diff") == (0, "", "")
    (outside / "made" / "Caddyfile").unlink()
    assert buildkit(outside, "render", "mine.yaml", "-o", "made", "--diff")[0] == 1


def test_refused_is_78_and_usage_is_2(outside: Path) -> None:
    (outside / "here.txt").unlink()
    code, said, complaint = buildkit(outside, "render", "mine.yaml")
    assert (code, said) == (78, "")
    assert complaint.startswith("mine.yaml:4:38: error: here.txt does not exist\n")
    assert buildkit(outside, "render")[0] == 2
    assert buildkit(outside, "lock", "mine.yaml", "--check", "--update", "all")[0] == 2


NO_CONTAINER = "with --local there is no container, and so no "


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("run demo --root here", "run: error: --root goes with --local; a container's workspace is --volume DIR"),
        ("run demo --local --image demo:1", f"run: error: {NO_CONTAINER}--image"),
        ("run demo --local --volume here", f"run: error: {NO_CONTAINER}--volume"),
        ("run demo --local --gpus --detach", f"run: error: {NO_CONTAINER}--gpus, --detach"),
        ("run demo --local --port-offset 0", f"run: error: {NO_CONTAINER}--port-offset"),
        ("build demo --push", "build: error: --push needs to know where to: add --registry HOST/PATH"),
        ("build demo --print --push", "build: error: argument --push: not allowed with argument --print"),
        ("deploy demo --to nowhere", "deploy: error: argument --to: invalid choice: 'nowhere'"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(outside: Path, words: str, complaint: str) -> None:
    code, said, complaints = buildkit(outside, *words.split())
    assert (code, said) == (2, "")
    assert complaints.splitlines()[-1].startswith(f"buildkit.py {complaint}")


def test_every_verb_explains_itself(outside: Path) -> None:
    code, said, complaint = buildkit(outside, "--help")
    assert (code, complaint) == (0, "")
    assert set(re.findall(r"^    ([a-z]+) ", said, re.MULTILINE)) == set(VERBS)
    for verb in VERBS:
        with pytest.raises(SystemExit) as ended:
            arguments.parse([verb, "--help"], "", [])
        assert ended.value.code == 0


def test_a_machine_gets_problems_as_json(outside: Path) -> None:
    (outside / "mine.yaml").write_text(MANIFEST + "titel: Mine\n")
    problem = {"file": str(outside / "mine.yaml"), "line": 5, "column": 1, "end": 6}
    problem |= {"severity": "error", "text": "unknown key `titel`", "hint": "did you mean `title`?"}
    for words in (["check"], ["show"], ["show", "--origin"], ["lock"], ["lock", "--check"]):
        code, said, complaint = buildkit(outside, words[0], "mine.yaml", "--json", *words[1:])
        assert (code, complaint) == (78, "")
        assert json.loads(said) == {"fine": [], "problems": [problem]}


def test_a_machine_gets_a_broken_lock_and_a_missing_manifest_as_json(outside: Path) -> None:
    (outside / "mine.lock.json").write_text("<<<<<<< ours\n")
    code, said, complaint = buildkit(outside, "lock", "mine.yaml", "--json")
    (problem,) = json.loads(said)["problems"]
    assert (code, complaint, problem["line"]) == (78, "", 1)
    assert problem["text"] == "the lock holds an unresolved merge conflict"
    code, said, complaint = buildkit(outside, "show", "none.yaml", "--json")
    (problem,) = json.loads(said)["problems"]
    assert (code, complaint, problem["text"]) == (78, "", "there is no manifest none.yaml")


def test_a_folder_that_cannot_be_written(outside: Path) -> None:
    code, said, complaint = buildkit(outside, "render", "mine.yaml", "-o", "here.txt")
    assert (code, said) == (1, "")
    assert complaint == "error: here.txt: File exists\n  hint: make it accessible, or give another place\n"


def test_the_repair_can_be_copied(outside: Path) -> None:
    code, said, _ = buildkit(outside, "lock", "mine.yaml", "--check")
    assert (code, said) == (1, "mine: pending lock: mine has none yet; run `./buildkit.py lock mine.yaml`\n")


def test_ctrl_c_is_130_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "git").write_text(f"#!/bin/sh\n: >{tmp_path}/asked\nexec /bin/sleep 60\n")
    (tmp_path / "git").chmod(0o755)
    environ = os.environ | {"PATH": str(tmp_path), "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    command = ["/usr/bin/env", "--default-signal=INT", sys.executable, str(ROOT / "buildkit.py"), "doctor"]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until((tmp_path / "asked").exists, within=30)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=30)
    assert (process.returncode, complaint) == (130, "")


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    command = [sys.executable, str(ROOT / "buildkit.py"), "schema"]
    reader, end = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=end, stderr=subprocess.PIPE, check=False)
    os.close(end)
    assert (done.returncode, done.stderr) == (1, b"")


def make(*words: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = ["make", "--old-file=.venv/ready", "--old-file=.venv/tests", "--old-file=.venv/image-tests", *words]
    outer = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"}  # of the make that runs these tests
    env = {name: text for name, text in os.environ.items() if name not in outer} | dict(environ or {})
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def words(*asked: str, environ: Mapping[str, str] | None = None) -> list[list[str]]:
    """What make would give to `buildkit.py`, call by call."""
    tell = """sh -c 'printf "%s\\0" "$$@"; printf "\\1"' tell"""
    done = make(f"BUILDKIT={tell}", *asked, environ=environ)
    assert done.returncode == 0, done.stderr
    return [call.split("\0")[:-1] for call in done.stdout.split("\1")[:-1]]


def test_make_pushes_only_what_was_checked_and_tested() -> None:
    assert words("build-and-push", "IMAGE=demo", "REGISTRY=ghcr.io/me") == [
        ["check", "demo"],
        ["lock", "demo", "--check"],
        ["build", "demo", "--registry", "ghcr.io/me"],
        ["test", "demo"],
        ["push", "demo", "--registry", "ghcr.io/me"],
    ]
    assert words("build-and-push", "IMAGE=demo", "REGISTRY=ghcr.io/me", "BASE=mine:1")[2][-2:] == ["--base", "mine:1"]
    workflow = (ROOT / ".github" / "workflows").glob("*.yml")
    assert any("make build-and-push IMAGE=" in file.read_text() for file in workflow)


INJECTED = [
    "demo; touch {file}",
    "demo $(touch {file})",
    "demo $$(touch {file})",
    "`touch {file}`",
    '"; touch {file}; "',
    "'; touch {file}; '",
    "demo\ntouch {file}",
    "$(shell touch {file})",
    "${{shell touch {file}}}",
    "$(error $(shell touch {file}))",
    "$(eval $(shell touch {file}))",
    "two words",
    "demo &",
    "*",
]


@pytest.mark.parametrize("text", INJECTED)
def test_what_make_is_given_is_data(text: str, tmp_path: Path) -> None:
    given = text.format(file=tmp_path / "made")
    verbs = [["build", given, "--base", given, "--registry", given]]
    variables = dict.fromkeys(("IMAGE", "BASE", "REGISTRY"), given)
    assert words("build", *(f"{name}={value}" for name, value in variables.items())) == verbs
    assert words("build", environ=variables) == verbs
    assert words("check", f"IMAGE={given}") == [["check", given]]
    assert words("push", environ=variables) == [["push", given, "--registry", given]]
    for verb in ("lock", "test", "run", "render"):
        assert words(verb, f"IMAGE={given}")[0][:2] == [verb, given]
    assert make("help", f"IMAGE={given}").returncode == 0
    assert not (tmp_path / "made").exists()


def test_make_checks_everything_without_a_name() -> None:
    assert words("check") == [["check"]]
    assert words("check", "IMAGE=demo") == [["check", "demo"]]


@pytest.mark.parametrize("name", ["IMAGE", "REGISTRY", "BASE"])
def test_make_takes_no_option_for_a_name(name: str) -> None:
    done = make("check", f"{name}=--apply")
    assert done.returncode == 2
    assert f"{name} must not begin with `-`" in done.stderr


@pytest.mark.parametrize("name", ["IMAGE", "REGISTRY"])
def test_make_says_what_it_needs_to_know(name: str) -> None:
    done = make(f"needs-{name}")
    assert done.returncode == 2
    assert f"make: {name} is missing; hint: " in done.stderr


def test_the_front_door_stays_small() -> None:
    assert len((ROOT / "buildkit.py").read_text(encoding="utf-8").splitlines()) < 200
