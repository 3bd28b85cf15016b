"""`PORTAL_CONFIG`: both forms, what they lead to, and what is refused with which reason."""

from __future__ import annotations

import json
import random
import re

import pytest

from init import portal, portalconfig
from init.paths import Paths
from init.plan import JupyterSpec, Need, Plan, ServiceSpec
from init.portalconfig import Place

VAST = {"VAST_CONTAINERLABEL": "C.1"}
DEFAULT = (
    "localhost:1111:11111:/:Instance Portal|localhost:8080:18080:/:Jupyter|"
    "localhost:8080:8080:/terminals/1:Jupyter Terminal|localhost:8384:18384:/:Syncthing|"
    "localhost:6006:16006:/:Tensorboard"
)
"""Vast.ai's own."""
BRIEF = {
    "version": 2,
    "port": 11111,
    "services": [
        {"name": "VNC", "uri": "/vnc/", "proto": "http", "rewrite": True, "auth": True},
        {"name": "Jupyter", "uri": "/jupyter/", "proto": "http", "rewrite": True, "auth": True},
        {"name": "Logs", "uri": "/logs/", "auth": True},
    ],
}


def plan(desktop: bool = True) -> Plan:
    box = ServiceSpec("box", "Light Box", ["box"], [], port=8188, listen=18188, open="/ui")
    screen = ServiceSpec("desktop", "Screen", ["x"], [])
    web = ServiceSpec("desktop-web", "Desktop", ["web"], [Need("service:desktop")], port=6080, listen=16080)
    services = [screen, web, box] if desktop else [box]
    return Plan("demo", "Demo", "0", Paths(), [], services, jupyter=JupyterSpec(8888, [8889]))


def read(text: str, environ: dict[str, str] | None = None, desktop: bool = True) -> portalconfig.Settled:
    return portalconfig.read(text, plan(desktop), environ or {})


def test_vasts_form() -> None:
    settled = read(DEFAULT)
    assert settled.problems == []
    assert settled.places == [
        Place("Jupyter", "/lab", lab=True),
        Place("Jupyter Terminal", "/lab", lab=True),
        Place("Syncthing", "/", 8384),
        Place("Tensorboard", "/", 6006),
    ], "the first is this portal itself"
    assert settled.forwards == {8384: 18384, 6006: 16006}


def test_on_vast_only_ports_that_are_open() -> None:
    settled = read(DEFAULT, {**VAST, "VAST_TCP_PORT_6006": "41006"})
    assert settled.forwards == {6006: 16006}
    assert [place.name for place in settled.places] == ["Jupyter", "Jupyter Terminal", "Tensorboard"]
    assert settled.problems == [
        "PORTAL_CONFIG, item 4, `localhost:8384:18384:/:Syncthing`: port 8384 is not open on this instance;"
        " add `-p 8384:8384` to its template."
    ]


@pytest.mark.parametrize(
    ("item", "place", "forwards"),
    [
        ("localhost:7000:7000:/a?b=1:Own", Place("Own", "/a?b=1", 7000), {}),
        ("127.0.0.1:7000:17000:/:A", Place("A", "/", 7000), {7000: 17000}),
        (" localhost : 7000 : 17000 : / : A ", Place("A", "/", 7000), {7000: 17000}),
        ("localhost:7000:17000:/:Größe: 日本 (v1.2)", Place("Größe: 日本 (v1.2)", "/", 7000), {7000: 17000}),
        ("localhost:8188:18188:/:ComfyUI", Place("ComfyUI", "/ui", 8188), {}),
        ("localhost:8188:18188:/queue:ComfyUI", Place("ComfyUI", "/queue", 8188), {}),
        ("localhost:6080:16080:/:VNC", Place("VNC", "/vnc/"), {}),
        ("localhost:6080:6080:/vnc:VNC", Place("VNC", "/vnc/"), {}),
        ("localhost:6080:6080:/vnc.html?view_only=1:Look", Place("Look", "/vnc/vnc.html?view_only=1"), {}),
        ("localhost:8888:8888:/lab/tree/a.ipynb:Guide", Place("Guide", "/lab/tree/a.ipynb", lab=True), {}),
        ("localhost:8889:8889:/:Notebook", Place("Notebook", "/lab", lab=True), {}),
    ],
)  # fmt: skip
def test_one_item(item: str, place: Place, forwards: dict[int, int]) -> None:
    settled = read(item)
    assert (settled.problems, settled.places, settled.forwards) == ([], [place], forwards)


def test_the_json_form() -> None:
    settled = read(json.dumps(BRIEF))
    assert settled.problems == []
    assert settled.places == [Place("VNC", "/vnc/"), Place("Jupyter", "/lab", lab=True), Place("Logs", "/logs/")]
    assert settled.forwards == {}


def test_names_and_addresses_of_the_other_form() -> None:
    items = [
        {"name": "My notebooks", "uri": "/jupyter/"},
        {"name": "Desktop"},
        {"name": "light box"},
        {"name": "Pictures", "uri": "/box/"},
        {"name": "Progress", "uri": "/progress/"},
        {"name": "Elsewhere", "uri": "/elsewhere/"},
        {"name": "Open", "uri": "/logs/", "auth": False},
    ]
    settled = read(json.dumps({"services": items}))
    assert settled.places == [
        Place("My notebooks", "/lab", lab=True),
        Place("Desktop", "/vnc/"),
        Place("light box", "/ui", 8188),
        Place("Pictures", "/ui", 8188),
        Place("Open", "/logs/"),
    ]
    nothing, auth = settled.problems
    assert "item 6" in nothing and "nothing here has this address or name, only box, desktop, jupyter" in nothing
    assert "for another port write `localhost:8080:18080:/:N`" in nothing
    assert auth == "PORTAL_CONFIG, Open: `auth` is passed over; the portal asks everybody."


def test_a_desktop_that_is_not_there() -> None:
    settled = read(json.dumps(BRIEF), desktop=False)
    assert [place.name for place in settled.places] == ["Jupyter", "Logs"]
    assert "this image has no desktop; leave the item out" in settled.problems[0]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("evil.example:7000:17000:/:A", "its host is another machine"),
        ("169.254.169.254:7000:80:/:A", "its host is another machine"),
        ("localhost.evil.example:7000:17000:/:A", "its host is another machine"),
        ("localhost:0:17000:/:A", "a port is a number from 1 to 65535"),
        ("localhost:99999:17000:/:A", "a port is a number from 1 to 65535"),
        ("localhost:-1:17000:/:A", "a port is a number from 1 to 65535"),
        ("localhost:7e3:17000:/:A", "a port is a number from 1 to 65535"),
        ("localhost:７000:17000:/:A", "a port is a number from 1 to 65535"),
        ("localhost:7000 {\n respond 1\n}:17000:/:A", "a port is a number from 1 to 65535"),
        ("localhost:22:17000:/:A", "port 22 is SSH's"),
        ("localhost:7000:22:/:A", "port 22 is SSH's"),
        ("localhost:7000:8888:/:A", "port 8888 is JupyterLab's"),
        ("localhost:7000:1111:/:A", "port 1111 is the portal's"),
        ("localhost:7000:18188:/:A", "port 18188 is that of box"),
        ("localhost:18188:17000:/:A", "port 18188 is that of box"),
        ("localhost:7000:17000:/../etc:A", "its path leads upwards"),
        ("localhost:7000:17000:/a/%2E%2e/b:A", "its path leads upwards"),
        ("localhost:7000:17000://evil.example", "it is not `hostname"),
        ("localhost:7000:17000://evil.example/:A:B", "its path is none of this machine's"),
        ("localhost:7000:17000:javascript:alert(1)", "its path is none of this machine's"),
        ('localhost:7000:17000:/"onclick=x:A', "its path is none of this machine's"),
        ("localhost:7000:17000:/{env.FIRSTLIGHT_TOKEN_0}:A", "its path is none of this machine's"),
        ("localhost:7000:17000:/a b:A", "its path is none of this machine's"),
        ("localhost:7000:17000:/:<script>alert(1)</script>", "its name is empty, too long or has odd characters"),
        ("localhost:7000:17000:/:a\nb", "its name is empty, too long or has odd characters"),
        ("localhost:7000:17000:/:{$HOME}", "its name is empty, too long or has odd characters"),
        ("localhost:7000:17000:/:\"'`", "its name is empty, too long or has odd characters"),
        ("localhost:7000:17000:/:\u202egnp", "its name is empty, too long or has odd characters"),
        ("localhost:7000:17000:/:\udc80", "its name is empty, too long or has odd characters"),
        ("localhost:7000:17000:/:" + "a" * 61, "its name is empty, too long or has odd characters"),
        ("localhost:7000:17000:/:" + "a" * 100_000, "it has 100023 characters; at most 500 are read"),
        ("localhost:7000:17000:/:", "its name is empty, too long or has odd characters"),
        ("localhost:7000", "it is not `hostname:external_port:internal_port:path:name`"),
        ("::::", "a port is a number from 1 to 65535"),
    ],
)  # fmt: skip
def test_hostile_items(item: str, reason: str) -> None:
    settled = read(f"localhost:6000:16000:/:Before|{item}|localhost:6001:16001:/:After")
    assert [place.name for place in settled.places] == ["Before", "After"], "the rest works"
    assert settled.forwards == {6000: 16000, 6001: 16001}
    (problem,) = settled.problems
    assert problem.startswith("PORTAL_CONFIG, item 2, `"), problem
    assert reason in problem
    assert re.search(r"; \w.*\.$", problem), "with a remedy"
    assert problem.isprintable() and len(problem) < 400


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "begins like JSON and is none"),
        ('{"services": ', "begins like JSON and is none"),
        ("[" * 100_000, "nested too deep"),
        ('{"version": ' + "1" * 10_000 + "}", "nested too deep or has huge numbers"),
        ("[1, 2]", "JSON without a list `services`"),
        ('{"services": {}}', "JSON without a list `services`"),
        ('{"services": [1]}', "it is no object"),
        ('{"services": [null, ["a"]]}', "it is no object"),
        ('{"services": [{"name": "A", "uri": "//evil.example"}]}', "its path is none of this machine's"),
        ('{"services": [{"name": "<b>", "uri": "/logs/"}]}', "odd characters"),
        ('{"services": [{"name": "\\ud800", "uri": "/logs/"}]}', "odd characters"),
        ('{"services": [{"name": ["Logs"], "uri": {}}]}', "odd characters"),
        ('{"version": 3, "services": []}', "has the version `3`; it is read as version 2"),
    ],
)
def test_hostile_json(text: str, reason: str) -> None:
    settled = read(text)
    assert settled.places == [] and settled.forwards == {}
    assert reason in settled.problems[0]


def test_a_name_and_a_port_count_once() -> None:
    settled = read(
        "localhost:7000:17000:/:A|localhost:7001:17001:/:A|localhost:7000:17002:/:C|localhost:7000:17000:/b:B"
    )
    assert settled.places == [Place("A", "/", 7001), Place("B", "/b", 7000)]
    assert settled.problems[0] == "PORTAL_CONFIG, item 2: A is there already; the last one counts."
    assert "port 7000 leads to port 17000 already; choose another port" in settled.problems[1]


def test_ten_thousand_items() -> None:
    many = read("|".join(f"localhost:{port}:{port + 1}:/:A{port}" for port in range(10_000, 20_000)))
    assert len(many.places) == len(many.forwards) == 64
    assert many.problems == ["PORTAL_CONFIG has 10000 items, and the first 64 are read; leave some out."]
    bad = read("|".join(["x"] * 10_000))
    assert len(bad.problems) == 21
    assert bad.problems[-1] == "PORTAL_CONFIG has 45 more problems; repair these first."


def test_whatever_is_written_only_numbers_and_plain_texts_come_out() -> None:
    chance = random.Random(5)
    pieces = ["localhost", *"::::||/", "7000", "80", "..", *"\"'`{}\n\\\0 #", "<script>", "{$PATH}", "{env.HOME}"]
    pieces += ["import gate", "jupyter", "name", "\x1b[31m", "\udcff", "//"]
    served = 0
    for _ in range(5_000):
        head = chance.choice(["", "localhost:7000:17000:/", "localhost:7000:17000:/:", '{"services": [{"name": "'])
        settled = read(head + "".join(chance.choices(pieces, k=chance.randint(0, 14))))
        served += bool(settled.forwards)
        assert re.fullmatch(r"(:\d+ \{\n\timport entry \d+\n\}\n\n?)*", portal.sites(settled))
        for place in settled.places:
            assert not set(place.name + place.path) & set("\"'`<>{}\\\n\0") and place.path.startswith("/")
        assert all(problem.isprintable() for problem in settled.problems)
    assert served > 20
