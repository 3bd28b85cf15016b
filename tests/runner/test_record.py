"""When finished work counts."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from init import record
from init.attempt import intact
from init.fetch.ledger import Ledger, Line
from init.plan import Stage
from init.record import Record
from init.specs import FileSpec, ModelsSpec
from tests.runner.support import House, command


def house(tmp_path: Path) -> tuple[House, Stage]:
    stage = command("a", "true")
    return House(tmp_path, [stage]), stage


def test_a_record_is_read_back(tmp_path: Path) -> None:
    where, stage = house(tmp_path)
    made = tmp_path / "made"
    made.touch()
    kept = Record("a", "f", "degraded", 12.5, 3.0, "message", "consequence", {"x": 1}, [str(made)])
    record.write(where.plan, stage, kept)
    assert record.read(where.plan, stage) == kept
    made.unlink()
    assert record.read(where.plan, stage) is None


def test_the_records_of_models_lie_with_the_models(tmp_path: Path) -> None:
    where, stage = house(tmp_path)
    models = Stage("models:x", "models", "x", [], ModelsSpec("x", []))
    assert record.path(where.plan, stage) == tmp_path / "disk/records/a.json"
    assert record.path(where.plan, models) == tmp_path / "workspace/.firstlight/records/models:x.json"


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"schema": "firstlight.record/0"}', '{"schema": "firstlight.record/1"}']
)
def test_a_damaged_or_foreign_record_does_not_count(tmp_path: Path, text: str) -> None:
    where, stage = house(tmp_path)
    record.path(where.plan, stage).parent.mkdir()
    record.path(where.plan, stage).write_text(text)
    assert record.read(where.plan, stage) is None


def test_the_fingerprint_sees_spec_machine_and_what_it_stands_on() -> None:
    stage = command("a", "true")
    base = record.fingerprint(stage, {"python": "3.12"}, {"b": "1"})
    assert record.fingerprint(replace(stage, title="Another", attempts=9), {"python": "3.12"}, {"b": "1"}) == base
    others = [
        record.fingerprint(command("a", "false"), {"python": "3.12"}, {"b": "1"}),
        record.fingerprint(stage, {"python": "3.11"}, {"b": "1"}),
        record.fingerprint(stage, {"python": "3.12"}, {"b": "2"}),
    ]
    assert len({base, *others}) == 4


def test_work_done_again_has_another_mark() -> None:
    first, second = Record("a", "f", "done", 1.0), Record("a", "f", "done", 2.0)
    assert first.mark != second.mark


def test_a_reproducible_build_has_reproducible_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert record.now() == 1700000000.0


def test_model_files_must_be_as_they_were_verified(tmp_path: Path) -> None:
    url = "https://example.org/a"
    spec = ModelsSpec("x", [FileSpec("a.bin", url, size=3, sha256="0" * 64), FileSpec("b.bin", url)])
    where = House(tmp_path, [Stage("models:x", "models", "x", [], spec)])
    stage, folder, ledger = where.stages[0], where.workspace / "models", Ledger(where.plan.paths.state)
    folder.mkdir()

    def put(name: str, content: bytes, **known: Any) -> None:
        (folder / name).write_bytes(content)
        found = (folder / name).stat()
        ledger.put(name, Line(**{"size": found.st_size, "mtime_ns": found.st_mtime_ns, "sha256": "0" * 64,
                                 "checked": "sha256", "url": url, **known}))  # fmt: skip

    put("a.bin", b"abc")
    (folder / "b.bin").write_bytes(b"anything")
    assert not intact(where.plan, stage), "nobody vouches for b.bin"
    put("b.bin", b"anything", sha256="", checked="size")
    assert intact(where.plan, stage)
    put("a.bin", b"abc", boot=ledger.boot)
    assert intact(where.plan, stage), "this kernel still has it"
    put("a.bin", b"abc", boot="the kernel before")
    assert not intact(where.plan, stage)
    put("a.bin", b"abc", sha256="1" * 64)
    assert not intact(where.plan, stage)
    put("a.bin", b"ab")
    assert not intact(where.plan, stage)
    put("a.bin", b"abc")
    (folder / "a.bin").write_bytes(b"ab")
    assert not intact(where.plan, stage)


def test_a_stage_that_was_taken_back_says_nothing_more(tmp_path: Path) -> None:
    where, stage = house(tmp_path)
    told: list[str] = []
    attempt = where.attempt(stage, lambda **changes: told.append(changes["message"]))
    attempt._report(message="at work")
    attempt.end()
    attempt._report(message="late")
    assert told == ["at work"]


def test_whoever_takes_a_stage_back_has_the_last_word(tmp_path: Path) -> None:
    where, stage = house(tmp_path)
    speaks, goes_on, told = threading.Event(), threading.Event(), list[str]()

    def tell(**changes: str) -> None:
        speaks.set()
        assert goes_on.wait(20)
        told.append(changes["message"])

    attempt = where.attempt(stage, tell)
    with ThreadPoolExecutor(2) as pool:
        report = pool.submit(attempt._report, message="at work")
        assert speaks.wait(20)
        end = pool.submit(attempt.end)
        end.add_done_callback(lambda _: told.append("taken back"))
        with pytest.raises(TimeoutError):
            end.result(timeout=0.2)
        goes_on.set()
        report.result(20)
        end.result(20)
    assert told == ["at work", "taken back"]
