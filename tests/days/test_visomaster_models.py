"""VisoMaster's 57 models by their names: a container killed midway, and files that are not what they should be."""

from __future__ import annotations

from pathlib import Path

import docker as docker_sdk
import pytest

from tests.days.visomaster import House, stage
from tests.images.machine import started
from tests.waiting import until

pytestmark = pytest.mark.timeout(1200)
RATE = 3_000_000
WRONG, ONCE = "ghost_unet_1_block.onnx", "cscs_256.onnx"


def test_a_container_killed_midway_goes_on_and_fetches_nothing_twice(
    docker: docker_sdk.DockerClient, house: House, image: str
) -> None:
    origin = house.origin
    files = {key: file for key, file in origin.files.items() if key.endswith((".onnx", ".pth"))}
    assert len(files) == 57
    total = sum(file.size for file in files.values())
    origin.limit(RATE)
    with started(docker, house.loaded, image) as machine:
        until(lambda: sum(origin.sent(key) for key in files) > total / 2, within=120, what="half of the bytes")
        machine.container.kill("SIGKILL")
        machine.container.wait(timeout=30)
        asked = {key: len(origin.requests(key)) for key in files}
        mounts = {mount["Destination"]: mount["Source"] for mount in machine.container.attrs["Mounts"]}
        models = Path(mounts["/workspace"], "models")
        done = {key for key, file in files.items() if any(models.rglob(file.name))}
        assert 0 < len(done) < 57
        origin.limit(None)
        machine.container.start()
        told = machine.settled()
        assert told["phase"] == "ready", machine.run("firstlight", "status")
        shown = "VisoMaster stands in"
        until(lambda: shown in machine.run("xwininfo", "-root", "-tree"), within=30, what="the app has begun by itself")
        assert [key for key in done if len(origin.requests(key)) > asked[key]] == [], "what was there stays"
        # A file of less than one piece begins anew when another transport takes it over: twice at most.
        # What went to the dead container still runs into sockets: only what was asked for since counts.
        since = {key: sum(entry.sent for entry in origin.requests(key)[asked[key] :]) for key in files}
        assert {key for key, file in files.items() if since[key] > 2 * file.size} == set()
        sums = machine.run(
            "sh", "-c", "cd /workspace/models && find . -name '*.onnx' -o -name '*.pth' | xargs sha256sum"
        )
        found = {line.split()[0] for line in sums.splitlines()}
        assert found == {file.sha256 for file in files.values()}
        assert machine.run("find", "/workspace/models", "-name", "*.part*").split() == []


def test_a_wrong_one_is_fetched_again_or_named_with_what_it_means(
    docker: docker_sdk.DockerClient, house: House, image: str
) -> None:
    origin = house.origin
    once = origin.fault("corrupt", f"swappers/{ONCE}", times=1)
    origin.fault("corrupt", f"swappers/{WRONG}")
    with started(docker, house.loaded, image) as machine:
        told = machine.settled()
        assert once.met == 1
        assert {one["id"]: one["state"] for one in told["stages"] if one["state"] != "done"} == {
            "models:swappers": "failed"
        }
        swappers = stage(machine, "models:swappers")
        assert WRONG in swappers["message"] and "SHA-256" in swappers["message"] and ONCE not in swappers["message"]
        assert swappers["consequence"] == "Only the Inswapper model is there."
        assert told["headline"]["text"].startswith("VisoMaster runs without Further face swappers: ")
        there = machine.run("find", "/workspace/models", "-name", "*.onnx", "-o", "-name", "*.pth").split()
        assert len(there) == 56 and not any(name.endswith(WRONG) for name in there)

        origin.clear()
        machine.run("firstlight", "retry", "models:swappers")
        until(lambda: stage(machine, "models:swappers")["state"] == "done", within=60, what="the set is whole")
        until(lambda: machine.state()["phase"] == "ready", within=30, what="ready")
