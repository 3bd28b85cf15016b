"""Who gets through the portal, and what the app behind it sees: the real Caddy, a real app."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from init import access
from init.plan import ServiceSpec
from tests.portal.browser import HTML, Reply, ask, basic, bearer, query, websocket
from tests.portal.house import House
from tests.ports import free_port

Start = Callable[..., House]
StartApp = Callable[[int], subprocess.Popen[bytes]]

HOSTILE = [
    "plain",
    "a\"b'c`d",
    "with spaces and\ttab",
    "$HOME ${HOME} $(id)",
    "{env.PATH} {http.request.uri} {$PATH}",
    "%41%s%% 100%",
    "\\ \\n \\\\ * ?",
    "sömething → 日本",
    "a&token=b#c+d;e=f",
]


def service(auth: str = "portal", id: str = "box") -> ServiceSpec:
    return ServiceSpec(id, "Box", ["true"], [], port=free_port(), listen=free_port(), auth=auth)  # type: ignore[arg-type]


@pytest.fixture
def box() -> ServiceSpec:
    return service()


def port(spec: ServiceSpec) -> int:
    assert spec.port is not None
    return spec.port


def listen(spec: ServiceSpec) -> int:
    assert spec.listen is not None
    return spec.listen


@pytest.mark.parametrize("token", HOSTILE)
def test_token_of_any_characters_opens_and_nothing_else_does(
    start_portal: Start, start_app: StartApp, box: ServiceSpec, token: str
) -> None:
    house = start_portal(token, services=[box])
    start_app(listen(box))
    where = port(box)

    assert ask(where, "/x", bearer(token)).json["path"] == "/x"
    for name in ("", "a", "me", "any name", "ü"):
        assert ask(where, "/x", basic(name, token)).json["path"] == "/x", name
    ticket = ask(where, f"/x?{query(token)}", HTML)
    assert (ticket.status, ticket.headers["location"]) == (302, "/x")
    assert ask(where, "/x", {"Cookie": ticket.cookie}).json["path"] == "/x"
    assert ask(where, f"/x?{query(token)}", method="POST", body=b"{}").json["path"] == "/x"
    signed_in = ask(where, "/.firstlight/login", bearer(token), method="POST")
    assert (signed_in.status, signed_in.cookie) == (204, ticket.cookie)

    wrong = [
        {},
        bearer(""),
        bearer("wrong"),
        bearer(token + "x"),
        bearer("{env.FIRSTLIGHT_TOKEN}"),
        bearer("*"),
        basic("firstlight", ""),
        basic("firstlight", "wrong"),
        basic("firstlight", token + "x"),
        basic("firstlight", token[:-1]),
        basic("firstlight", "x" + token[1:]),
        basic(token, ""),
        {"Authorization": "Basic !"},
        {"Cookie": "firstlight=1"},
        {"Cookie": ticket.cookie[:-1]},
        {"Cookie": f"{ticket.cookie.partition('=')[0]}="},
    ]
    for headers in wrong:
        assert ask(where, "/x", headers).status == 401, headers
    for text in ("", "wrong", "*", "%7Benv.FIRSTLIGHT_TOKEN%7D"):
        assert ask(where, f"/x?token={text}").status == 401
    assert token not in (house.logs / "portal.log").read_text()


ROUTES = ["/", "/any/path?x=1", "/.firstlight/state.json", "/.firstlight/outside.json", "/.firstlight/logs/",
          "/.firstlight/logs/portal.log", "/.firstlight/login", "/.firstlight/anything"]  # fmt: skip


def test_every_route_asks_for_the_token(start_portal: Start, start_app: StartApp, box: ServiceSpec) -> None:
    house = start_portal(services=[box])
    start_app(listen(box))
    for where, routes in (
        (port(box), ROUTES),
        (house.plan.portal_port, [*ROUTES, "/logs/", "/logs/portal.log", "/logs"]),
    ):
        for route in routes:
            for method in ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"):
                reply = ask(where, route, method=method)
                assert reply.status == 401, (where, route, method)
            page = ask(where, route, HTML)
            assert page.status == 401
            assert "<form" in page.text
            assert "www-authenticate" not in page.headers
    for path in ("/.firstlight/page.css", "/.firstlight/login.js", "/.firstlight/progress.js", "/.firstlight/health"):
        assert ask(port(box), path).status == 200
    for path in ("/.firstlight/portal.html", "/.firstlight/../page.css/../portal.html", "/.firstlight/Caddyfile"):
        assert ask(port(box), path).status == 401


def test_without_a_token_in_its_environment_nobody_gets_in(start_portal: Start, box: ServiceSpec) -> None:
    """An empty value equals a missing header, and every text contains it."""
    start_portal(bare=True, services=[box])
    for headers in ({}, {"Authorization": ""}, bearer(""), basic("", ""), {"Cookie": ""}, {"Cookie": "a=1"}):
        for path in ("/", "/?token=", "/?token", "/.firstlight/login"):
            assert ask(port(box), path, headers).status == 401, (path, headers)
            assert ask(port(box), path, headers, method="POST").status == 401, (path, headers)
            assert websocket(port(box), path, headers)[0] == 401, (path, headers)


def test_refusal_says_how_to_sign_in(start_portal: Start, box: ServiceSpec) -> None:
    start_portal(services=[box])
    reply = ask(port(box), "/prompt", method="POST", body=b"{}")
    assert reply.status == 401
    assert "Authorization: Bearer" in reply.json["hint"]
    assert reply.headers["www-authenticate"].startswith("Basic ")
    script = ask(port(box), "/prompt", {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}, method="POST", body=b"{}")
    assert script.status == 401
    assert "www-authenticate" not in script.headers, "a browser would open a window"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("/?{t}", "/"),
        ("/a/b?{t}", "/a/b"),
        ("/a?x=1&{t}", "/a?x=1"),
        ("/a?{t}&y=2", "/a?y=2"),
        ("/a?x=1&{t}&y=2&z=%20", "/a?x=1&y=2&z=%20"),
        ("/a%2Fb%20c?{t}", "/a%2Fb%20c"),
        ("//evil.example/?{t}", "/evil.example/"),
        ("/\\evil.example?{t}", "/%5Cevil.example"),
        ("///evil.example?{t}&a=//b", "/evil.example?a=//b"),
    ],
)
def test_token_leaves_the_address_and_the_address_stays_here(
    start_portal: Start, box: ServiceSpec, before: str, after: str
) -> None:
    start_portal("s&cret +%", services=[box])
    reply = ask(port(box), before.format(t=query("s&cret +%")), HTML)
    assert (reply.status, reply.headers["location"]) == (302, after)


def test_cookie_is_not_the_token_and_is_kept_from_scripts_and_other_sites(
    start_portal: Start, box: ServiceSpec
) -> None:
    start_portal("secret", services=[box])
    plain = ask(port(box), "/?token=secret").headers["set-cookie"]
    assert "secret" not in plain
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(plain.split("; "))
    assert "Secure" not in plain
    proxied = ask(port(box), "/?token=secret", {"X-Forwarded-Proto": "https"}).headers["set-cookie"]
    assert set(proxied.split("; ")) == {*plain.split("; "), "Secure"}
    link = ask(port(box), "/.firstlight/logout", {"Cookie": plain.partition(";")[0]})
    assert (link.status, link.headers.get("set-cookie")) == (405, None), "a picture or a link signs nobody out"
    ended = ask(port(box), "/.firstlight/logout", {"Cookie": plain.partition(";")[0]}, method="POST")
    assert (ended.status, ended.cookie) == (204, plain.partition("=")[0] + "=")
    assert "Max-Age=0" in ended.headers["set-cookie"]


def test_web_username_and_password(start_portal: Start, start_app: StartApp, box: ServiceSpec) -> None:
    start_portal("secret", {"WEB_USERNAME": "me", "WEB_PASSWORD": "pass:wörd"}, services=[box])
    start_app(listen(box))
    assert ask(port(box), "/", basic("me", "pass:wörd")).status == 200
    assert ask(port(box), "/", bearer("secret")).status == 200
    for user, password in (("me", "secret"), ("firstlight", "secret"), ("", "pass:wörd")):
        assert ask(port(box), "/", basic(user, password)).status == 401


def test_app_does_not_see_what_opened_the_portal(start_portal: Start, start_app: StartApp, box: ServiceSpec) -> None:
    start_portal("secret", services=[box])
    start_app(listen(box))
    cookie = ask(port(box), "/?token=secret").cookie

    def seen(path: str = "/", method: str = "GET", **headers: str) -> Reply:
        return ask(port(box), path, headers, method=method)

    for cookies, left in (
        (cookie, ""),
        (f"a=1; {cookie}", "a=1;"),
        (f"{cookie}; a=1", "a=1"),
        (f"a=1; {cookie}; b=2", "a=1; b=2"),
        ("a=1; " + cookie.replace("firstlight_", "firstlight_x_") + "; " + cookie, None),
        (f"{cookie}; C.123_auth_token=secret; b=2", "b=2"),
    ):
        reply = seen(Cookie=cookies)
        assert cookie not in reply.text
        if left is not None:
            assert reply.json["headers"].get("cookie", "") == left
    assert "authorization" not in seen(**bearer("secret")).json["headers"]
    assert "authorization" not in seen(**basic("firstlight", "secret")).json["headers"]
    assert seen(Cookie=cookie, Authorization="Bearer its-own").json["headers"]["authorization"] == "Bearer its-own"
    assert seen("/x?a=1&token=secret&b=%26", "POST").json["path"] == "/x?a=1&b=%26"
    assert seen("/x?token=its-own", Cookie=cookie).json["path"] == "/x?token=its-own"
    assert seen("/x%2Fy%20?q=%2F&r", Cookie=cookie).json["path"] == "/x%2Fy%20?q=%2F&r"


def test_app_answers_as_itself(start_portal: Start, start_app: StartApp, box: ServiceSpec) -> None:
    start_portal("secret", services=[box])
    start_app(listen(box))
    broken = ask(port(box), "/broken", {**bearer("secret"), **HTML})
    assert broken.status == 500
    assert broken.json["path"] == "/broken"
    fine = ask(port(box), "/", {**bearer("secret"), "Host": "pod-8188.proxy.runpod.net", "X-Forwarded-Proto": "https"})
    assert "content-security-policy" not in fine.headers
    assert "x-firstlight" not in fine.headers
    assert fine.json["headers"]["host"] == "pod-8188.proxy.runpod.net"
    assert fine.json["headers"]["x-forwarded-proto"] == "https"
    posted = ask(port(box), "/upload", bearer("secret"), method="POST", body=b"x" * 3_000_000)
    assert len(posted.json["body"]) == 3_000_000


def test_an_upload_may_have_a_limit(start_portal: Start, start_app: StartApp, box: ServiceSpec) -> None:
    start_portal("secret", services=[box], max_upload=1000)
    start_app(listen(box))
    assert len(ask(port(box), "/upload", bearer("secret"), "POST", b"x" * 1000).json["body"]) == 1000
    refused = ask(port(box), "/upload", bearer("secret"), "POST", b"x" * 1001)
    assert (refused.status, refused.json["error"]) == (413, "an upload has at most 1000 bytes here")
    assert ask(port(box), "/upload", method="POST", body=b"x" * 1001).status == 401


VAST = {
    "JUPYTER_PASSWORD": "the third",
    "OPEN_BUTTON_TOKEN": "the button's",
    "VAST_CONTAINERLABEL": "C.123",
}


def test_each_given_token_opens_with_each_kind_of_credential(
    start_portal: Start, start_app: StartApp, box: ServiceSpec
) -> None:
    start_portal("the first", VAST, services=[box])
    start_app(listen(box))
    where, cookies = port(box), set()
    for token in ("the first", "the third", "the button's"):
        ticket = ask(where, f"/x?{query(token)}&a=1", HTML)
        assert (ticket.status, ticket.headers["location"]) == (302, "/x?a=1")
        cookies.add(ticket.cookie)
        for headers in (
            bearer(token),
            basic("vastai", token),
            {"Cookie": ticket.cookie},
            {"Cookie": f"a=1; C.123_auth_token={token}"},
        ):
            seen = ask(where, "/x", headers)
            assert seen.json["path"] == "/x", headers
            assert token not in seen.text
            assert websocket(where, "/ws", headers) == (101, "hello /ws"), headers
        assert websocket(where, f"/ws?{query(token)}", {}) == (101, "hello /ws")
        assert ask(where, f"/x?{query(token)}", method="POST", body=b"").json["path"] == "/x"
    assert len(cookies) == 1, "whichever token it was"
    for headers in (
        bearer("1"),
        {"Cookie": "C.124_auth_token=the first"},
        {"Cookie": "C.123_auth_token=wrong"},
        {"Cookie": "C.123_auth_token="},
        basic("vastai", "wrong"),
    ):
        assert ask(where, "/x", headers).status == 401, headers
        assert websocket(where, "/ws", headers)[0] == 401, headers


@pytest.mark.parametrize("placeholder", ["1", "{{ RUNPOD_SECRET_portal }}", " 1 "])
def test_placeholders_open_nothing(start_portal: Start, box: ServiceSpec, placeholder: str) -> None:
    names = ("JUPYTER_PASSWORD", "OPEN_BUTTON_TOKEN", "WEB_PASSWORD")
    start_portal("secret", dict.fromkeys(names, placeholder), services=[box])
    value = placeholder.strip()
    for headers in (bearer(value), basic("vastai", value), basic("", placeholder)):
        assert ask(port(box), "/", headers).status == 401, headers
    assert ask(port(box), f"/?{query(value)}").status == 401
    assert ask(port(box), "/", basic("any", "secret")).status == 503, "let in; the app is not there"


def test_websockets(start_portal: Start, start_app: StartApp, box: ServiceSpec) -> None:
    start_portal("secret", services=[box])
    start_app(listen(box))
    where = port(box)
    cookie = {"Cookie": ask(where, "/?token=secret").cookie}
    here = f"http://127.0.0.1:{where}"
    for headers in (cookie, {**cookie, "Origin": here}, bearer("secret"), basic("firstlight", "secret")):
        assert websocket(where, "/ws?a=1", headers) == (101, "hello /ws?a=1"), headers
    assert websocket(where, "/ws?token=secret&a=1", {"Origin": "https://elsewhere.example"}) == (101, "hello /ws?a=1")
    for headers in ({}, {"Cookie": "a=1"}, bearer("wrong")):
        assert websocket(where, "/ws", headers)[0] == 401
    platform = "https://-8188.proxy.runpod.net"
    for origin in (
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "https://elsewhere.example",
        "null",
        f"{here}.example",
        platform,
    ):
        assert websocket(where, "/ws", {**cookie, "Origin": origin})[0] == 403, origin


def test_stream_arrives_as_it_is_sent(start_portal: Start, start_app: StartApp, box: ServiceSpec) -> None:
    import http.client

    start_portal("secret", services=[box])
    start_app(listen(box))
    connection = http.client.HTTPConnection("127.0.0.1", port(box), timeout=20)
    connection.request("GET", "/stream", headers=bearer("secret"))
    answer = connection.getresponse()
    assert answer.readline() == b"data: first\n"
    assert ask(port(box), "/go-on", bearer("secret")).status == 200
    assert answer.readline() == b"data: second\n"


def test_no_post_loses_its_answer(start_portal: Start, start_app: StartApp, box: ServiceSpec) -> None:
    """Answers that are sent before the proxy has seen the end of the question, plain and streamed."""
    start_portal("secret", services=[box])
    start_app(listen(box))

    def post(number: int) -> bool:
        body = f"{number}-".encode() * (1 + number % 300)
        path = "/events" if number % 2 else "/x"
        return str(ask(port(box), path, bearer("secret"), "POST", body).json["body"]) == body.decode()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(post, range(600)))


def test_pages_of_other_sites_cannot_act_for_the_user(
    start_portal: Start, start_app: StartApp, box: ServiceSpec
) -> None:
    start_portal("secret", {"RUNPOD_POD_ID": "abc123"}, services=[box])
    start_app(listen(box))
    where = port(box)
    cookie = {"Cookie": ask(where, "/?token=secret").cookie}
    own = [
        {},
        {"Origin": f"http://127.0.0.1:{where}"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://whatever.the-proxy.example"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://abc123-8188.proxy.runpod.net"},
    ]
    foreign = [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": f"https://elsewhere.example:{where}"},
        {"Origin": "https://other-8188.proxy.runpod.net"},
    ]
    for headers in own:
        for who in (cookie, basic("firstlight", "secret"), bearer("secret")):
            assert ask(where, "/", {**who, **headers}, "POST", b"{}").status == 200, headers
    for headers in foreign:
        for who in (cookie, basic("firstlight", "secret")):
            for method in ("POST", "PUT", "DELETE"):
                reply = ask(where, "/", {**who, **headers}, method, b"{}")
                assert reply.status == 403, headers
                assert "another site" in reply.json["error"]
        assert ask(where, "/", {**bearer("secret"), **headers}, "POST", b"{}").status == 200
        assert ask(where, "/", {**cookie, **headers}).status == 200, "following a link is no attack"
    assert ask(where, "/.firstlight/logout", {**cookie, **foreign[0]}, "POST").status == 403


def test_service_that_asks_nobody(start_portal: Start, start_app: StartApp) -> None:
    spec = service(auth="none")
    start_portal("secret", services=[spec])
    start_app(listen(spec))
    reply = ask(port(spec), "/x?token=its-own", {"Authorization": "Bearer its-own", "Cookie": "a=1"})
    assert reply.json["path"] == "/x?token=its-own"
    assert reply.json["headers"]["authorization"] == "Bearer its-own"
    for path in ("/.firstlight/state.json", "/.firstlight/logs/", "/.firstlight/outside.json"):
        assert ask(port(spec), path).status == 401
    signed_in = ask(port(spec), "/.firstlight/login", bearer("secret"), method="POST").cookie
    assert ask(port(spec), "/", {"Cookie": signed_in}).json["headers"]["cookie"] == "", "not this app's business"


def test_logs_are_shown_as_text_and_only_logs(start_portal: Start, box: ServiceSpec) -> None:
    house = start_portal("secret", services=[box])
    (house.logs / "evil<b>.html").write_text("<script>alert(1)</script>")
    (house.logs / "more").mkdir()
    (house.logs / "more" / "inner.log").write_text("inner\n")
    for where, prefix in ((house.plan.portal_port, "/logs/"), (port(box), "/.firstlight/logs/")):
        listing = ask(where, prefix, bearer("secret"))
        assert "evil&lt;b&gt;.html" in listing.text
        assert "<b>" not in listing.text
        file = ask(where, prefix + "evil%3Cb%3E.html", bearer("secret"))
        assert file.headers["content-type"] == "text/plain; charset=utf-8"
        assert file.headers["x-content-type-options"] == "nosniff"
        assert "script-src 'self'" in file.headers["content-security-policy"]
        assert ask(where, prefix + "more/inner.log", bearer("secret")).text == "inner\n"
        for path in ("../run/token", "..%2frun%2ftoken", "%2e%2e/run/token", "....//run/token"):
            reply = ask(where, prefix + path, bearer("secret"))
            assert "secret" not in reply.text
            assert reply.status in (301, 302, 308, 400, 404, 503), path
    assert ask(house.plan.portal_port, "/logs", bearer("secret")).headers["location"] == "/logs/"


def test_index_links_to_everything_and_escapes_titles(start_portal: Start) -> None:
    spec = ServiceSpec(
        "box", '"><script>x</script>', ["true"], [], port=free_port(), listen=free_port(), open="/a?b=\"'&c"
    )
    house = start_portal("secret", services=[spec], title="Light & <b>box</b>")
    page = ask(house.plan.portal_port, "/", {**bearer("secret"), **HTML})
    assert page.status == 200
    assert "<b>box</b>" not in page.text
    assert "<script>x" not in page.text
    assert "Light &amp; &lt;b&gt;box&lt;/b&gt;" in page.text
    assert f'data-port="{spec.port}"' in page.text
    assert f'data-port="{house.plan.jupyter.port}"' in page.text
    assert "secret" not in page.text
    assert ask(house.plan.portal_port, "/nothing", bearer("secret")).status == 404


def test_outside_addresses_for_links(start_portal: Start, box: ServiceSpec) -> None:
    house = start_portal("secret", {f"VAST_TCP_PORT_{box.port}": "41234", "NB_PREFIX": "/nb/x"}, services=[box])
    outside = ask(house.plan.portal_port, "/.firstlight/outside.json", bearer("secret")).json
    assert outside == {"base_url": "/nb/x/", "places": [], "ports": {str(box.port): 41234}, "problems": []}


def test_own_pages_bring_nothing_from_elsewhere(start_portal: Start, box: ServiceSpec) -> None:
    house = start_portal("secret", services=[box])
    for path in (house.home / "etc" / "pages").iterdir():
        assert not re.search(r"https?://(?!\")", path.read_text()), path
    page = ask(port(box), "/", HTML)
    policy = dict(rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; "))
    own = ("script-src", "style-src", "connect-src", "img-src", "form-action", "frame-ancestors")
    assert policy == {"default-src": "'none'", "base-uri": "'none'", **dict.fromkeys(own, "'self'")}
    assert page.headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in page.headers
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"


def test_credentials_differ_between_tokens() -> None:
    one, other = access.credentials("one", {}), access.credentials("other", {})
    assert one["FIRSTLIGHT_COOKIE_NAME"] != other["FIRSTLIGHT_COOKIE_NAME"]
    assert one["FIRSTLIGHT_COOKIE"].partition("=")[2] != other["FIRSTLIGHT_COOKIE"].partition("=")[2]
