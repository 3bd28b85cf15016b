"""What one may ask of the runner through the server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from init.control import Refused
from tests.lab.conftest import Fetch
from tests.lab.support import Place

AGAIN = "supervisor starts it again; `firstlight logs init` tells why it ended."


@pytest.mark.parametrize(
    ("path", "post", "request_"),
    [
        ("retry", {"stage": "nodes"}, {"do": "retry", "stage": "nodes"}),
        ("retry", {"stage": "service:app"}, {"do": "retry", "stage": "service:app"}),
        ("models", {"do": "add", "set": "big"}, {"do": "models.add", "set": "big"}),
        ("models", {"do": "pause", "set": "big"}, {"do": "models.pause", "set": "big"}),
        ("models", {"do": "resume", "set": "big"}, {"do": "models.resume", "set": "big"}),
        ("models", {"do": "drop", "set": "big"}, {"do": "models.drop", "set": "big"}),
        ("models", {"do": "drop", "set": "big", "delete": True}, {"do": "models.drop", "set": "big", "delete": True}),
        ("services/app/restart", {}, {"do": "retry", "stage": "service:app"}),
        ("services/a%2Fb/restart", "", {"do": "retry", "stage": "service:a/b"}),
    ],
)
async def test_the_runner_is_asked(place: Place, fetch: Fetch, path: str, post: Any, request_: dict[str, Any]) -> None:
    with place.runner():
        answer = await fetch(path, post=post)
    assert (answer.code, json.loads(answer.body)) == (200, {"message": f"{request_['do']} done"})
    assert place.requests == [request_]


@pytest.mark.parametrize(
    ("path", "post"),
    [
        ("retry", {}),
        ("retry", {"stage": ""}),
        ("retry", {"stage": 5}),
        ("retry", {"stage": ["nodes"]}),
        ("retry", {"stage": "x" * 10_000}),
        ("retry", ["stage"]),
        ("retry", "stage=nodes"),
        ("models", {"set": "big"}),
        ("models", {"do": "add"}),
        ("models", {"do": "burn", "set": "big"}),
        ("models", {"do": "drop", "set": "big", "delete": "yes"}),
    ],
)
async def test_malformed_is_400(place: Place, fetch: Fetch, path: str, post: Any) -> None:
    with place.runner():
        answer = await fetch(path, post=post)
    assert (answer.code, place.requests) == (400, [])
    shown = json.loads(answer.body)["message"]
    assert shown in (
        'The request names no stage; send {"stage": ID}.',
        'The request is not {"do": "add", "drop", "pause" or "resume", "set": NAME}.',
        "Invalid JSON in body of request",
    )


@pytest.mark.parametrize(
    "reason", ["nodes is at work already", "<script>alert(1)</script>", "\x1b[31mred", "100 % “x”", "x" * 10_000]
)
async def test_refused_is_409_with_the_reason(place: Place, fetch: Fetch, reason: str) -> None:
    def refuse(request: dict[str, Any]) -> dict[str, Any]:
        raise Refused(reason)

    with place.runner(refuse):
        answer = await fetch("retry", post={"stage": "nodes"})
    assert (answer.code, json.loads(answer.body)) == (409, {"message": reason})
    assert answer.headers["Content-Type"] == "application/json"


async def refused_as_silent(fetch: Fetch) -> str:
    answer = await fetch("retry", post={"stage": "nodes"})
    assert answer.code == 503
    return str(json.loads(answer.body)["message"])


async def test_no_runner_is_503_with_the_remedy(place: Place, fetch: Fetch) -> None:
    socket_ = place.run / "init.sock"
    message = await refused_as_silent(fetch)
    assert message == f"The runner does not run: {socket_}: No such file or directory. {AGAIN}"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(socket_))
    message = await refused_as_silent(fetch)
    assert message == f"The runner does not run: {socket_}: Connection refused. {AGAIN}"
    socket_.unlink()
    socket_.write_text("")
    assert await refused_as_silent(fetch) == f"The runner does not run: {socket_} is no socket. {AGAIN}"


@contextmanager
def answering(place: Place, answer: bytes) -> Iterator[None]:
    """Something on the runner's socket that answers once."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place.run / "init.sock"))
        server.listen()

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(1000)
                client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join(10)


@pytest.mark.parametrize("answer", [b"", b"{", b'{"ok": true', b"\xff\xfe\n"])
async def test_a_runner_that_ends_before_it_has_answered(place: Place, fetch: Fetch, answer: bytes) -> None:
    with answering(place, answer):
        assert await refused_as_silent(fetch) == f"The runner went away before it had answered. {AGAIN}"


async def test_something_else_that_answers(place: Place, fetch: Fetch) -> None:
    with answering(place, b"[1]\n"):
        message = await refused_as_silent(fetch)
    assert message == f"What answers on {place.run}/init.sock is not the runner of this image."


def test_a_runner_that_does_not_answer(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from firstlight_lab import runner

    monkeypatch.setattr(runner, "TIMEOUT", 0.2)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place.run / "init.sock"))
        server.listen()
        assert runner.alive(place.run)
        with pytest.raises(
            runner.Silent, match=r"^The runner has not answered within 0 s\. supervisor starts it again"
        ):
            runner.ask(place.run, {"do": "retry"})


LISTENS = """
import os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
os.chown(sys.argv[1], int(sys.argv[2]), -1)
os.chmod(sys.argv[1], 0o666)
os.setuid(int(sys.argv[3]))
server.listen()
print("listening", flush=True)
sys.stdin.read()
"""


NOBODY = 65534


@pytest.mark.parametrize(("owner", "listens"), [(NOBODY, os.geteuid()), (os.geteuid(), NOBODY)])
def test_a_socket_of_another_user_is_not_spoken_to(
    place: Place, owner: int, listens: int, as_root: tuple[str, ...]
) -> None:
    """Also when only who listens is another user, behind a file that is ours."""
    from firstlight_lab import runner

    path = place.run / "init.sock"
    words = [*as_root, sys.executable, "-c", LISTENS, str(path), str(owner), str(listens)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin and other.stdout and other.stdout.readline() == b"listening\n"
        with pytest.raises(runner.Silent) as found:
            runner.ask(place.run, {"do": "retry"})
        assert not runner.alive(place.run)
        other.stdin.close()
    assert str(found.value) == (
        f"{path} belongs to user {NOBODY}, and this server runs as {os.geteuid()}: nothing is asked of it. "
        "Run both as the same user."
    )


async def test_a_folder_deeper_than_a_sockets_name(place: Place, jp_serverapp: Any) -> None:
    from firstlight_lab import runner

    deep = Place(place.root / ("d" * 120))
    with deep.runner():
        assert runner.alive(deep.run)
        assert runner.ask(deep.run, {"do": "retry"}) == "retry done"
