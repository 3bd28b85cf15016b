"""Under JupyterHub: the panel of a user's own server, with the hub's cookies, behind the hub's proxy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.lab.support import Place
from tests.panel import hub
from tests.panel.visits import STAGE, WITHIN, Visit, is_stream, tell, visiting


@pytest.fixture(scope="session")
def hubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with JupyterHub, JupyterLab and the panel."""
    return hub.environment(tmp_path_factory.mktemp("hubs") / "env")


def log_in(page: Page, user: str) -> None:
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(hub.PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def arrive(house: hub.Hub, visit: Visit, user: str) -> None:
    """Log in; returns when JupyterLab is there and the panel's stream has been opened."""
    visit.page.goto(house.url)
    with visit.page.expect_response(is_stream, timeout=WITHIN) as streaming:
        log_in(visit.page, user)
    assert streaming.value.url.startswith(f"{house.url}user/{user}/firstlight/events")


def test_a_user_sees_and_steers_the_start_and_nobody_else_does(hubs: Path, place: Place, browser: Browser) -> None:
    tell(place, "Lightbox in about 2 min")
    with place.runner(), hub.hub(hubs, place) as house, visiting(browser) as visit:
        arrive(house, visit, "anna")
        visit.shows("Lightbox in about 2 min")
        asked = len(visit.asked)
        tell(place, "Lightbox in about 1 min")
        visit.shows("Lightbox in about 1 min")
        assert visit.asked[asked:] == [], "the change came through the stream that was open"
        visit.retry(STAGE)
        expect(visit.said(STAGE)).to_have_text("Retry done.")
        assert place.requests == [{"do": "retry", "stage": STAGE}]

        ours = f"{house.url}user/anna/firstlight/"
        assert visit.post(f"{ours}retry") == 403, "a page's script without the XSRF token"
        stranger = [house.get(f"/user/anna/firstlight/{path}") for path in ("state", "events", "logs/init")]
        stranger.append(house.get("/user/anna/firstlight/retry", "POST", json.dumps({"stage": STAGE})))
        assert stranger == [403] * 4
        other = browser.new_context()
        neighbour = other.new_page()
        neighbour.goto(f"{house.url}hub/login?next=%2Fhub%2Fhome")
        log_in(neighbour, "ben")
        expect(neighbour.get_by_role("button", name="Logout")).to_be_visible()
        assert [other.request.get(f"{ours}{path}").status for path in ("state", "events")] == [403, 403]
        other.close()
        assert len(place.requests) == 1

        restart(house, visit, place)


def restart(house: hub.Hub, visit: Visit, place: Place) -> None:
    """The user's server is stopped, and started again by the question that JupyterLab asks then: the panel waits, and
    goes on with the new login that the other tab has made."""
    visit.mark()
    home = visit.page.context.new_page()
    home.goto(f"{house.url}hub/home")
    home.get_by_role("button", name="Stop My Server").click()
    expect(visit.away).to_contain_text("The server is away", timeout=WITHIN)
    tell(place, "Lightbox is ready")
    question = visit.page.get_by_role("dialog")
    question.get_by_role("button", name="Restart").click(timeout=WITHIN)
    # It is asked again as long as the server is not there.
    visit.page.add_locator_handler(question, lambda: question.get_by_role("button", name="Dismiss").click())
    visit.shows("Lightbox is ready")
    expect(visit.away).to_have_count(0)
    visit.retry(STAGE)
    expect(visit.said(STAGE)).to_have_text("Retry done.")
    assert len(place.requests) == 2
    assert visit.marked
