"""Behind a cloud's proxy, as RunPod's: the panel goes on by itself, whatever the proxy does to answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from init import access
from tests.lab.support import Place
from tests.panel.front import Front, front
from tests.panel.servers import Lab, lab
from tests.panel.visits import STAGE, WITHIN, Visit, is_stream, tell, visiting

POD = "abc123def"
NAME = f"{POD}-8888.proxy.runpod.net"


@pytest.fixture(scope="module")
def server(newest: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab as an image sets it for a pod: reached under names that are not this machine's."""
    place = Place(tmp_path_factory.mktemp("place"))
    config = [
        "c.ServerApp.allow_remote_access = True",
        f"c.ServerApp.allow_origin_pat = {access.origins({'RUNPOD_POD_ID': POD})!r}",
        "c.ServerApp.trust_xheaders = True",
    ]
    with place.runner(), lab(newest, place, config=config) as found:
        yield found


Behind = Callable[..., AbstractContextManager[tuple[Front, Visit]]]


@pytest.fixture
def behind(server: Lab, browser: Browser, tmp_path: Path) -> Behind:
    """A visit through a proxy in front of the server, whose fields are the arguments."""

    @contextmanager
    def passing(**fields: Any) -> Iterator[tuple[Front, Visit]]:
        with front(tmp_path, {NAME: server.port}, **fields) as proxy:
            outside = {"server": f"http://127.0.0.1:{proxy.port}"}
            with visiting(browser, proxy=outside, ignore_https_errors=True) as visit:
                yield proxy, visit

    return passing


def test_streams_that_are_cut_are_opened_again_without_a_reload(server: Lab, behind: Behind) -> None:
    tell(server.place, "Lightbox in about 2 min")
    with behind(cut=4.0) as (proxy, visit):
        visit.arrive(f"https://{NAME}/lab?token={server.token}")
        visit.shows("Lightbox in about 2 min")
        link = visit.body.get_by_role("link", name="Open Lightbox in a new tab").first
        expect(link).to_have_attribute("href", f"https://{POD}-8188.proxy.runpod.net/")
        visit.mark()
        asked = len(visit.asked)
        for left, inner in ((90, ""), (60, ""), (30, "127.0.0.1:8888")):
            proxy.inner = inner  # some platforms' proxies keep the Host header, others write their own
            with visit.page.expect_response(is_stream, timeout=WITHIN):
                pass  # the next stream, after a cut
            tell(server.place, f"Lightbox in about {left} s")
            visit.shows(f"Lightbox in about {left} s")
            expect(visit.away).to_have_count(0)
            visit.retry(STAGE)
            expect(visit.said(STAGE)).to_have_text("Retry done.")
        assert len(proxy.cuts) >= 3
        assert set(visit.asked[asked:]) == {"events", "retry"}, "no change was asked for, each came through a stream"
        assert server.place.requests == [{"do": "retry", "stage": STAGE}] * 3

        server.stop()  # the proxy answers in its place: 502
        expect(visit.away).to_contain_text("The server is away", timeout=WITHIN)
        server.start()
        tell(server.place, "Lightbox is ready")
        visit.shows("Lightbox is ready")
        expect(visit.away).to_have_count(0)
        assert visit.marked


@pytest.mark.parametrize("cut", [2.0, 100.0], ids=["until a time-out", "for good"])
def test_where_streams_are_held_back_changes_are_asked_for(server: Lab, behind: Behind, cut: float) -> None:
    tell(server.place, "Lightbox in about 2 min")
    with behind(cut=cut, buffers=True) as (_, visit):
        visit.page.goto(f"https://{NAME}/lab?token={server.token}")
        visit.shows("Lightbox in about 2 min")
        visit.mark()
        for left in (60, 30):
            tell(server.place, f"Lightbox in about {left} s")
            visit.shows(f"Lightbox in about {left} s")
            expect(visit.away).to_have_count(0)
        assert "events" in visit.asked, "streams were tried"
        assert visit.marked


def test_streams_that_are_cut_at_once_are_given_up_for_a_while(server: Lab, behind: Behind) -> None:
    tell(server.place, "Lightbox in about 2 min")
    with behind(cut=0.5) as (_, visit):
        visit.arrive(f"https://{NAME}/lab?token={server.token}")
        given_up = ["state"] * 4  # between two streams there is one question only
        visit.page.wait_for_event("request", lambda _: visit.asked[-4:] == given_up, timeout=WITHIN)
        tell(server.place, "Lightbox in about 1 min")
        visit.shows("Lightbox in about 1 min")
        assert visit.asked.count("events") >= 3, "it was tried more than once"
        expect(visit.away).to_have_count(0)
