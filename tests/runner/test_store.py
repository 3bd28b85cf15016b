"""State and events under fire."""

from __future__ import annotations

import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from init import journal, state
from init.journal import events
from init.redact import Redactor
from init.state import Boot, FileState, ServiceState, Snapshot, StageState
from init.store import Store
from tests.root import mounted, tmpfs
from tests.waiting import until


def snapshot(boot: str = "b1") -> Snapshot:
    stages = [StageState(f"s{n}", "command", f"S{n}", []) for n in range(8)]
    return Snapshot("test", "Test", Boot(boot, 1.0), stages=stages, services=[ServiceState("app", "App", ["s1"])])


def opened(folder: Path, boot: str = "b1", run: Path | None = None) -> Store:
    made = Store(snapshot(boot), folder, run, Redactor(["tops3cret"]))
    made.start()
    return made


def says(folder: Path, message: str) -> bool:
    """Whether the first stage's message has been written."""
    found = state.read(folder)
    return found is not None and found.stages[0].message == message


def test_the_state_is_whole_at_every_moment(tmp_path: Path) -> None:
    kept = opened(tmp_path)
    until((tmp_path / "state.json").exists)
    done = threading.Event()
    read: list[int] = []

    def reader() -> None:
        count = 0
        while not done.is_set():
            found = state.read(tmp_path)
            assert found is not None
            assert len(found.stages) == 8
            count += 1
        read.append(count)

    def writer(number: int) -> None:
        for turn in range(60):
            kept.stage(f"s{number}", state="running", message=f"turn {turn}", bytes_done=turn)
            kept.file(FileState(f"f{turn % 7}", "set", "fetching", turn))
            kept.stage(f"s{number}", state="verifying")

    readers = [threading.Thread(target=reader) for _ in range(2)]
    writers = [threading.Thread(target=writer, args=(number,)) for number in range(8)]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    kept.close()
    done.set()
    for thread in readers:
        thread.join()
    assert len(read) == 2
    found = [event for event in events(tmp_path) if event["event"] == "stage"]
    assert len(found) == 8 * 60 * 2
    for number in range(8):
        states = [event["state"] for event in found if event["id"] == f"s{number}"]
        assert states == ["running", "verifying"] * 60
    assert [event["at"] for event in found] == sorted(event["at"] for event in found)


def test_a_transition_is_written_at_once_and_progress_soon(tmp_path: Path) -> None:
    kept = opened(tmp_path)
    kept.stage("s0", state="running")
    until(lambda: (state.read(tmp_path) or snapshot()).stages[0].state == "running", within=5)
    kept.stage("s0", bytes_done=7)
    until(lambda: (state.read(tmp_path) or snapshot()).stages[0].bytes_done == 7, within=5)
    kept.close()


def test_what_is_changed_together_is_never_seen_in_part(tmp_path: Path) -> None:
    kept = opened(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        with kept.together():
            kept.top("ready")
            read = pool.submit(kept.text)
            with pytest.raises(TimeoutError):
                read.result(timeout=0.2)
            kept.estimate(progress=1.0)
        seen = json.loads(read.result(timeout=10))
    assert (seen["phase"], seen["progress"]) == ("ready", 1.0)
    until(lambda: (found := state.read(tmp_path)) and found.phase == "ready" and found.progress == 1.0)
    kept.close()


def test_no_secret_gets_through(tmp_path: Path) -> None:
    kept = opened(tmp_path)
    kept.stage(
        "s0", state="failed", message="got tops3cret from https://a.b/c?sig=1", result={"url": "https://a.b/c?sig=2"}
    )
    kept.service("app", state="failed", message="tops3cret", consequence="tops3cret")
    kept.file(FileState("x", "set", "failed", message="https://a.b/c?sig=3"))
    kept.top("failed", "tops3cret")
    kept.close()
    for file in tmp_path.iterdir():
        text = file.read_text()
        assert "tops3cret" not in text
        assert "sig=" not in text


def test_a_line_cut_short_spoils_only_itself(tmp_path: Path) -> None:
    kept = opened(tmp_path)
    kept.stage("s0", state="running")
    kept.close()
    with (tmp_path / journal.EVENTS).open("a") as file:
        file.write('{"at": 5, "event": "sta')
    kept = opened(tmp_path, "b2")
    kept.stage("s1", state="running")
    kept.close()
    assert [(event["boot"], event["event"]) for event in events(tmp_path)] == [
        ("b1", "boot"),
        ("b1", "stage"),
        ("b2", "boot"),
        ("b2", "stage"),
    ]


def test_events_do_not_grow_without_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "LARGEST", 4000)
    kept = opened(tmp_path)
    for turn in range(60):
        kept.stage("s0", state="running", message="x" * 200)
        kept.stage("s0", state="failed", message=f"{turn}")
        if turn % 5 == 0:
            until(partial(says, tmp_path, f"{turn}"), within=5)
    kept.close()
    sizes = {file.name: file.stat().st_size for file in tmp_path.glob("events*")}
    assert set(sizes) == {journal.EVENTS, journal.EVENTS_BEFORE}
    assert max(sizes.values()) < 12000


def test_a_workspace_that_cannot_be_written_leaves_the_state_of_this_container(tmp_path: Path) -> None:
    (tmp_path / "workspace").write_text("not a folder")
    folder, run = tmp_path / "workspace" / ".firstlight", tmp_path / "run"
    kept = opened(folder, run=run)
    kept.stage("s0", state="failed", message="no space left on device")
    until(lambda: (state.read(run) or snapshot()).stages[0].state == "failed", within=5)
    found = state.read(run)
    assert found is not None and found.stages[0].message == "no space left on device"
    (tmp_path / "workspace").unlink()
    kept.stage("s0", state="running")
    kept.close()
    assert [event["state"] for event in events(folder) if event["event"] == "stage"] == ["failed", "running"]
    assert state.read(folder) == state.read(run)


def test_events_that_did_not_fit_on_the_volume_are_added_later(tmp_path: Path, as_root: tuple[str, ...]) -> None:
    with mounted(as_root, tmp_path / "volume", *tmpfs(65536)) as volume:
        folder, filler = volume / ".firstlight", volume / "filler"
        folder.mkdir()
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(volume).free - 4096)
        kept = journal.Journal(folder, None, "b1")
        kept.append(json.dumps({"at": number, "text": "x" * 3000}) + "\n" for number in range(3))
        assert 0 < (folder / journal.EVENTS).stat().st_size < 9000, "there is room for a part only"
        filler.unlink()
        kept.append([json.dumps({"at": 3}) + "\n"])
        assert [event["at"] for event in events(folder)] == [0, 1, 2, 3]


def test_parts_of_killed_writers_are_cleared_away(tmp_path: Path) -> None:
    part = tmp_path / ".state.json.old"
    part.write_text("{")
    os.utime(part, (1, 1))
    fresh = tmp_path / ".state.json.b9"
    fresh.write_text("{")
    opened(tmp_path).close()
    assert not part.exists()
    assert fresh.exists(), "another container on this workspace may be writing it"


def test_events_are_lines_of_json_with_their_schema_first(tmp_path: Path) -> None:
    opened(tmp_path).close()
    first = json.loads((tmp_path / journal.EVENTS).read_text().splitlines()[0])
    assert (first["schema"], first["event"], first["image"]) == (state.EVENT_SCHEMA, "boot", "test")
    assert first["needs"]["service:app"] == ["s1"]
