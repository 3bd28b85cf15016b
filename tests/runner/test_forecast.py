"""What `plan` foretells, and whether a start then goes like that."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from images import forecast, planning
from images.forecast import GOODPUT
from init import history, journal
from init.fetch.job import Want
from init.fetch.queue import Queue
from init.plan import Plan, Stage
from init.specs import FileSpec, ModelsSpec
from manifests import load, lock
from tests.origin import Origin
from tests.origin.content import Generated
from tests.ports import free_port
from tests.runner.support import House, service, web

SMALLER = 2000
"""How much smaller than the true ones the files are."""
RUNNER = f"""
import sys
from functools import partial
from init.fetch import fetcher, workers
fetcher.Tuning = partial(workers.Tuning, big=workers.Tuning.big // {SMALLER})
from init.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""`firstlight`, with what counts as a big file as much smaller."""
LINK = 4e6
NEAR = 0.05
"""Of the whole start: how far off the forecast may be."""
EACH = 4 * NEAR
"""The same of one model set, which shares the link with others: one of them ends 0.14 of it too early."""
TICK = 0.05


def planned(name: str) -> Plan:
    loaded = load.load(name)
    return planning.plan(loaded, lock.read(loaded))


def small(origin: Origin, stage: Stage) -> Stage:
    """A model set with files of the same number and proportions, at the origin."""
    assert isinstance(stage.spec, ModelsSpec)
    files = []
    for file in stage.spec.files:
        size = int((file.size or 2e9) / SMALLER)
        made = origin.hub("org/repo", file.path, Generated(file.url, size))
        files.append(FileSpec(file.path, made.url, made.commit, made.size, made.sha256))
    return replace(stage, spec=replace(stage.spec, files=files))


@contextmanager
def stalls() -> Iterator[list[float]]:
    """How many seconds this process was kept from its work, the origin with it: each time that it was more than a few
    ticks."""
    found: list[float] = []
    ended = threading.Event()

    def watch() -> None:
        since = time.monotonic()
        while not ended.wait(TICK):
            now = time.monotonic()
            if (late := now - since - TICK) > 4 * TICK:
                found.append(late)
            since = now

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


@pytest.mark.timeout(180)
def test_a_start_goes_as_foretold(tmp_path: Path, origin: Origin) -> None:
    """All model sets of ComfyUI at once over one link: the app after what it needs, the rest behind it."""
    stages = [small(origin, stage) for stage in planned("comfyui-wan22").stages if stage.kind == "models"]
    assert sum(len(stage.spec.files) for stage in stages if isinstance(stage.spec, ModelsSpec)) >= 28
    port = free_port()
    app = service("app", [sys.executable, "-m", "http.server", str(port)], "models:wan22-t2v-fp8", **web(port))
    house = House(tmp_path, stages, [app], program=("-c", RUNNER))
    chosen = {"MODEL_SETS": "all"}
    foretold = forecast.forecast(house.plan, LINK / GOODPUT, 2, chosen)
    assert foretold.unknown == 0
    origin.limit(LINK)
    with stalls() as found, house.running(HF_ENDPOINT=origin.url, **chosen):
        house.until({stage.id: "done" for stage in stages}, within=120)
    past = history.of(journal.events(house.paths.state))
    # The runner's own start, before the first byte, is measured elsewhere: at true sizes it is nothing.
    began = min(entry.at for entry in origin.requests(method="GET", server="cdn")) - past.started
    needed, last = (
        (max(past.of(key)[0].end or 0.0 for key in keys) - began, max(foretold.least[key].end for key in keys))
        for keys in (["models:wan22-t2v-fp8"], [stage.id for stage in stages])
    )
    lost = sum(found)
    assert needed[0] == pytest.approx(needed[1], abs=NEAR * last[1] + lost)
    assert last[0] == pytest.approx(last[1], abs=NEAR * last[1] + lost)
    for stage in stages:
        end = past.of(stage.id)[0].end or 0.0
        assert end - began == pytest.approx(foretold.least[stage.id].end, abs=EACH * last[1] + lost), stage.id


def test_what_is_foretold_of_comfyui() -> None:
    plan = planned("comfyui-wan22")
    found = forecast.forecast(plan, 125e6, 16, {})
    assert found.size(needed=True) == (35_577_569_479, 35_577_569_479)
    least, most = found.ready("service:comfyui")
    assert 35_577_569_479 / 125e6 < least < most < 3600
    assert {key for key in found.least if key.startswith("models:")} == {
        f"models:{name}" for name in ("wan22-t2v-fp8", "wan22-i2v-fp8", "lightx2v", "vace", "instareal", "upscale")
    }
    baked = forecast.forecast(planned("comfyui-wan22-full"), 125e6, 16, {})
    assert baked.ready("service:comfyui")[1] < most / 2, "nothing of it is compiled at the start"
    more = forecast.forecast(plan, 125e6, 16, {"MODEL_SETS": "+wan22-t2v-fp16,+nosuch"})
    assert more.size()[0] > found.size()[0] + 68e9
    assert more.ready("service:comfyui") == found.ready("service:comfyui"), "what is optional comes behind"
    assert len(more.problems) == 1 and "nosuch" in more.problems[0]
    slow, few = forecast.forecast(plan, 12.5e6, 16, {}), forecast.forecast(plan, 125e6, 4, {})
    assert slow.ready("service:comfyui")[0] > 9 * least and few.ready("service:comfyui")[1] > most


def test_what_is_foretold_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    loaded = load.load("demo")
    assert forecast.run_plan(loaded, lock.read(loaded), 125e6, 2, {}, env=["MODEL_SETS=none"], json=False) == 0
    said = capsys.readouterr().out
    assert said.startswith("Lightbox: a start on 2 cores and a link of 1 Gbit/s, as foreseen\n\nJupyterLab  within")
    assert "lightbox    in " in said and "models " not in said and "* waited for: app (" in said
    assert forecast.run_plan(loaded, lock.read(loaded), 125e6, 2, {}, env=[], json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["bytes_needed"], told["bytes_total"], told["unknown_files"]) == (
        [72_000_000] * 2,
        [264_000_000] * 2,
        0,
    )
    assert told["critical"][-1] == "service:lightbox" and set(told["spans"]) >= {"app", "cppn", "models:sketches"}
    assert forecast.run_plan(loaded, lock.read(loaded), 125e6, 2, {}, env=["2=x"], json=False) == 1
    assert "--env '2' is no variable" in capsys.readouterr().err


def test_an_image_in_which_nothing_is_set_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bare.yaml"
    file.write_text('manifest: 1\nname: bare\nimage: {base: "debian:12"}\n')
    loaded = load.load(str(file))
    assert forecast.run_plan(loaded, lock.read(loaded), 125e6, 2, {}, env=[], json=False) == 0
    assert capsys.readouterr().out.splitlines()[2:] == ["JupyterLab  within seconds", "everything  in about 1 s"]


def test_the_most_recent_wish_comes_first() -> None:
    queue = Queue()
    for rank, (name, required) in enumerate([("needed", True), ("first", False), ("second", False)]):
        want(queue, name, required, rank)
    want(queue, "wished", False, -1)
    for job in queue.jobs:
        job.state = "queued"
    assert [job.path for job in queue.waiting(1.0)] == [
        f"{name}/{file}" for name in ("needed", "wished", "first", "second") for file in ("big", "small")
    ]


def want(queue: Queue, name: str, required: bool, rank: int) -> None:
    wanted = Want(name, required, threading.Event(), None, rank, admitted=True)
    sizes = {"small": 10, "big": 10**9}
    queue.add(
        wanted, [FileSpec(f"{name}/{file}", f"hf://o/r/{name}/{file}", size=size) for file, size in sizes.items()]
    )
