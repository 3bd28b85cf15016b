"""`lock NAME`: a whole lock from real servers, what is printed, how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from manifests import lock as locks
from manifests.load import Loaded
from manifests.lock import LockedFile
from manifests.locking import run_lock
from manifests.resolution import UnknownItem, update
from manifests.web import CannotResolve, Courtesy
from tests.manifests.lock_cases import manifest
from tests.manifests.test_lock_gitrefs import Repository, git
from tests.origin import Generated, Origin
from tests.waiting import until

REPO = "owner/name"
ROOT = Path(__file__).parents[2]
DIGEST = f"sha256:{'e' * 64}"


class World:
    """A manifest whose every part the origin serves; the base image stands in a registry that does not exist."""

    def __init__(self, folder: Path, origin: Origin) -> None:
        self.folder, self.origin = folder, origin
        self.repository = Repository(folder / "project", origin)
        self.large = origin.hub(REPO, "split/a.safetensors", Generated(1, 2_000_000))
        self.plain = origin.plain("files/b.bin", Generated(2, 3000))
        self.civitai = origin.civitai(7, "c.safetensors", Generated(3, 4000))

    def load(self, more: str = "", stated: str = "a.safetensors") -> Loaded:
        body = f"""
sources:
  app: {{git: '{self.repository.url}', ref: main}}
models:
  sets:
    weights: {{hf: {REPO}, under: split, files: [{stated}]}}
    plain: {{files: [{{url: '{self.plain.url}'}}]}}
    civitai: {{files: [{{url: 'civitai://7', to: c.safetensors}}]}}
{more}"""
        return manifest(self.folder, body)

    @property
    def key(self) -> str:
        return f"{self.large.url}@main"

    def known(self, loaded: Loaded) -> None:
        """Give the lock the base digest, which nobody here can answer."""
        lock = locks.read(loaded)
        locks.write(replace(lock, base=locks.LockedBase(loaded.manifest.image.base, DIGEST)), loaded)


@pytest.fixture
def world(tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("HF_ENDPOINT", origin.url)
    monkeypatch.setenv("CIVITAI_ENDPOINT", origin.url)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in ("HF_TOKEN", "CIVITAI_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return World(tmp_path, origin)


def lock(loaded: Loaded, *names: str, check: bool = False, json: bool = False) -> int:
    return run_lock(loaded, check=check, update=list(names), json=json)


def test_everything_is_looked_up_and_the_rest_is_said(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = world.load()
    assert lock(loaded) == 1
    made = locks.read(loaded)
    assert made.git == {f"{world.repository.url}#main": world.repository.second}
    assert made.models == {
        world.key: LockedFile(world.large.commit, 2_000_000, world.large.sha256),
        world.plain.url: LockedFile(None, 3000, None),
        "civitai://7": LockedFile(None, 4000, world.civitai.sha256),
    }
    assert made.base == locks.LockedBase("registry.invalid/base:1", None)
    printed = capsys.readouterr().out
    assert f"model {world.key}: 2,000,000 bytes, {world.large.sha256}" in printed
    assert "[5/5] " in printed
    assert "error: base registry.invalid/base:1: the name registry.invalid cannot be looked up" in printed
    assert "  hint: run it again with a network (proxies: HTTPS_PROXY)" in printed
    assert "case.lock.json: 4 of 5 entries complete, 5 asked for" in printed
    assert "note: base registry.invalid/base:1 not fully known yet" in printed


def test_nobody_is_asked_for_what_is_known(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = world.load()
    lock(loaded)
    world.known(loaded)
    world.origin.log.clear()
    capsys.readouterr()
    assert lock(loaded) == 0
    assert world.origin.requests() == []
    assert capsys.readouterr().out.endswith("case.lock.json: unchanged, 5 of 5 entries complete, 0 asked for\n")


def test_a_lock_made_without_a_network_has_nulls_and_is_no_drift(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = world.load()
    world.origin.stop()
    assert lock(loaded) == 1
    printed = capsys.readouterr().out
    assert "refuses the connection" in printed
    made = locks.read(loaded)
    assert set(made.git.values()) == {None}
    assert set(made.models.values()) == {LockedFile()}
    assert lock(loaded, check=True) == 0
    said = "note: base registry.invalid/base:1 and 4 more not fully known yet: looked up when it is needed, or now by"
    assert f"{said} `./buildkit.py lock {loaded.path}`" in capsys.readouterr().out


def test_known_values_survive_a_dead_network(world: World) -> None:
    loaded = world.load()
    lock(loaded)
    before = locks.read(loaded)
    world.origin.stop()
    lock(loaded, "all")
    assert locks.read(loaded) == before


def test_drift_is_said_with_the_command_that_repairs_it(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    lock(world.load())
    loaded = world.load(stated="a.safetensors, new.safetensors")
    capsys.readouterr()
    assert lock(loaded, check=True) == 1
    assert capsys.readouterr().out == (
        f"case: pending model hf://{REPO}/split/new.safetensors: of weights, is not in the lock; "
        f"run `./buildkit.py lock {loaded.path}`\n"
    )


def test_what_the_manifest_drops_leaves_the_lock(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    lock(world.load(more="    gone: {files: [{url: 'https://files.invalid/x'}]}"))
    loaded = world.load()
    capsys.readouterr()
    lock(loaded)
    assert "dropped model https://files.invalid/x: the manifest no longer has it" in capsys.readouterr().out
    assert "https://files.invalid/x" not in locks.read(loaded).models


def test_update_asks_again_for_one_item_only(world: World) -> None:
    loaded = world.load()
    lock(loaded)
    git(world.repository.folder, "commit", "-q", "--allow-empty", "-m", "three")
    head = git(world.repository.folder, "rev-parse", "main")
    world.origin.log.clear()
    assert lock(loaded) == 1
    assert locks.read(loaded).commit(world.repository.url, "main") == world.repository.second
    assert lock(loaded, "app") == 0
    assert locks.read(loaded).commit(world.repository.url, "main") == head
    assert {entry.key for entry in world.origin.requests()} == {"git/project.git"}


@pytest.mark.parametrize("name", ["weights", "a.safetensors", "hf://owner/name/split/a.safetensors", "models"])
def test_a_file_goes_by_several_names(world: World, name: str) -> None:
    loaded = world.load()
    lock(loaded)
    world.origin.log.clear()
    assert lock(loaded, name) == 0
    assert world.large.key in {entry.key for entry in world.origin.requests()}
    assert "git/project.git" not in {entry.key for entry in world.origin.requests()}


def test_update_of_something_unknown_names_what_is_near(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = world.load()
    assert lock(loaded, "wieghts") == 2
    assert capsys.readouterr().err == (
        "error: case has nothing called 'wieghts' to update\n  hint: did you mean `weights`?\n"
    )
    assert lock(loaded, "zzzzzzzz") == 2
    assert "hint: it has `a.safetensors`, `all`, `app`, `b.bin`, `base`" in capsys.readouterr().err
    assert not locks.path_of(loaded).exists()
    with pytest.raises(UnknownItem):
        update(loaded, ["wieghts"])


def test_a_file_that_changed_behind_its_name_is_not_taken_silently(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = world.load()
    old = LockedFile(None, 2_000_000, "0" * 64)
    locks.write(locks.Lock(loaded.checksum, models={world.key: old}), loaded)
    assert lock(loaded) == 1
    assert locks.read(loaded).models[world.key] == old
    printed = capsys.readouterr().out
    now = f"sha256 {world.large.sha256} (commit {world.large.commit}), known is {'0' * 64}"
    assert f"error: model {world.key}: the server has another file now: {now}" in printed
    assert "  hint: take the new one with `--update`, or pin `revision`" in printed
    assert lock(loaded, world.key) == 0
    assert locks.read(loaded).models[world.key].sha256 == world.large.sha256


def test_a_hash_that_the_manifest_states_is_never_overruled(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = world.load(stated=f"{{path: a.safetensors, sha256: {'0' * 64}}}")
    assert lock(loaded, "weights") == 1
    assert locks.read(loaded).models[world.key] == LockedFile(None, None, "0" * 64)
    assert "  hint: correct `sha256` in the manifest" in capsys.readouterr().out


def test_many_items_that_fail_for_one_reason_are_one_message(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = world.load(stated=", ".join(f"{n}.safetensors" for n in range(20)))
    world.origin.fault("status", f"{REPO}/*", status=429, retry_after="600")
    assert lock(loaded) == 1
    printed = capsys.readouterr().out
    assert printed.count("\nerror: ") == 2
    assert " and 21 more: " in printed, "the same host serves two files more"
    assert len(world.origin.requests(f"{REPO}/*")) <= 8, "a hub that asks for patience is left alone"


def test_a_terminal_gets_a_live_view(world: World) -> None:
    loaded = world.load()
    terminal, end = os.openpty()
    command = [sys.executable, "buildkit.py", "lock", str(loaded.path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=end, stderr=end, env={**os.environ, "TERM": "xterm"})
    os.close(end)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal whose other end is closed
        while piece := os.read(terminal, 65536):
            shown += piece
    os.close(terminal)
    assert process.wait() == 1
    assert "looking up" in shown.decode()
    assert f"✓\x1b[0m git {world.repository.url}#main: {world.repository.second}" in shown.decode()
    assert "✗\x1b[0m base registry.invalid/base:1: the name" in shown.decode()


def test_a_machine_gets_json(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = world.load()
    assert lock(loaded, json=True) == 1
    made = json.loads(capsys.readouterr().out)
    assert (made["name"], made["asked"], made["unknown"]) == ("case", 5, ["base registry.invalid/base:1"])
    assert made["unresolved"][0]["item"] == "base registry.invalid/base:1"
    assert lock(loaded, check=True, json=True) == 0
    assert json.loads(capsys.readouterr().out)["drift"] == []
    assert lock(world.load(more="title: other"), check=True, json=True) == 1
    (found,) = json.loads(capsys.readouterr().out)["drift"]
    assert (found["kind"], found["repair"]) == ("changed", f"./buildkit.py lock {loaded.path}")


def test_an_interrupt_keeps_what_was_found(world: World) -> None:
    loaded = world.load()
    world.origin.fault("slow", world.large.key, latency=60.0)
    # Started in the background, as by some CI, this session ignores SIGINT, and so would what it starts.
    command = ["env", "--default-signal=INT", sys.executable, "buildkit.py", "lock", str(loaded.path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = ""
    while "git " not in printed:
        printed += process.stdout.readline()
    process.send_signal(signal.SIGINT)
    printed += process.stdout.read()
    assert process.wait() == 130
    assert locks.read(loaded).commit(world.repository.url, "main") == world.repository.second
    assert locks.read(loaded).models[world.key] == LockedFile()
    assert f"model {world.key}: " not in printed


def test_who_waits_for_a_busy_server_gives_up_when_interrupted() -> None:
    from manifests.web import Busy

    courtesy, reasons = Courtesy(patience=600), list[str]()

    def question() -> None:
        raise Busy("busy", "wait", 500.0)

    def ask() -> None:
        try:
            courtesy.ask("host", question)
        except CannotResolve as reason:
            reasons.append(reason.reason)

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: courtesy._not_before)
    courtesy.stop()
    thread.join(10)
    assert reasons == ["interrupted"]
