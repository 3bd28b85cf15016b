"""The stream of states."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

import pytest

from tests.lab.conftest import Fetch, Listen
from tests.lab.support import Event, Place, eventually


def watches() -> list[asyncio.Task[Any]]:
    """Tasks that look at the state."""
    return [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__qualname__", "") == "Feed._keep_watch"]


async def nobody_watches() -> bool:
    return not watches()


def titled(title: str) -> Any:
    def look(event: Event) -> bool:
        return bool(event.data["state"]["title"] == title)

    return look


async def test_the_state_comes_at_once_and_whenever_it_changed(place: Place, fetch: Fetch, listen: Listen) -> None:
    place.write(title="one", files=3)
    with place.runner():
        async with listen("events") as client:
            assert client.headers["Content-Type"] == "text/event-stream"
            assert client.headers["Cache-Control"] == "no-cache, no-transform"
            assert client.headers["X-Accel-Buffering"] == "no"
            first = await client.next()
            assert first.name == "state"
            assert first.data == json.loads((await fetch("state")).body)
            place.write(title="two")
            assert (await client.next()).data["state"]["title"] == "two"


async def test_a_runner_that_dies_is_an_event(place: Place, listen: Listen) -> None:
    place.write()
    async with listen("events") as client:
        with place.runner():
            await client.until(lambda event: event.data["alive"])
        found = await client.until(lambda event: not event.data["alive"])
        assert found.data["problem"]["kind"] == "silent"


async def test_events_where_nothing_was_started(place: Place, listen: Listen) -> None:
    async with listen("events") as client:
        assert (await client.next()).data["problem"]["kind"] == "missing"
        place.write()
        assert (await client.next()).data["state"]["title"] == "Test"


async def test_a_start_is_never_taken_for_one_whose_runner_died(place: Place, listen: Listen) -> None:
    """The runner was looked for a moment ago, and was not there yet."""
    async with listen("events") as client:
        assert (await client.next()).data["problem"]["kind"] == "missing"
        with place.runner():
            place.write()
            found = await client.until(lambda event: event.data["state"])
            assert (found.data["alive"], found.data["problem"]) == (True, None)


async def test_two_clients_one_reader(place: Place, listen: Listen) -> None:
    place.write(title="one")
    await eventually(nobody_watches)
    async with listen("events") as first:
        await first.next()
        async with listen("events") as second:
            await second.next()
            assert len(watches()) == 1
            place.write(title="two")
            both = await asyncio.gather(first.until(titled("two")), second.until(titled("two")))
            assert both[0] == both[1]
        place.write(title="three")
        await first.until(titled("three"))
        assert len(watches()) == 1
    await eventually(nobody_watches, what="nobody looks when nobody listens")


async def test_a_client_that_goes_leaves_nothing_behind(
    place: Place,
    listen: Listen,
    jp_serverapp: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where no ping comes that would find it gone."""
    monkeypatch.setattr("firstlight_lab.handlers.PING", 600.0)
    place.write()
    streams = jp_serverapp.extension_manager.extension_apps["firstlight_lab"].copy().pop()._streams
    before = len(asyncio.all_tasks())
    for _ in range(5):
        async with listen("events") as client:
            await client.next()
            assert len(streams) == 1

        async def gone() -> bool:
            return not streams and not watches()

        await eventually(gone, what="gone without a ping")

    async def settled() -> bool:
        return len(asyncio.all_tasks()) <= before

    await eventually(settled)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_silent_stream_pings(place: Place, listen: Listen) -> None:
    place.write()
    with place.runner():
        began = time.monotonic()
        async with listen("events") as client:
            await client.next()
            # The panel gives a stream up that is silent for fifteen seconds.
            assert await client.next(within=15) == Event("ping")
            assert time.monotonic() - began > 4


async def test_many_changes_are_few_events(place: Place, listen: Listen) -> None:
    with place.runner():
        began, events = time.monotonic(), 0
        async with listen("events") as client:
            for number in range(60):
                place.write(title=f"number {number}")
                await asyncio.sleep(0.02)
            while True:
                event = await client.next()
                events += 1
                if event.data["state"] and event.data["state"]["title"] == "number 59":
                    break
            # At most two a second, and whoever is behind gets the newest, not all.
            assert events <= 1 + 2 * (time.monotonic() - began)


async def test_server_that_stops_ends_its_streams(
    place: Place, listen: Listen, jp_serverapp: Any, http_server: Any
) -> None:
    place.write()
    async with listen("events") as client:
        await client.next()
        extension = jp_serverapp.extension_manager.extension_apps["firstlight_lab"].copy().pop()
        await extension.stop_extension()
        assert extension._streams == set()
        with pytest.raises(EOFError):
            await client.until(lambda event: False)
