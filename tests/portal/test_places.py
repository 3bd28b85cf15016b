"""The ports of `PORTAL_CONFIG` and the places on the portal's own port: the real Caddy, real apps, real WebSockets."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from init import portal
from init.plan import Need, ServiceSpec
from init.portalconfig import Place, Settled
from tests.portal import house
from tests.portal.browser import HTML, ask, basic, bearer, query, websocket
from tests.portal.house import House
from tests.ports import free_port

Start = Callable[..., House]
StartApp = Callable[[int], subprocess.Popen[bytes]]
HOSTILE = "|".join(
    [
        "evil.example:7000:80:/:Elsewhere",
        "localhost:22:2222:/:Shell",
        "localhost:7000 {\n\trespond hacked\n}\n:17000:17000:/:Injected",
        "localhost:7001:17001:/{env.FIRSTLIGHT_TOKEN_0}:Token",
        "localhost:7002:17002:/:<script>alert(1)</script>",
        "localhost:7003:17003:/../../etc/passwd:Up",
    ]
)


def desktop() -> list[ServiceSpec]:
    web = ServiceSpec(
        "desktop-web", "Desktop", ["true"], [Need("service:desktop")], port=free_port(), listen=free_port()
    )
    window = ServiceSpec("painter", "Painter", ["true"], [Need("service:desktop")])
    return [ServiceSpec("desktop", "Screen", ["true"], []), web, window]


def outside(made: House) -> dict[str, object]:
    found: dict[str, object] = ask(made.plan.portal_port, "/.firstlight/outside.json", bearer("secret")).json
    return found


def test_a_port_is_served_with_the_portal_in_front(start_portal: Start, start_app: StartApp) -> None:
    external, internal = free_port(), free_port()
    config = f"localhost:{external}:{internal}:/ui:Tensorboard"
    made = start_portal("secret", {"PORTAL_CONFIG": config, "OPEN_BUTTON_TOKEN": "button"})
    page = ask(external, "/", {**bearer("secret"), **HTML})
    assert (page.status, page.headers["x-firstlight"]) == (503, "holding"), "it is not there yet"
    start_app(internal)

    cookie = ask(external, "/?token=button").cookie
    for path in ("/", "/x?a=1", "/.firstlight/logs/", "/.firstlight/state.json"):
        for method in ("GET", "POST", "DELETE"):
            assert ask(external, path, method=method).status == 401, path
    assert websocket(external, "/ws", {})[0] == 401
    for headers in (bearer("secret"), bearer("button"), basic("vastai", "button"), {"Cookie": cookie}):
        seen = ask(external, "/x?a=1", headers).json
        assert seen["path"] == "/x?a=1", headers
        assert not {"authorization"} & set(seen["headers"]) and cookie not in str(seen["headers"])
        assert websocket(external, "/ws", headers) == (101, "hello /ws"), headers
    assert websocket(external, f"/ws?{query('button')}", {}) == (101, "hello /ws")
    origin = {"Cookie": cookie, "Origin": "https://elsewhere.example"}
    assert websocket(external, "/ws", origin)[0] == 403

    expected = {"name": "Tensorboard", "path": "/ui", "port": external, "lab": False}
    assert outside(made)["places"] == [expected]


def test_hostile_values_change_nothing_and_are_told(start_portal: Start, start_app: StartApp) -> None:
    external, internal = free_port(), free_port()
    config = f"{HOSTILE}|localhost:{external}:{internal}:/:Fine"
    made = start_portal("secret", {"PORTAL_CONFIG": config})
    start_app(internal)
    assert ask(external, "/x", bearer("secret")).json["path"] == "/x", "the rest works"
    log = (made.logs / "portal.log").read_text()
    problems = outside(made)["problems"]
    assert isinstance(problems, list) and len(problems) == 6
    for number, problem in enumerate(problems, 1):
        assert problem.startswith(f"PORTAL_CONFIG, item {number}, ")
        assert f"firstlight serve portal: {problem}\n" in log
    assert "secret" not in log
    for number in (7000, 7001, 7002, 7003, 17000):
        with pytest.raises(OSError):
            ask(number, "/")
    page = ask(made.plan.portal_port, "/", bearer("secret")).text
    assert "alert(1)" not in page and "Elsewhere" not in page


def test_a_secret_in_it_is_not_repeated(start_portal: Start) -> None:
    made = start_portal("secret-token", {"PORTAL_CONFIG": "localhost:x:1:/?token=secret-token:A|secret-token"})
    assert "secret-token" not in (made.logs / "portal.log").read_text()
    assert "PORTAL_CONFIG, item 2" in (made.logs / "portal.log").read_text()


def test_a_port_that_is_taken_costs_that_port_only(start_portal: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken, free = other.getsockname()[1], free_port()
        config = f"localhost:{taken}:{free_port()}:/:Taken|localhost:{free}:{free_port()}:/:Free"
        made = start_portal("secret", {"PORTAL_CONFIG": config})
        assert ask(free, "/", bearer("secret")).status == 503
        assert outside(made)["problems"] == [
            f"PORTAL_CONFIG: port {taken} is another program's already; choose another port."
        ]
        assert [place["name"] for place in outside(made)["places"]] == ["Free"]  # type: ignore[attr-defined]


def test_what_caddy_refuses_is_left_out(tmp_path: Path) -> None:
    """Whatever the reason: the portal must come up."""
    made = house.build(tmp_path)
    config = made.home / "etc" / "Caddyfile"
    config.write_text(config.read_text().replace("(entry)", "(another)"))
    before = Settled([Place("A", "/", 7000), Place("Logs", "/logs/")], {7000: 17000})
    after = portal._served(before, made.plan, {"PATH": "/usr/bin:/bin"}, config)
    assert (after.places, after.forwards) == ([Place("Logs", "/logs/")], {})
    assert after.problems[0].startswith("PORTAL_CONFIG: none of its ports can be served, Caddy says: ")
    assert "File to import not found: entry" in after.problems[0]


def test_desktop_on_the_portals_own_port(start_portal: Start, start_app: StartApp) -> None:
    services = desktop()
    made = start_portal("secret", {"OPEN_BUTTON_TOKEN": "button"}, services=services)
    where, web = made.plan.portal_port, services[1]
    cookie = {"Cookie": ask(where, "/?token=button").cookie}
    waiting = ask(where, "/vnc/", {**cookie, **HTML})
    assert (waiting.status, waiting.headers["x-firstlight"]) == (503, "holding")
    (made.run / "state.json").write_text("{}")
    state = ask(where, "/.firstlight/state.json", cookie)
    assert state.headers["x-firstlight-service"] == "desktop-web", "the page tells of what it waits for"

    start_app(web.listen or 0)
    for path in ("/vnc", "/vnc/", "/vnc/vnc.html", "/websockify", "/vnc/websockify"):
        assert ask(where, path).status == 401, path
        assert ask(where, path, method="POST").status == 401, path
        assert websocket(where, path, {})[0] == 401, path
        assert websocket(where, path, {**cookie, "Origin": "https://elsewhere.example"})[0] == 403, path
    assert ask(where, "/vnc", cookie).headers["location"] == "/vnc/"
    for headers in (cookie, bearer("secret"), bearer("button"), basic("vastai", "button")):
        seen = ask(where, "/vnc/vnc.html?path=websockify", headers).json
        assert seen["path"] == "/vnc.html?path=websockify"
        assert "button" not in str(seen["headers"]) and "firstlight_" not in str(seen["headers"])
        for path in ("/vnc/websockify", "/websockify"):
            assert websocket(where, path, headers) == (101, "hello /websockify"), headers
    page = ask(where, "/", {**cookie, **HTML}).text
    assert page.index("<b>Desktop</b>") < page.index("<b>JupyterLab</b>") < page.index("<b>Painter</b>")
    assert 'href="/vnc/" data-service="painter"' in page, "an app whose window is there"
    assert f'data-port="{web.port}"' not in page, "its own port may not be open"


def test_a_page_of_the_desktop_that_is_not_the_first(start_portal: Start, start_app: StartApp) -> None:
    web = ServiceSpec(
        "desktop", "Desktop", ["true"], [], port=free_port(), listen=free_port(), open="/vnc.html?a=1&b=2"
    )
    made = start_portal("secret", services=[web])
    assert ask(made.plan.portal_port, "/vnc/", bearer("secret")).headers["location"] == "/vnc/vnc.html?a=1&b=2"
    assert web.port is not None and ask(web.port, "/").status == 401
    assert ask(web.port, "/", bearer("secret")).headers["location"] == "/vnc.html?a=1&b=2"
    start_app(web.listen or 0)
    assert ask(web.port, "/vnc.html?a=1&b=2", bearer("secret")).json["path"] == "/vnc.html?a=1&b=2"


def test_no_desktop(start_portal: Start) -> None:
    made = start_portal("secret")
    assert ask(made.plan.portal_port, "/vnc/", bearer("secret")).status == 404
    assert "/vnc/" not in ask(made.plan.portal_port, "/", bearer("secret")).text


@pytest.mark.parametrize(
    ("environ", "location"),
    [
        ({}, "http://me.example:{port}/lab"),
        ({"RUNPOD_POD_ID": "ABC1"}, "https://abc1-{port}.proxy.runpod.net/lab"),
        ({"VAST_TCP_PORT_{port}": "41888", "NB_PREFIX": "/nb"}, "http://me.example:41888/nb/lab"),
        ({"VAST_TCP_PORT_{port}": "evil.example/"}, "http://me.example:{port}/lab"),
    ],
)
def test_jupyter_leads_to_jupyterlab(start_portal: Start, environ: dict[str, str], location: str) -> None:
    port = free_port()
    made = start_portal("secret", {name.format(port=port): value for name, value in environ.items()}, jupyter=port)
    where = made.plan.portal_port
    for path in ("/jupyter", "/jupyter/", "/jupyter/x?a=1"):
        assert ask(where, path).status == 401
        answer = ask(where, path, {**bearer("secret"), "Host": f"me.example:{where}"})
        assert (answer.status, answer.headers["location"]) == (302, location.format(port=port))


@pytest.mark.parametrize("host", ["localhost", "192.0.2.1", "[::1]", "[2001:db8::1]"])
def test_jupyterlab_is_found_under_the_name_that_this_machine_was_asked_by(start_portal: Start, host: str) -> None:
    made = start_portal("secret")
    for name in (host, f"{host}:{made.plan.portal_port}"):
        answer = ask(made.plan.portal_port, "/jupyter/", {**bearer("secret"), "Host": name})
        assert answer.headers["location"] == f"http://{host}:{made.plan.jupyter.port}/lab", name


def test_logs_of_all_programs_are_linked(start_portal: Start) -> None:
    made = start_portal("secret", services=desktop())
    for name in ("desktop.log", "desktop-web.log", "notebook.log"):
        (made.logs / name).write_text(f"of {name}\n")
    assert 'href="/logs/"' in ask(made.plan.portal_port, "/", bearer("secret")).text
    listing = ask(made.plan.portal_port, "/logs/", {**bearer("secret"), **HTML}).text
    for name in ("desktop.log", "desktop-web.log", "notebook.log"):
        assert f'<a href="./{name}">{name}</a>' in listing
        assert ask(made.plan.portal_port, f"/logs/{name}", bearer("secret")).text == f"of {name}\n"
    with (made.logs / "desktop.log").open("a") as log:
        log.write("more\n")
    assert ask(made.plan.portal_port, "/logs/desktop.log", bearer("secret")).text == "of desktop.log\nmore\n", "live"


def test_the_configuration_is_no_place_for_secrets(start_portal: Start) -> None:
    config = f"localhost:{free_port()}:{free_port()}:/:A"
    made = start_portal("secret-token", {"PORTAL_CONFIG": config, "OPEN_BUTTON_TOKEN": "button-token"})
    for path in made.root.rglob("*"):
        if path.is_file() and path != made.run / "token" and made.root / "home" / "init" not in path.parents:
            text = path.read_text(errors="replace")
            assert "secret-token" not in text and "button-token" not in text, path
    assert json.loads((made.home / "plan.json").read_text())
