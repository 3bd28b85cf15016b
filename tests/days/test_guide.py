"""The set-up guide in a container: run from top to bottom, again, in any order, and to repair what failed."""

from __future__ import annotations

from collections.abc import Iterator

import docker as docker_sdk
import pytest
from playwright.sync_api import expect

from tests.days import visomaster
from tests.days.victims import kill
from tests.days.visomaster import House, cells, stage
from tests.images.machine import Machine, started
from tests.panel.browsers import chromium
from tests.panel.conftest import photograph
from tests.waiting import until

pytestmark = pytest.mark.timeout(1200)
CALLS = {
    "guide.overview()": "What it means: ",
    "guide.environment()": "What is so: Python environment app: Python 3.",
    "guide.cuda()": "What is so: app: none of its packages uses a GPU.",
    "guide.requirements()": "What is so: There is no /workspace/requirements.txt: the image's own list is installed.",
    "guide.code()": "The image's own code is used.",
    "guide.models()": "What is so: 6 sets of models: 57 files, 22.8 MB, all here.",
    "guide.launch()": "VisoMaster: its window is on the desktop; open that from the panel on the right",
    "guide.repair()": "What is so: Nothing has failed.",
    "guide.logs()": "Nothing has failed. These logs there are;",
    "guide.services()": "visomaster running",
    "guide.gpu()": "What is so: No NVIDIA driver answers in this container",
}
"""What each cell says once all is well."""


@pytest.fixture(scope="module")
def machine(docker: docker_sdk.DockerClient, house: House, image: str) -> Iterator[Machine]:
    """A guided start, with a guide from a git remote."""
    house.publish("first edition")
    with started(docker, house.loaded, image, {"SETUP": "guided", "NOTEBOOK_REPO_URL": house.guides}) as machine:
        yield machine


def models_asked(house: House) -> int:
    return sum(len(house.origin.requests(f"{name}/*")) for name in house.loaded.manifest.models.sets)


def whole(machine: Machine) -> None:
    """Everything is set up, and the app runs."""
    told = machine.state()
    assert {one["id"]: one["state"] for one in told["stages"]} == dict.fromkeys(
        [one["id"] for one in told["stages"]], "done"
    )
    assert {one["state"] for one in told["services"]} == {"ready"}
    until(lambda: "VisoMaster stands in" in machine.run("xwininfo", "-root", "-tree"), within=30, what="its window")


def test_a_guided_start_waits_even_for_a_killed_runner(machine: Machine, house: House) -> None:
    for _ in range(2):
        until(lambda: stage(machine, "guide")["state"] == "done", within=60, what="the guide is there")
        until(
            lambda: [one["state"] for one in machine.state()["services"]].count("ready") == 3,
            within=60,
            what="a desktop",
        )
        told = machine.state()
        waiting = {one["id"]: one["message"] for one in told["stages"] if one["id"] != "guide"}
        for key, message in waiting.items():
            assert message == f"waits for you: run its cell in {visomaster.GUIDE}, or `firstlight start {key}`"
        assert {one["state"] for one in told["stages"] if one["id"] != "guide"} == {"waiting"}
        assert {one["id"] for one in told["services"] if one["state"] == "waiting"} == {"visomaster"}
        assert told["headline"]["text"] == "VisoMaster waits for you: 1 of 10 steps done, begin the next one"
        kill(machine, "init")
    assert models_asked(house) == 0
    assert machine.get(machine.loaded.manifest.jupyter.port, "/api").status == 200


def test_from_top_to_bottom_it_sets_everything_up(machine: Machine) -> None:
    said = cells(machine, keep=True)
    for call, words in CALLS.items():
        assert words in said[call] or call == "guide.overview()", (call, said[call])
    assert "This machine was started with SETUP=guided" in said["guide.overview()"]
    assert "VisoMaster stands in" in machine.run("cat", "/var/log/supervisor/visomaster.log")
    whole(machine)


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_again_and_in_any_order_it_does_nothing_twice(machine: Machine, house: House, seed: int | None) -> None:
    before, asked = machine.state(), len(house.origin.log)
    said = cells(machine, seed=seed)
    assert list(said) != list(CALLS) or seed is None
    for call, words in CALLS.items():
        assert words in said[call], (call, said[call])
    after = machine.state()
    assert [one["started"] for one in after["stages"]] == [one["started"] for one in before["stages"]]
    assert [one["started"] for one in after["services"]] == [one["started"] for one in before["services"]]
    assert len(house.origin.log) == asked


def test_it_reads_well_in_jupyterlab(machine: Machine) -> None:
    place = f"/lab/tree/workspace/{visomaster.GUIDE}?token={machine.token}"
    with chromium() as browser:
        page = browser.new_context(viewport={"width": 1280, "height": 1500}).new_page()
        page.goto(machine.url(machine.loaded.manifest.jupyter.port, place))
        page.locator(".jp-Notebook .jp-MarkdownOutput h1").wait_for(timeout=60_000)
        page.locator("#jupyterlab-splash").wait_for(state="detached")
        page.get_by_text("Set-up guide | Idle").wait_for(timeout=60_000)
        page.keyboard.press("Control+Shift+C")
        page.locator("#modal-command-palette input").fill("Run All Cells")
        page.locator("#modal-command-palette .lm-CommandPalette-item", has_text="Run All Cells").first.click()
        last = page.locator(".jp-OutputArea-output", has_text="No NVIDIA driver answers in this container")
        last.first.wait_for(timeout=120_000)
        assert page.locator(".jp-OutputArea-output", has_text="What it means").count() >= 8
        assert page.locator('[data-mime-type="application/vnd.jupyter.error"], .jp-RenderedError').count() == 0
        page.locator(".jp-Notebook .jp-MarkdownOutput h1").scroll_into_view_if_needed()
        expect(page.locator(".jp-Notebook .jp-OutputArea-output").first).to_be_in_viewport()
        photograph(page, "setup-guide")


def test_what_was_run_is_no_edit_and_an_edit_stays(machine: Machine, house: House) -> None:
    commit = house.publish("second edition")
    machine.run("firstlight", "retry", "guide")
    until(lambda: commit[:12] in stage(machine, "guide").get("message", ""), what="the second edition")
    assert stage(machine, "guide")["message"].endswith("; brought up to date")
    machine.run("sed", "-i", "s/second edition/my edition/", f"/workspace/{visomaster.GUIDE}")
    commit = house.publish("third edition")
    machine.run("firstlight", "retry", "guide")
    until(lambda: commit[:12] in stage(machine, "guide").get("message", ""), what="the third edition")
    assert "the newer one lies beside it, Setup_Guide.incoming.ipynb" in stage(machine, "guide")["message"]
    assert "my edition" in machine.run("cat", f"/workspace/{visomaster.GUIDE}")
    assert "third edition" in machine.run("cat", "/workspace/Setup_Guide.incoming.ipynb")


def test_what_the_user_uploads_is_used_or_passed_over_with_the_reason(machine: Machine) -> None:
    def put(path: str, text: str) -> None:
        machine.run(
            "sh", "-c", f'mkdir -p "$(dirname /workspace/{path})"; printf %s "$1" > /workspace/{path}', "-", text
        )

    put("requirements.txt", "tqdm==4.66.6\ncolorama==0.4.6\n")
    put("VisoMaster/readme.md", "not the code")
    put("dependencies/ffmpeg", "a program")
    said = cells(machine, only="guide.requirements")["guide.requirements()"]
    assert "your requirements.txt is used (lines: 2); what it does not name comes from the image's list" in said
    installed = machine.run("/opt/envs/app/bin/python", "-m", "pip", "list", "--format=freeze")
    assert {"tqdm==4.66.6", "colorama==0.4.6"} <= set(installed.split())

    said = cells(machine, only="guide.code")["guide.code()"]
    assert "your code in VisoMaster has no main.py" in said
    assert "What to do: Correct your code in VisoMaster or take it away, then run this cell again." in said
    assert "1 file of yours in dependencies" in stage(machine, "visomaster")["message"]
    assert machine.run("cat", "/opt/src/visomaster/dependencies/ffmpeg") == "a program"

    put("VisoMaster/main.py", "print('my own code', flush=True)\n" + visomaster.APP)
    put("requirements.txt", "tqdm==999\n")
    said = cells(machine, only="guide.code")["guide.code()"]
    assert "Your code is used, as it is: git does not touch it." in said
    assert "`!firstlight retry service:visomaster` starts it again" in said
    machine.run("firstlight", "retry", "service:visomaster")
    until(
        lambda: "my own code" in machine.run("cat", "/var/log/supervisor/visomaster.log"), what="the user's code runs"
    )
    said = cells(machine, only="guide.requirements")["guide.requirements()"]
    assert "your requirements.txt is not used: the packages asked for do not fit together:" in said
    assert "the image's own list is installed" in said
    assert machine.state()["headline"]["text"].startswith("VisoMaster runs without your requirements.txt: ")


def test_in_a_random_order_with_a_download_that_fails_its_own_cell_repairs_it(
    docker: docker_sdk.DockerClient, house: House, image: str
) -> None:
    house.origin.fault("status", "core/det_10g.onnx", status=404)
    with started(docker, house.loaded, image, {"SETUP": "guided"}) as machine:
        until(lambda: stage(machine, "guide")["message"] == f"{visomaster.GUIDE} of the image is used", within=60)
        cells(machine, seed=5)
        said = cells(machine)
        assert "det_10g.onnx" in said["guide.models()"] and "guide.repair()" in said["guide.models()"]
        assert "VisoMaster cannot swap a face and does not start." in said["guide.models()"]
        assert "cannot start: models:core failed" in said["guide.launch()"]
        assert "det_10g.onnx" in said["guide.repair()"] and "det_10g.onnx" in said["guide.logs()"]
        house.origin.clear()
        said = cells(machine, only="guide.repair")
        assert "What is so: Repaired: models:core." in said["guide.repair()"]
        until(lambda: visomaster.app(machine)["state"] == "ready", within=60, what="the app")
        whole(machine)
