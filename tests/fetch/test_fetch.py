"""Good days: what is fetched, what is asked of the origin, and what a second start does."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from init.failure import StageFailed
from init.fetch import notes
from init.fetch.job import Progress
from init.fetch.verify import digest
from init.specs import FileSpec
from tests.fetch.conftest import Background, Kitchen, spec
from tests.origin import Bytes, Generated, Origin
from tests.origin.server import Published
from tests.waiting import until

MB = 1_000_000


def test_a_set_is_fetched_verified_and_never_asked_for_again(kitchen: Kitchen, origin: Origin) -> None:
    files = [origin.hub("o/r", f"split/f{n}.safetensors", Generated(n, 5 * MB + n)) for n in range(4)]
    files.append(origin.plain("big/plain.bin", Generated("p", 40 * MB)))
    files.append(origin.civitai(7, "civitai.safetensors", Generated("c", 3 * MB)))
    found = kitchen.fetch(*[spec(f) for f in files])
    assert (found.files, found.unverified, found.resolved) == (6, [], {})
    assert found.bytes_fetched == found.bytes_total == sum(f.size for f in files)
    kitchen.check(*files)
    assert len(origin.requests("o/r/*", server="hub")) == 4, "one question a file"
    assert {s.state for s in {s.path: s for s in kitchen.told}.values()} == {"done"}

    asked = len(origin.log)
    again = kitchen.fetch(*[spec(f) for f in files])
    assert (again.bytes_fetched, len(origin.log)) == (0, asked)


def test_what_the_lock_does_not_know_is_asked_and_recorded(kitchen: Kitchen, origin: Origin) -> None:
    weights = origin.hub("o/r", "a.safetensors", Generated(1, MB))
    config = origin.hub("o/r", "config.json", Bytes(b'{"a": 1}'), lfs=False)
    plain = origin.plain("x.bin", Generated(2, MB))
    model = origin.civitai(9, "m.safetensors", Generated(3, MB))
    specs = [spec(f, locked=False) for f in (weights, config, plain, model)]
    found = kitchen.fetch(*specs)
    kitchen.check(weights, config, plain, model)
    assert found.resolved["a.safetensors"] == {"revision": weights.commit, "size": MB, "sha256": weights.sha256}
    assert found.resolved["m.safetensors"]["sha256"] == model.sha256
    assert found.unverified == ["x.bin"]

    asked = len(origin.log)
    again = kitchen.fetch(*specs)
    assert (again.bytes_fetched, len(origin.log)) == (0, asked)
    assert again.resolved["a.safetensors"]["sha256"] == weights.sha256


def test_the_same_content_is_fetched_once(kitchen: Kitchen, origin: Origin) -> None:
    one = origin.hub("o/r", "a/one.bin", Generated(1, 4 * MB))
    two = origin.hub("o/s", "two.bin", Generated(1, 4 * MB))
    kitchen.fetch(spec(one, "a/one.bin"), spec(two, "b/two.bin"), spec(two, "b/three.bin"))
    # Less than twice: what was in flight may be sent again where a busy machine makes one way take over from another.
    assert (sent := origin.sent()) < 7 * MB
    kitchen.fetch(spec(one, "later/four.bin"))
    assert origin.sent() == sent
    assert (kitchen.models / "later/four.bin").read_bytes() == (kitchen.models / "b/two.bin").read_bytes()


def test_content_that_turns_out_to_be_the_same_is_fetched_once(kitchen: Kitchen, origin: Origin) -> None:
    one = origin.hub("o/r", "one.bin", Generated(1, 20 * MB))
    two = origin.hub("o/s", "two.bin", Generated(1, 20 * MB))
    kitchen.fetch(spec(one, locked=False), spec(two, locked=False))
    kitchen.check(one, two)
    assert origin.sent() < 30 * MB


def test_required_sets_come_first(kitchen: Kitchen, origin: Origin) -> None:
    later = [origin.hub("o/r", f"later{n}.bin", Generated(n, 2 * MB)) for n in range(6)]
    first = [origin.hub("o/r", f"first{n}.bin", Generated(10 + n, 2 * MB)) for n in range(3)]
    fetcher, never = kitchen.fetcher(small_at_once=1), threading.Event()
    held = origin.fault("stall", after=MB)
    optional = Background(lambda: fetcher.fetch("later", [spec(f) for f in later], False, never))
    until(origin.sent, what="a file of the optional set is on its way")
    required = Background(lambda: fetcher.fetch("first", [spec(f) for f in first], True, never))
    until(lambda: {s.path for s in kitchen.told if s.set == "first" and s.state == "queued"} == {f.name for f in first})
    held.gone = True
    required.join()
    optional.join()
    begun = list(dict.fromkeys(s.set for s in kitchen.told if s.state == "fetching"))
    order = list(dict.fromkeys(s.path for s in kitchen.told if s.state == "fetching"))
    assert begun == ["later", "first"] and {*order[1:4]} == {f.name for f in first}


def test_an_optional_set_leaves_the_link_to_a_required_one(kitchen: Kitchen, origin: Origin) -> None:
    later = [origin.hub("o/later", f"later{n}.bin", Generated(n, 4 * MB)) for n in range(3)]
    first = [origin.hub("o/first", f"first{n}.bin", Generated(10 + n, 4 * MB)) for n in range(2)]
    fetcher = kitchen.fetcher()
    origin.fault("stall", "o/first/*", server="cdn")
    told, ended = list[Progress](), [threading.Event(), threading.Event()]

    def fetch(number: int, files: list[Published], required: bool) -> None:
        heard = None if required else told.append
        fetcher.fetch(f"set{number}", [spec(f) for f in files], required, threading.Event(), heard)
        ended[number].set()

    threading.Thread(target=fetch, args=(0, first, True), daemon=True).start()
    until(lambda: origin.requests("o/first/*", server="cdn"), what="the required set is on its way")
    threading.Thread(target=fetch, args=(1, later, False), daemon=True).start()
    until(lambda: len(told) >= 10, what="the optional set has been passed over again and again")
    assert origin.requests("o/later/*", method="GET", server="cdn") == [] and {each.done for each in told} == {0}
    origin.clear()
    for each in ended:
        assert each.wait(60)
    kitchen.check(*first, *later)


def test_a_file_brought_by_the_user_is_read_once_and_kept(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, MB))
    kitchen.models.mkdir()
    (kitchen.models / "a.bin").write_bytes(b"".join(file.content.pieces(0, MB)))
    assert kitchen.fetch(spec(file)).bytes_fetched == 0
    assert origin.log == []


def test_another_file_under_the_name_is_moved_aside(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, MB))
    kitchen.models.mkdir()
    (kitchen.models / "a.bin").write_bytes(b"mine")
    kitchen.fetch(spec(file))
    assert (kitchen.models / "a.bin").stat().st_size == MB
    assert (kitchen.models / "a.bin.bad").read_bytes() == b"mine"


def test_another_file_in_the_lock_is_fetched_whatever_was_verified_before(kitchen: Kitchen, origin: Origin) -> None:
    kitchen.fetch(spec(origin.hub("o/r", "a.bin", Generated("old", MB))))
    new = origin.hub("o/r", "a.bin", Generated("new", MB))
    kitchen.fetch(spec(new))
    assert digest(kitchen.models / "a.bin") == new.sha256


def test_a_whole_partial_file_is_read_before_it_gets_its_name(kitchen: Kitchen, origin: Origin) -> None:
    good, torn = (origin.hub("o/r", f"{name}.bin", Generated(name, MB)) for name in ("good", "torn"))
    kitchen.models.mkdir()
    (kitchen.models / "good.bin.part").write_bytes(b"".join(good.content.pieces(0, MB)))
    (kitchen.models / "torn.bin.part").write_bytes(bytes(MB))
    kitchen.fetch(spec(good), spec(torn))
    kitchen.check(good, torn)
    assert (origin.sent("o/r/good.bin"), origin.sent("o/r/torn.bin") > 0) == (0, True)


def test_a_cancelled_set_can_be_resumed(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, 20 * MB))
    fetcher, cancel = kitchen.fetcher(), threading.Event()
    held = origin.fault("stall", after=9 * MB)
    background = Background(lambda: fetcher.fetch("set", [spec(file)], True, cancel))
    until(lambda: origin.sent() > 8 * MB)
    cancel.set()
    with pytest.raises(StageFailed, match="cancelled"):
        background.join()
    held.gone = True
    fetcher.fetch("set", [spec(file)], True, threading.Event())
    kitchen.check(file)
    assert origin.sent() < 26 * MB


def test_a_small_file_is_fetched_to_any_place(kitchen: Kitchen, origin: Origin, tmp_path: Path) -> None:
    wheel = origin.plain("wheels/x-1.0-py3-none-any.whl", Generated(1, 300_000))
    fetcher, path = kitchen.fetcher(), tmp_path / "cache" / "x.whl"
    fetcher.fetch_file(wheel.url, path, wheel.sha256, threading.Event())
    assert path.stat().st_size == wheel.size
    fetcher.fetch_file(wheel.url, path, wheel.sha256, threading.Event())
    assert origin.sent() == wheel.size
    with pytest.raises(StageFailed, match="has other content"):
        fetcher.fetch_file(wheel.url, tmp_path / "y.whl", "0" * 64, threading.Event())
    with pytest.raises(StageFailed, match="answered 404: there is no such file"):
        fetcher.fetch_file(f"{origin.url}/none.whl", tmp_path / "y.whl", None, threading.Event())
    assert [p.name for p in tmp_path.iterdir() if "whl" in p.name] == []


@pytest.mark.parametrize("path", ["../out.bin", "/etc/out.bin", "a/../../out.bin"])
def test_a_path_that_leaves_the_folder_is_refused(kitchen: Kitchen, origin: Origin, path: str) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, 1000))
    with pytest.raises(StageFailed, match="leaves the models folder") as caught:
        kitchen.fetch(spec(file, path))
    assert not caught.value.retry
    assert origin.log == []


def test_links_that_lead_outside_are_refused(kitchen: Kitchen, origin: Origin, tmp_path: Path) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, 1000))
    outside = tmp_path / "outside"
    outside.mkdir()
    kitchen.models.mkdir()
    (kitchen.models / "link").symlink_to(outside)
    with pytest.raises(StageFailed, match=r"is a link to .*outside the models folder"):
        kitchen.fetch(spec(file, "link/a.bin"))
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("suffix", ["part", "part.aria2__temp"])
def test_links_in_the_place_of_unfinished_files_are_not_followed(
    kitchen: Kitchen, origin: Origin, tmp_path: Path, suffix: str
) -> None:
    file = origin.hub("o/r", "a.bin", Generated(1, 3 * MB))
    kitchen.models.mkdir()
    (tmp_path / "victim").write_bytes(b"mine")
    notes.note(kitchen.models / "a.bin.part", file.size, MB)
    (kitchen.models / f"a.bin.{suffix}").symlink_to(tmp_path / "victim")
    # Slow enough that what is there is noted.
    origin.limit(2 * MB)
    kitchen.fetch(spec(file))
    kitchen.check(file)
    assert (tmp_path / "victim").read_bytes() == b"mine"


def test_two_contents_for_one_path_are_refused(kitchen: Kitchen, origin: Origin) -> None:
    one, two = (origin.hub("o/r", f"{n}.bin", Generated(n, 1000)) for n in range(2))
    with pytest.raises(StageFailed, match="wanted with two contents"):
        kitchen.fetch(spec(one, "same.bin"), spec(two, "same.bin"))


def test_an_address_of_another_kind_is_refused(kitchen: Kitchen) -> None:
    with pytest.raises(StageFailed, match="only http and https"):
        kitchen.fetch(FileSpec("a.bin", "file:///etc/passwd"))
    with pytest.raises(StageFailed, match="not of the form hf://owner/repo/path"):
        kitchen.fetch(FileSpec("a.bin", "hf://owner"))
