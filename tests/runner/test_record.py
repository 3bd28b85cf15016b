"""When finished work counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from init import record
from init.attempt import intact
from init.plan import FileSpec, ModelsSpec, Stage
from init.record import Record
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


def test_model_files_must_have_their_sizes(tmp_path: Path) -> None:
    spec = ModelsSpec(
        "x", [FileSpec("a.bin", "https://example.org/a", size=3), FileSpec("b.bin", "https://example.org/b")]
    )
    where = House(tmp_path, [Stage("models:x", "models", "x", [], spec)])
    stage, folder = where.stages[0], where.workspace / "models"
    folder.mkdir()
    (folder / "a.bin").write_bytes(b"abc")
    assert not intact(where.plan, stage)
    (folder / "b.bin").write_bytes(b"anything")
    assert intact(where.plan, stage)
    (folder / "a.bin").write_bytes(b"ab")
    assert not intact(where.plan, stage)
