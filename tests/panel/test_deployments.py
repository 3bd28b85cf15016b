"""The same wheel in the oldest and the newest JupyterLab, below a platform's path, and over a server's restart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from init import access, address
from init.control import Refused
from init.paths import Paths
from tests.lab.support import Place
from tests.panel.servers import Lab, lab
from tests.panel.visits import STAGE, WITHIN, Visit, is_stream, streams, tell, visiting

REFUSAL = "The disk is full; remove a model first"
PANEL_TAB = 'li.lm-TabBar-tab[data-id="firstlight-panel"]'


@pytest.fixture(scope="module", params=["oldest", "newest"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab of either version, with a runner that refuses the first thing that it is asked."""
    place = Place(tmp_path_factory.mktemp("place"))
    env: Path = request.getfixturevalue(request.param)
    with place.runner(refuses_once()), lab(env, place) as found:
        yield found


@pytest.fixture(scope="module")
def visit(server: Lab, browser: Browser) -> Iterator[Visit]:
    """The first visit to that server."""
    tell(server.place, "Lightbox in about 2 min")
    with visiting(browser) as found:
        yield found.arrive(server.url())


def refuses_once() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What a runner does that answers the second request."""
    refusals = iter([REFUSAL])

    def do(request: dict[str, Any]) -> dict[str, Any]:
        for refusal in refusals:
            raise Refused(refusal)
        return {"message": f"{request['stage']} begins again"}

    return do


def test_the_panel_opens_by_itself_and_follows_by_stream(server: Lab, visit: Visit) -> None:
    tell(server.place, "Lightbox in about 2 min")
    visit.shows("Lightbox in about 2 min")
    expect(visit.row("nodes")).to_have_attribute("data-look", "done")
    expect(visit.row(STAGE)).to_contain_text("The large pictures are missing")
    expect(visit.row("service:app")).to_have_attribute("data-look", "active")
    expect(visit.status).to_have_text("Lightbox in about 2 min")

    asked = len(visit.asked)
    for left in (90, 60, 30):
        tell(server.place, f"Lightbox in about {left} s")
        visit.shows(f"Lightbox in about {left} s")
        expect(visit.status).to_have_text(f"Lightbox in about {left} s")
    assert visit.asked[asked:] == [], "the changes came through the stream that was open"


def test_an_action_reaches_the_runner_and_its_answer_is_shown_beside_it(server: Lab, visit: Visit) -> None:
    visit.retry(STAGE)
    expect(visit.said(STAGE)).to_have_text(f"{REFUSAL}.")
    expect(visit.said(STAGE)).to_have_attribute("data-bad", "true")
    visit.retry(STAGE)
    expect(visit.said(STAGE)).to_have_text(f"{STAGE} begins again.")
    expect(visit.said(STAGE)).to_have_attribute("data-bad", "false")
    assert server.place.requests == [{"do": "retry", "stage": STAGE}] * 2


def test_the_app_and_the_panel_are_found_where_jupyterlab_lists_things(server: Lab, visit: Visit) -> None:
    tell(server.place, "Lightbox is ready", port=server.port, page="api")
    visit.shows("Lightbox is ready")
    page = visit.page
    with page.context.expect_page() as opened:
        page.locator(".jp-LauncherCard").get_by_text("Lightbox", exact=True).click()
    expect(opened.value).to_have_url(f"http://127.0.0.1:{server.port}/api")
    opened.value.close()

    expect(visit.body).to_be_visible()
    page.locator(PANEL_TAB).click()
    expect(visit.body).to_be_hidden()
    visit.status.click()
    expect(visit.body).to_be_visible()
    page.locator(PANEL_TAB).click()
    expect(visit.body).to_be_hidden()
    page.keyboard.press("Control+Shift+C")
    page.locator(".lm-CommandPalette-input:visible").fill("How the Start Goes")
    page.locator('.lm-CommandPalette-item[data-command="firstlight:show-panel"]').click()
    expect(visit.body).to_be_visible()


def test_a_tab_that_nobody_sees_leaves_its_connection_to_others(server: Lab, visit: Visit) -> None:
    """A browser has six to a host that speaks HTTP/1.1: as many tabs with a stream each would leave JupyterLab none."""
    tell(server.place, "Lightbox in about 2 min")
    visit.shows("Lightbox in about 2 min")
    with visit.page.expect_event("requestfailed", streams):
        visit.put("hidden")
    asked = len(visit.asked)
    tell(server.place, "Lightbox in about 1 min")
    with visit.page.expect_response(is_stream):
        visit.put("visible")
    visit.shows("Lightbox in about 1 min")
    assert visit.asked[asked:] == ["state", "events"], "it asked at once when it was seen again"


def test_a_server_that_is_started_again_is_waited_for_calmly(server: Lab, visit: Visit) -> None:
    tell(server.place, "Lightbox in about 2 min")
    visit.shows("Lightbox in about 2 min")
    visit.mark()
    server.stop()
    calm = re.compile(r"^The server is away, last seen .* Trying again; nothing needs a reload\.$")
    expect(visit.away).to_have_text(calm, timeout=WITHIN)
    visit.shows("Lightbox in about 2 min")
    expect(visit.status).to_have_attribute("data-stale", "true")

    tell(server.place, "Lightbox in about 1 min")
    server.start()
    visit.shows("Lightbox in about 1 min")
    expect(visit.away).to_have_count(0)
    expect(visit.status).to_have_attribute("data-stale", "false")
    tell(server.place, "Lightbox is ready")
    visit.shows("Lightbox is ready")
    visit.retry(STAGE)
    expect(visit.said(STAGE)).to_have_text(f"{STAGE} begins again.")
    assert visit.marked


def test_below_a_platforms_path_without_a_token_an_action_needs_the_xsrf_token(
    newest: Path, place: Place, browser: Browser
) -> None:
    """As Kubeflow has it: the platform asks who comes, Jupyter asks nobody."""
    tell(place, "Lightbox in about 2 min")
    environ = {"NB_PREFIX": "/notebook/u1/nb1", "JUPYTER_TOKEN": ""}
    token, base = access.jupyter_token(Paths(run=str(place.run)), environ), address.prefix(environ)
    asked_for = lab(newest, place, base=base, token=token, environ=environ)
    with place.runner(), asked_for as server, visiting(browser) as visit:
        root = f"http://127.0.0.1:{server.port}/notebook/u1/nb1/"
        visit.arrive(f"{root}lab")
        tell(place, "Lightbox in about 1 min")
        visit.shows("Lightbox in about 1 min")
        visit.retry(STAGE)
        expect(visit.said(STAGE)).to_have_text("Retry done.")

        retry, done = f"{root}firstlight/retry", [{"do": "retry", "stage": STAGE}]
        [cookie] = [each["value"] for each in visit.page.context.cookies(root) if each["name"] == "_xsrf"]
        assert visit.post(retry) == 403
        assert visit.post(retry, **{"X-XSRFToken": "made up"}) == 403
        assert place.requests == done
        assert visit.post(retry, **{"X-XSRFToken": cookie}) == 200
        assert place.requests == done * 2
        visit.page.context.clear_cookies()
        assert visit.post(retry, **{"X-XSRFToken": cookie}) == 403
        assert place.requests == done * 2
