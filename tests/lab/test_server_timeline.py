"""The picture of how a start went, drawn by the real `firstlight`; and the real runner behind all of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from traitlets.config import Config

from init.plan import Stage
from tests.lab.conftest import Fetch
from tests.lab.support import eventually
from tests.runner.support import ROOT, House, command


@pytest.fixture
def house(tmp_path: Path) -> House:
    stages: list[Stage] = [
        command("<b>", "true"),
        command("nodes", 'echo "looking for the key"; test -f "$0/key"'.replace("$0", str(tmp_path)), "<b>"),
    ]
    return House(tmp_path / "house", stages)


@pytest.fixture(name="command")
def firstlight(house: House) -> str:
    file = house.root / "firstlight"
    file.write_text(
        f"#!/bin/sh\nFIRSTLIGHT_PLAN={house.root}/home/plan.json PYTHONPATH={ROOT} exec {sys.executable} -m init.cli "
        '"$@"\n'
    )
    file.chmod(0o755)
    return str(file)


@pytest.fixture
def jp_server_config(jp_server_config: Config, house: House) -> Config:
    paths = house.paths
    jp_server_config.FirstlightLab |= {"run": paths.run, "state": str(paths.state), "logs": paths.logs}
    return jp_server_config


async def test_the_real_runner_seen_repaired_and_drawn(house: House, tmp_path: Path, fetch: Fetch) -> None:
    async def state() -> Any:
        return json.loads((await fetch("state")).body)

    async def nodes_is(wanted: str) -> Any:
        async def look() -> Any:
            now = await state()
            stages = now["state"]["stages"] if now["state"] else []
            return now if [s["state"] for s in stages if s["id"] == "nodes"] == [wanted] else None

        return await eventually(look, what=f"nodes is {wanted}")

    with house.running():
        found = await nodes_is("failed")
        assert (found["alive"], found["problem"]) == (True, None)
        assert "nodes" in json.loads((await fetch("logs")).body)["logs"]
        assert "looking for the key" in json.loads((await fetch("logs/nodes")).body)["text"]
        refused = await fetch("retry", post={"stage": "nothing"})
        assert (refused.code, json.loads(refused.body)["message"][:18]) == (409, "no stage 'nothing'")
        (tmp_path / "key").touch()
        answer = await fetch("retry", post={"stage": "nodes"})
        assert (answer.code, json.loads(answer.body)["message"]) == (200, "nodes starts again")
        await nodes_is("done")

    async def silent() -> Any:
        return (await state())["problem"]

    assert (await eventually(silent))["kind"] == "silent"
    assert (await fetch("retry", post={"stage": "nodes"})).code == 503

    answer = await fetch("timeline.svg")
    assert (answer.code, answer.headers["Content-Type"]) == (200, "image/svg+xml")
    assert ElementTree.fromstring(answer.body).tag == "{http://www.w3.org/2000/svg}svg"
    assert b"&lt;b&gt;" in answer.body and b"<b>" not in answer.body
    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "style-src 'unsafe-inline'", "sandbox"} <= set(policy)
    assert not any(directive.startswith("script-src") for directive in policy)


async def test_no_start_is_503_with_what_firstlight_says(house: House, fetch: Fetch) -> None:
    answer = await fetch("timeline.svg")
    assert (answer.code, json.loads(answer.body)) == (
        503,
        {"message": f"firstlight: no start is noted in {house.paths.state}/events.ndjson"},
    )
    assert answer.headers["Content-Type"] == "application/json"


class TestWithoutFirstlight:
    @pytest.fixture(name="command")
    def firstlight(self) -> str:
        return "/nowhere/firstlight"

    async def test_it_says_what_names_the_command(self, fetch: Fetch) -> None:
        answer = await fetch("timeline.svg")
        assert (answer.code, json.loads(answer.body)["message"]) == (
            503,
            "/nowhere/firstlight: No such file or directory; c.FirstlightLab.command names the command that draws",
        )


@pytest.mark.parametrize(
    ("script", "within", "said"),
    [
        ("exec sleep 60", 1.0, "`firstlight timeline` has not drawn it within 1 s; try again later"),
        ("exit 3", 30.0, "`firstlight timeline` ended with code 3"),
        ("echo nothing drawn", 30.0, "timeline.svg: No such file or directory; c.FirstlightLab.command names"),
    ],
)
def test_a_command_that_does_not_draw(tmp_path: Path, script: str, within: float, said: str) -> None:
    from firstlight_lab.timeline import Undrawn, draw

    program = tmp_path / "firstlight"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    with pytest.raises(Undrawn) as found:
        draw(str(program), within)
    assert said in str(found.value)
