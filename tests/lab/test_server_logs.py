"""Logs: by name, from the end, followed, and harmless whatever is in them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from firstlight_lab.logs import Follower

from init import logs as shown_by_firstlight
from init.paths import Paths
from tests.lab.conftest import Fetch, Listen
from tests.lab.support import Event, Place, eventually


def handles(file: Path) -> int:
    """How often this process has the file open."""
    found = 0
    for handle in Path("/proc/self/fd").iterdir():
        try:
            found += handle.samefile(file)
        except OSError:
            continue
    return found


def bytes_read() -> int:
    """By this process, so far."""
    return int(Path("/proc/self/io").read_text().splitlines()[0].split()[1])


async def test_names_are_those_of_firstlight_logs(place: Place, fetch: Fetch) -> None:
    for name in ("jupyterlab", "portal", "init", "app", "supervisord"):
        (place.logs / f"{name}.log").write_text(f"log of {name}\n")
    for name in ("app", "nodes", "models.big", "env.packages"):
        (place.logs / "stages" / f"{name}.log").write_text(f"log of stage {name}\n")
    (place.logs / "app.log.1").write_text("rotated")
    found = json.loads((await fetch("logs")).body)["logs"]
    assert found == sorted(shown_by_firstlight.names(Paths(logs=str(place.logs))))
    assert {"models:big", "env:packages", "app", "service:app"} <= set(found)
    for name, text in (("models:big", "log of stage models.big\n"), ("service:app", "log of app\n")):
        assert json.loads((await fetch(f"logs/{quote(name, safe='')}")).body)["text"] == text


async def test_only_plain_files_are_logs(place: Place, fetch: Fetch) -> None:
    (place.logs / "link.log").symlink_to("/etc/passwd")
    (place.logs / "folder.log").mkdir()
    os.mkfifo(place.logs / "pipe.log")
    (place.logs / ".log").write_text("")
    assert json.loads((await fetch("logs")).body) == {"logs": []}
    place.logs.joinpath("stages").rmdir()
    assert json.loads((await fetch("logs")).body) == {"logs": []}


@pytest.mark.parametrize(
    "name",
    ["none", "..%2Fsecret", "%2Fetc%2Fpasswd", "stages%2Fnodes", "init.log", "link", "pipe", "%00", "..", "init%0A"],
)
async def test_no_other_file_is_a_log(place: Place, fetch: Fetch, name: str) -> None:
    (place.root / "secret.log").write_text("secret")
    (place.logs / "init.log").write_text("hello\n")
    (place.logs / "link.log").symlink_to(place.root / "secret.log")
    os.mkfifo(place.logs / "pipe.log")
    (place.logs / "stages" / "nodes.log").write_text("stage")
    for more in ("", "?follow=1"):
        answer = await fetch(f"logs/{name}{more}")
        assert answer.code == 404
        assert b"secret" not in answer.body


async def test_a_log_that_is_not_there_says_so(place: Place, fetch: Fetch) -> None:
    answer = await fetch("logs/none")
    assert json.loads(answer.body) == {
        "message": "There is no log of this name (yet); what runs later writes its log later."
    }


@pytest.mark.parametrize(
    ("content", "lines", "text"),
    [
        ("", 5, ""),
        ("a\nb\nc\n", 2, "b\nc\n"),
        ("a\nb\nc", 2, "b\nc"),
        ("a\nb\nc\n", 3, "a\nb\nc\n"),
        ("a\nb\nc\n", 99, "a\nb\nc\n"),
        ("a\n\n\n", 2, "\n\n"),
        ("a\n", 0, ""),
        ("only", 1, "only"),
    ],
)
async def test_the_last_lines(place: Place, fetch: Fetch, content: str, lines: int, text: str) -> None:
    (place.logs / "init.log").write_text(content)
    answer = json.loads((await fetch(f"logs/init?lines={lines}")).body)
    assert answer == {"text": text, "size": len(content), "offset": len(content)}


@pytest.mark.parametrize("query", ["lines=x", "lines=-1", "lines=", "follow=1&offset=-5", "offset=1e3", "lines=²"])
async def test_no_numbers(place: Place, fetch: Fetch, query: str) -> None:
    (place.logs / "init.log").write_text("hello\n")
    answer = await fetch(f"logs/init?{quote(query, safe='=&')}")
    assert (answer.code, json.loads(answer.body)["message"]) == (
        400,
        "`lines` and `offset` are whole numbers, not below 0.",
    )


async def test_a_log_of_100_megabytes(place: Place, fetch: Fetch) -> None:
    line = "x" * 99 + "\n"
    with (place.logs / "app.log").open("w") as file:
        for _ in range(100):
            file.write(line * 10_000)
        file.write("the end\n")
    before = bytes_read()
    answer = json.loads((await fetch("logs/app")).body)
    assert bytes_read() - before < 400_000
    assert answer["size"] == answer["offset"] == 100_000_008
    assert answer["text"] == line * 199 + "the end\n"
    before = bytes_read()
    answer = json.loads((await fetch("logs/app?lines=1000000")).body)
    assert bytes_read() - before < 1_000_000
    assert len(answer["text"]) <= 256 * 1024
    assert answer["text"].startswith(line) and answer["text"].endswith("the end\n")


async def test_one_endless_line(place: Place, fetch: Fetch) -> None:
    (place.logs / "app.log").write_text("ü" * 300_000)
    answer = json.loads((await fetch("logs/app")).body)
    assert set(answer["text"]) == {"ü"}
    assert 260_000 < len(answer["text"].encode()) <= 256 * 1024


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\x1b[1;31mred\x1b[0m", "red"),
        (b"\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "alink"),
        (b"\x1b(Ba\x1b7b\x1b=c", "abc"),
        (b"\x1b[2J\x1b[Hgone", "gone"),
        ("\x9b31mred".encode(), "red"),
        (b"10%\r20%\r\n30%", "10%\n20%\n30%"),
        (b"a\tb\x00c\x07d\x7fe", "a\tb␀c␇d␡e"),
        (b"\x1b\x1b\x1b.", "␛␛␛."),
        ("a\u202eb".encode(), "a\\u202eb"),
        ("a\u200eb\u2028c\ufeff".encode(), "a\\u200eb\\u2028c\\ufeff"),
        (b"\xff\xfe.", "��."),
        (b"<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
)
async def test_what_is_no_text_becomes_harmless(place: Place, fetch: Fetch, raw: bytes, text: str) -> None:
    (place.logs / "app.log").write_bytes(raw + b"\n")
    answer = await fetch("logs/app")
    assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(answer.body)["text"] == f"{text}\n"


async def text(client: Any, length: int) -> tuple[str, str | None]:
    """What comes, until it is that long; and where it ends."""
    found, last = "", Event("ping")
    while len(found) < length:
        last = await client.until(lambda event: event.name == "text")
        found += last.data
    return found, last.id


async def test_follow_from_where_the_tail_ended(place: Place, fetch: Fetch, listen: Listen) -> None:
    file = place.logs / "app.log"
    file.write_text("one\ntwo\n")
    answer = json.loads((await fetch("logs/app?lines=1")).body)
    async with listen(f"logs/app?follow=1&offset={answer['offset']}") as client:
        assert client.headers["Content-Type"] == "text/event-stream"
        assert await client.next() == Event("ping")
        with file.open("a") as log:
            log.write("three\n")
        assert await client.next() == Event("text", "three\n", "14")
    async with listen("logs/app?follow=1&offset=4") as client:
        assert await client.next() == Event("text", "two\nthree\n", "14")


async def test_what_came_since(place: Place, fetch: Fetch) -> None:
    file = place.logs / "app.log"
    file.write_bytes(b"one\ntwo\n\xe2\x82")
    assert json.loads((await fetch("logs/app?offset=4")).body) == {"text": "two\n", "size": 10, "offset": 8}
    assert json.loads((await fetch("logs/app?offset=8")).body) == {"text": "", "size": 10, "offset": 8}
    file.write_bytes(b"new\n")
    assert json.loads((await fetch("logs/app?offset=8")).body) == {"text": "new\n", "size": 4, "offset": 4}
    file.write_bytes(b"x" * 1_000_000)
    answer = json.loads((await fetch("logs/app?offset=1")).body)
    assert (len(answer["text"]), answer["offset"]) == (256 * 1024, 256 * 1024 + 1)


async def test_without_an_offset_only_what_is_new(place: Place, listen: Listen) -> None:
    file = place.logs / "app.log"
    file.write_text("old\n")
    async with listen("logs/app?follow=1") as client:
        await client.next()
        with file.open("a") as log:
            log.write("new\n")
        assert await text(client, 4) == ("new\n", "8")


async def test_follow_over_rotation(place: Place, listen: Listen) -> None:
    """As supervisord rotates: the old file gets another name, and a new one begins."""
    file = place.logs / "app.log"
    file.write_text("one\n")
    async with listen("logs/app?follow=1&offset=0") as client:
        assert await text(client, 4) == ("one\n", "4")
        with file.open("a") as log:
            log.write("last words")
        file.rename(place.logs / "app.log.1")
        file.write_text("new file\n")
        assert await text(client, 19) == ("last wordsnew file\n", "9")
        with file.open("a") as log:
            log.write("goes on\n")
        assert await text(client, 8) == ("goes on\n", "17")
        assert handles(place.logs / "app.log.1") == 0


def test_last_words_just_before_a_rotation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They come, and the file gets another name, between two looks of the follower: at the content, at the name."""
    file, look = tmp_path / "app.log", os.lstat
    file.write_text("one\n")
    follower = Follower(file, 0)
    assert follower.more() == "one\n"

    def rotate(path: Path) -> os.stat_result:
        monkeypatch.undo()
        with file.open("a") as log:
            log.write("last words\n")
        file.rename(tmp_path / "app.log.1")
        file.write_text("new file\n")
        return look(path)

    monkeypatch.setattr(os, "lstat", rotate)
    found = [follower.more() for _ in range(4)]
    follower.close()
    assert "".join(found) == "last words\nnew file\n"


async def test_follow_over_truncation(place: Place, listen: Listen) -> None:
    file = place.logs / "app.log"
    file.write_text("a long line that was here before\n")
    async with listen("logs/app?follow=1&offset=0") as client:
        await text(client, 33)
        file.write_text("new\n")
        assert await text(client, 4) == ("new\n", "4")


async def test_follow_where_letters_and_sequences_are_cut(place: Place, listen: Listen) -> None:
    file = place.logs / "app.log"
    file.write_bytes(b"")
    pieces = [b"a\xe2", b"\x82", b"\xacb\x1b[3", b"1mred\x1b", b"[0m\x1b]0;ti", b"tle\x07end"]
    async with listen("logs/app?follow=1&offset=0") as client:
        found = ""
        for piece, wanted in zip(pieces, ["a", "", "€b", "red", "", "end"], strict=True):
            with file.open("ab") as log:
                log.write(piece)
            if wanted:
                found += (await text(client, 1))[0]
        assert found == "a€bredend"


async def test_the_tail_ends_before_what_is_cut(place: Place, fetch: Fetch) -> None:
    (place.logs / "app.log").write_bytes(b"one\ntwo\xe2\x82")
    assert json.loads((await fetch("logs/app")).body) == {"text": "one\ntwo", "size": 9, "offset": 7}


async def test_a_follower_that_goes_leaves_no_open_file(
    place: Place, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where no ping comes that would find it gone."""
    monkeypatch.setattr("firstlight_lab.handlers.PING", 600.0)
    file = place.logs / "app.log"
    file.write_text("one\n")
    async with listen("logs/app?follow=1&offset=0") as client:
        await client.next()
        assert handles(file) == 1

    async def closed() -> bool:
        return handles(file) == 0

    await eventually(closed)


async def test_a_large_log_is_followed_in_pieces(place: Place, listen: Listen) -> None:
    (place.logs / "app.log").write_text("x" * 999_999 + "\n")
    async with listen("logs/app?follow=1&offset=0") as client:
        first = await client.next()
        assert len(first.data) <= 256 * 1024
        rest, end = await text(client, 1_000_000 - len(first.data))
        assert (len(first.data) + len(rest), end) == (1_000_000, "1000000")
