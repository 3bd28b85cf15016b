"""Bad days at the origin: what is done about each, and what the user is told."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from init.failure import StageFailed
from init.fetch.trouble import delay
from init.specs import FileSpec
from init.stages.models import sentence
from tests.fetch.conftest import Kitchen, spec
from tests.origin import Bytes, Generated, Origin

MB = 1_000_000


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("expire", {"after": 12 * MB}),
        ("reset", {"after": 8 * MB, "times": 5}),
        ("truncate", {"after": 8 * MB, "times": 5}),
        ("reset", {"after": 0, "times": 5, "method": "GET"}),
        ("status", {"status": 503, "server": "cdn", "times": 9}),
        ("status", {"status": 500, "server": "cdn", "times": 3}),
        ("status", {"status": 502, "server": "hub", "times": 2}),
        ("status", {"status": 403, "server": "cdn", "times": 1}),
        ("no-range", {}),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "-".join(f"{k}={v}" for k, v in value.items()),
)
def test_aria2_overcomes_a_passing_fault(kitchen: Kitchen, origin: Origin, kind: Any, settings: dict[str, Any]) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, 24 * MB))
    fault = origin.fault(kind, "o/r/*", **settings)
    # So that little is in flight when it happens, and something is.
    origin.limit(40 * MB)
    kitchen.fetch(spec(file))
    kitchen.check(file)
    assert fault.met
    agents = [entry.headers["User-Agent"] for entry in origin.requests(server="cdn", method="GET")]
    assert agents[0] == "firstlight/1 aria2"
    assert origin.sent() < 24 * MB * 1.5, "what was there is kept"


def test_an_expired_address_is_renewed_and_the_partial_file_goes_on(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, 30 * MB))
    origin.fault("slow", rate=2 * MB)
    origin.fault("expire", after=20 * MB)
    kitchen.fetch(spec(file))
    kitchen.check(file)
    assert len(origin.requests("o/r/*", server="hub")) == 2
    assert origin.sent() < 40 * MB, "20 MB were there, less what lay in the sockets of 16 connections"


def test_a_busy_hub_is_given_the_time_it_asks_for(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, MB))
    origin.fault("status", status=429, retry_after="1", server="hub", times=1)
    kitchen.fetch(spec(file))
    first, second = origin.requests("o/r/*", server="hub")
    assert second.at - first.at >= 0.95
    assert "answered 429 (too many requests from this address; asked to wait 1 s)" in kitchen.messages()


def test_a_busy_hub_may_name_a_date(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, MB))
    date = int(time.time()) + 3
    origin.fault("status", status=429, retry_after=formatdate(date, usegmt=True), server="hub", times=1)
    kitchen.fetch(spec(file))
    _, second = origin.requests("o/r/*", server="hub")
    assert second.at >= date - 0.05
    assert delay(formatdate(time.time() - 60, usegmt=True)) == 0.0
    assert delay("tomorrow") is delay(None) is None


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_cdn_is_given_the_time_it_asks_for(kitchen: Kitchen, origin: Origin, status: int) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, MB))
    fault = origin.fault("status", status=status, retry_after="1", server="cdn")
    began = time.time()

    def lift() -> bool:
        return any(f"answered {status}" in s.message for s in kitchen.told)

    from tests.fetch.conftest import Background
    from tests.waiting import until

    background = Background(lambda: kitchen.fetch(spec(file)))
    until(lift)
    seen = len(origin.requests("o/r/*", server="cdn"))
    fault.gone = True
    background.join()
    kitchen.check(file)
    after = origin.requests("o/r/*", server="cdn")[seen:]
    assert after[0].at - began >= 0.95


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"status": 404, "code": "EntryNotFound"}, "o/r/a.bin: Hugging Face answered 404: there is no such file"),
        ({"status": 404, "code": "RevisionNotFound"}, "there is no such revision"),
        ({"status": 404, "code": "RepoNotFound"}, "there is no such repository"),
    ],
)
def test_what_is_not_there_is_named_at_once(kitchen: Kitchen, origin: Origin, settings: Any, message: str) -> None:
    good, bad = (origin.hub("o/r", name, Generated(name, MB)) for name in ("b.bin", "a.bin"))
    origin.fault("status", "o/r/a.bin", server="hub", **settings)
    with pytest.raises(StageFailed, match=message) as caught:
        kitchen.fetch(spec(good), spec(bad))
    assert not caught.value.retry
    assert "lock it again" in (caught.value.hint or "")
    kitchen.check(good)
    assert {s.path: s.state for s in kitchen.told} == {"b.bin": "done", "a.bin": "failed"}


def test_a_cdn_without_the_file_is_named(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, MB))
    origin.fault("status", status=404, server="cdn")
    with pytest.raises(StageFailed, match=r"a\.bin: the server answered 404: there is no such file"):
        kitchen.fetch(spec(file))


def test_a_wrong_file_is_fetched_once_more(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, 900_000))
    origin.fault("corrupt", at=500_000, times=1)
    kitchen.fetch(spec(file))
    kitchen.check(file)
    assert "a.bin has other content: its SHA-256 is" in kitchen.messages()
    assert origin.sent() == 2 * 900_000


def test_a_file_that_stays_wrong_fails_and_is_removed(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, 3 * MB))
    origin.fault("corrupt", at=500_000)
    with pytest.raises(StageFailed, match=f"a.bin has other content: .* should be {file.sha256}") as caught:
        kitchen.fetch(spec(file))
    assert not caught.value.retry
    assert "lock the manifest again" in (caught.value.hint or "")
    assert list(kitchen.models.iterdir()) == []
    assert len(origin.requests("o/r/*", server="hub")) == 2, "fetched once more, and not again and again"


def test_a_wrong_file_that_only_git_has_a_hash_of_fails(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "config.json", Bytes(b'{"a": 1}'), lfs=False)
    origin.fault("corrupt", at=3)
    with pytest.raises(StageFailed, match=f"config.json has other content: its git hash is .* should be {file.etag}"):
        kitchen.fetch(spec(file, locked=False))
    assert list(kitchen.models.iterdir()) == []


@pytest.mark.parametrize("by", [-1000, 1000])
def test_a_file_of_another_length_fails_by_name(kitchen: Kitchen, origin: Origin, by: int) -> None:
    file = origin.plain("a.bin", Generated(1, 40 * MB))
    origin.fault("length", by=by)
    with pytest.raises(StageFailed, match=f"a.bin is {40 * MB + by} bytes long, and should be {40 * MB}"):
        kitchen.fetch(spec(file))
    assert list(kitchen.models.iterdir()) == []


@pytest.mark.parametrize("by", [-1000, 1000])
def test_where_only_the_size_is_known_it_counts(kitchen: Kitchen, origin: Origin, by: int) -> None:
    file = origin.plain("a.bin", Generated(1, 100_000))
    origin.fault("length", by=by)
    with pytest.raises(StageFailed, match=f"a.bin is {100_000 + by} bytes long, and should be 100000"):
        kitchen.fetch(FileSpec("a.bin", file.url, size=file.size))
    assert list(kitchen.models.iterdir()) == []


@pytest.mark.parametrize(("name", "locked"), [("size", MB + 1), ("sha256", "0" * 64)])
def test_another_file_at_the_hub_fails_before_a_byte_is_fetched(
    kitchen: Kitchen, origin: Origin, name: str, locked: Any
) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, MB))
    with pytest.raises(StageFailed, match=f"has the {name} .* at the origin, and {locked} in the lock"):
        kitchen.fetch(replace(spec(file), **{name: locked}))
    assert origin.sent() == 0


def test_a_redirect_in_a_circle_is_named(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.plain("a.bin", Generated(1, MB))
    origin.fault("redirect", "a.bin", to=file.url)
    with pytest.raises(StageFailed, match=r"/a\.bin: more than ten redirects") as caught:
        kitchen.fetch(spec(file, locked=False))
    assert not caught.value.retry
    assert len(origin.requests("a.bin")) == 10


def test_no_answer_at_all_is_explained(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, MB))
    kitchen.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"
    with pytest.raises(StageFailed, match=r"127\.0\.0\.1 does not answer \(.*refused.*\)") as caught:
        kitchen.fetch(spec(file), tries=2)
    assert caught.value.hint == "check the network"
    assert caught.value.retry


def test_while_nothing_answers_the_set_says_so(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, MB))
    kitchen.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"
    told: list[str] = []
    fetcher = kitchen.fetcher(backoff=0.3, tries=3)
    with pytest.raises(StageFailed):
        fetcher.fetch("set", [spec(file)], True, threading.Event(), lambda p: told.append(sentence(p)))
    assert [line for line in told if line.startswith("tried again: ") and "127.0.0.1 does not answer" in line]


def test_a_stalled_hub_file_comes_another_way(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, 6 * MB))
    origin.fault("stall", server="cdn", agent="firstlight*", after=2 * MB)
    # Longer than huggingface_hub takes to load on a busy machine.
    kitchen.fetch(spec(file), stall=5.0)
    kitchen.check(file)
    assert "a.bin: no bytes for 5 s" in kitchen.messages()
    assert "by another way (hub)" in kitchen.messages()
    assert any("hf_hub" in str(e.headers) for e in origin.requests("o/r/*", server="cdn"))


def test_a_stalled_plain_file_goes_on_another_way(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.plain("a.bin", Generated(1, 30 * MB))
    origin.fault("slow", rate=1 * MB, agent="*aria2")
    origin.fault("stall", agent="*aria2", after=22 * MB)
    kitchen.fetch(spec(file), stall=5.0)
    kitchen.check(file)
    assert "by another way (plain)" in kitchen.messages()
    assert origin.sent() < 45 * MB, "only what was missing"


def test_without_aria2_files_come_all_the_same(kitchen: Kitchen, origin: Origin, tmp_path: Any) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, 6 * MB))
    kitchen.environ["PATH"] = str(tmp_path)
    kitchen.fetch(spec(file))
    kitchen.check(file)


def test_with_an_aria2_that_does_not_start_files_come_all_the_same(
    kitchen: Kitchen, origin: Origin, tmp_path: Path
) -> None:
    file = origin.plain("a.bin", Generated(1, 6 * MB))
    broken = tmp_path / "bin" / "aria2c"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    kitchen.environ["PATH"] = f"{broken.parent}:{kitchen.environ['PATH']}"
    kitchen.fetch(spec(file))
    kitchen.check(file)
    assert "aria2 does not start" in kitchen.messages()
    assert "by another way (plain)" in kitchen.messages()


def test_a_partial_file_of_another_version_is_dropped(kitchen: Kitchen, origin: Origin) -> None:
    old = origin.hub("o/r", "a.bin", Generated("old", 20 * MB))
    fault = origin.fault("status", status=404, after=8 * MB, server="cdn")
    origin.fault("reset", after=8 * MB)
    with pytest.raises(StageFailed):
        kitchen.fetch(spec(old), tries=1)
    assert kitchen.leftovers() == ["a.bin.part", "a.bin.part.aria2"]
    assert not (kitchen.models / "a.bin").exists()
    fault.gone = True
    origin.clear()
    new = origin.hub("o/r", "a.bin", Generated("new", 20 * MB))
    kitchen.fetch(spec(new))
    kitchen.check(new)
    assert "has other content" not in kitchen.messages()


def test_a_folder_that_cannot_be_written_is_named(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, MB))
    (kitchen.models / "a.bin").mkdir(parents=True)
    with pytest.raises(StageFailed, match=r"'a\.bin' is a folder already"):
        kitchen.fetch(spec(file))
    (kitchen.models / "file").write_text("")
    with pytest.raises(StageFailed, match="its folder cannot be made"):
        kitchen.fetch(spec(file, "file/a.bin"))
