"""`GET state` and `GET files/SET`, on good days and bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tornado.httpclient import HTTPResponse

from init import state
from tests.lab.conftest import Fetch
from tests.lab.support import Place, eventually, snapshot_with


def body(answer: HTTPResponse) -> dict[str, Any]:
    assert answer.code == 200
    found = json.loads(answer.body)
    assert isinstance(found, dict)
    return found


async def problem(fetch: Fetch, kind: str) -> dict[str, Any]:
    """The answer, once it has this problem."""

    async def look() -> dict[str, Any] | None:
        found = body(await fetch("state"))
        return found if found["problem"] and found["problem"]["kind"] == kind else None

    found = await eventually(look, what=kind)
    assert found is not None
    return found


async def test_state_is_the_runners_own_without_files(place: Place, fetch: Fetch) -> None:
    place.write(files=3)
    with place.runner():
        found = body(await fetch("state"))
    assert (found["alive"], found["problem"]) == (True, None)
    written = json.loads((place.run / "state.json").read_text())
    del written["files"]
    assert found["state"] == written


async def test_fields_that_nobody_here_knows_are_passed_on(place: Place, fetch: Fetch) -> None:
    data = json.loads(state.dump(snapshot_with()))
    data |= {"headline": {"text": "Test in about 6 min", "tone": "busy"}, "sets": [{"name": "big"}], "later": [1]}
    (place.run / "state.json").write_text(json.dumps(data))
    found = body(await fetch("state"))["state"]
    assert (found["headline"]["text"], found["sets"], found["later"]) == ("Test in about 6 min", [{"name": "big"}], [1])


async def test_run_folder_comes_before_the_workspace(place: Place, fetch: Fetch) -> None:
    place.write(place.state, image="old")
    assert body(await fetch("state"))["state"]["image"] == "old"
    place.write(place.run, image="new")

    async def new() -> bool:
        return bool(body(await fetch("state"))["state"]["image"] == "new")

    await eventually(new)


async def test_files_of_a_set(place: Place, fetch: Fetch) -> None:
    files = [state.FileState("a", "one"), state.FileState("b", "two words/ü", "done")]
    snapshot = snapshot_with()
    snapshot.files = files
    (place.run / "state.json").write_text(state.dump(snapshot))
    assert [file["path"] for file in body(await fetch("files/one"))["files"]] == ["a"]
    answer = body(await fetch(f"files/{quote('two words/ü', safe='')}"))
    assert [file["state"] for file in answer["files"]] == ["done"]


@pytest.mark.parametrize("name", ["none", "..%2F..%2Fetc%2Fpasswd", "%00", "__class__"])
async def test_no_files_of_a_set_that_is_unknown(place: Place, fetch: Fetch, name: str) -> None:
    place.write(files=3)
    assert body(await fetch(f"files/{name}")) == {"files": []}


async def test_unchanged_is_304(place: Place, fetch: Fetch) -> None:
    place.write(files=3)
    for path in ("state", "files/big"):
        first = await fetch(path)
        again = await fetch(path, headers={"If-None-Match": first.headers["Etag"]})
        assert (again.code, again.body) == (304, b"")
    place.write(files=4)

    async def changed() -> bool:
        return (await fetch("files/big", headers={"If-None-Match": first.headers["Etag"]})).code == 200

    await eventually(changed)


async def test_nothing_was_started(place: Place, fetch: Fetch) -> None:
    found = await problem(fetch, "missing")
    assert (found["state"], found["alive"]) == (None, False)
    assert found["problem"]["message"] == (
        f"Nothing was started here yet: there is no state.json in {place.run} or {place.state}."
    )
    assert found["problem"]["remedy"] == "If it stays so: `firstlight logs init` tells why the runner did not begin."
    assert body(await fetch("files/big")) == {"files": []}


async def test_folders_may_be_gone_altogether(place: Place, fetch: Fetch) -> None:
    (place.run).rmdir()
    (place.state).rmdir()
    (place.state.parent).rmdir()
    place.state.parent.write_text("a file where the workspace should be")
    await problem(fetch, "missing")


async def test_half_written_keeps_the_last_good_one(place: Place, fetch: Fetch) -> None:
    place.write(files=2, title="good")
    assert body(await fetch("state"))["state"]["title"] == "good"
    file = place.run / "state.json"
    file.write_text(file.read_text()[:200])
    found = await problem(fetch, "damaged")
    assert found["state"]["title"] == "good"
    assert len(body(await fetch("files/big"))["files"]) == 2
    assert found["problem"]["message"].startswith(f"{file} cannot be read: Expecting property name")
    assert found["problem"]["message"].endswith("What was known last is shown.")
    place.write(title="better")

    async def whole() -> bool:
        now = body(await fetch("state"))
        return bool(now["state"]["title"] == "better" and now["problem"]["kind"] == "silent")

    await eventually(whole)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("[1]", "no JSON object"),
        ('{"schema": "firstlight.state/1", "eta_s": NaN}', "NaN is no JSON"),
        ("[" * 100_000, "recursion"),
        ('"\udcff"', "decode"),
    ],
)
async def test_what_is_no_state(place: Place, fetch: Fetch, text: str, reason: str) -> None:
    (place.run / "state.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    found = await problem(fetch, "damaged")
    assert found["state"] is None
    assert reason in found["problem"]["message"]
    assert found["problem"]["remedy"] == (
        "The runner's next change writes it anew; until then `firstlight status` asks the runner itself."
    )


async def test_a_folder_in_the_states_place(place: Place, fetch: Fetch) -> None:
    (place.run / "state.json").mkdir()
    assert "Is a directory" in (await problem(fetch, "damaged"))["problem"]["message"]


@pytest.mark.parametrize("files", [None, {}, "x", [1, None, "x"]])
async def test_files_of_another_kind_are_left_out(place: Place, fetch: Fetch, files: object) -> None:
    (place.run / "state.json").write_text(json.dumps({"schema": state.SCHEMA, "title": "t", "files": files}))
    found = await problem(fetch, "silent")
    assert found["state"] == {"schema": state.SCHEMA, "title": "t"}
    assert found["problem"]["message"] == "The runner does not run: this was so earlier."


async def test_another_version(place: Place, fetch: Fetch) -> None:
    (place.run / "state.json").write_text(json.dumps({"schema": "firstlight.state/2", "wonders": []}))
    found = await problem(fetch, "version")
    assert found["state"] is None
    assert found["problem"]["message"] == (
        f"{place.run}/state.json was written by another version of Firstlight: 'firstlight.state/2', "
        "and this panel reads 'firstlight.state/1'."
    )
    assert found["problem"]["remedy"].startswith("Start a container of this image again")


async def test_runner_dies_and_comes_back(place: Place, fetch: Fetch) -> None:
    place.write(updated=0.0 + 1_700_000_000)
    with place.runner():
        assert body(await fetch("state"))["alive"] is True
    found = await problem(fetch, "silent")
    assert (found["alive"], found["state"]["title"]) == (False, "Test")
    assert found["problem"]["message"].startswith("The runner does not run: this was so at ")
    assert found["problem"]["remedy"] == "supervisor starts it again; `firstlight logs init` tells why it ended."
    with place.runner():

        async def back() -> bool:
            return bool(body(await fetch("state"))["alive"])

        await eventually(back)


async def test_five_thousand_files_in_one_set(place: Place, fetch: Fetch) -> None:
    place.write(files=5000)
    assert (place.run / "state.json").stat().st_size > 800_000
    answer = await fetch("state")
    assert len(answer.body) < 4000
    assert len(body(await fetch("files/big"))["files"]) == 5000


async def test_hostile_text_stays_text(place: Place, fetch: Fetch) -> None:
    text = "<script>alert(1)</script>\x1b[31m\u202e" + "x" * 10_000 + "\n\ndata: {}\n\n"
    snapshot = snapshot_with(title=text)
    snapshot.files = [state.FileState(text, text)]
    (place.run / "state.json").write_text(state.dump(snapshot))
    answer = await fetch("state")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert body(answer)["state"]["title"] == text
    assert b"\n" not in answer.body and b"\x1b" not in answer.body


def test_reader_parses_once_for_every_change(place: Place) -> None:
    from firstlight_lab.reading import Reader

    place.write(files=3)
    reader = Reader(place.run, place.state)
    first = reader.look()
    assert reader.look() is first
    Path(place.run, "state.json").touch()
    again = reader.look()
    assert again is not first and again == first
