"""Bad days of the network itself, for every client that the lock uses."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from manifests import gitrefs, hub, registry, web
from manifests.lock import LockedFile
from manifests.web import CannotResolve, Courtesy, Silent
from tests.origin import Generated, Origin

TOKEN = "secret-token-0123456789"


class Quiet(http.server.BaseHTTPRequestHandler):
    """200 without a length."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class Calm(http.server.ThreadingHTTPServer):
    """Says nothing about clients that hang up."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextmanager
def saying(body: bytes = b"", **headers: str) -> Iterator[str]:
    """Host and port of a server that gives this answer to every question."""

    class Says(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            for name, value in {"Content_Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = Calm(("127.0.0.1", 0), Says)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def untrusted(tmp_path: Path) -> Iterator[str]:
    """Host and port of a TLS server whose certificate nobody knows."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["-subj", "/CN=localhost", "-days", "2", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *made], check=True, capture_output=True)
    server = Calm(("127.0.0.1", 0), Quiet)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("scheme", ["hf", "https", "civitai"])
def test_a_certificate_that_is_not_trusted_is_said(untrusted: str, scheme: str) -> None:
    url = {"hf": "hf://owner/name/a", "https": f"https://{untrusted}/a", "civitai": "civitai://7"}[scheme]
    environ = {"HF_ENDPOINT": f"https://{untrusted}", "CIVITAI_ENDPOINT": f"https://{untrusted}"}
    with pytest.raises(CannotResolve) as caught:
        hub.metadata(url, "main", environ, Courtesy())
    assert caught.value.reason.startswith(f"the certificate of {untrusted} is not trusted (")
    assert caught.value.remedy == "set SSL_CERT_FILE to your CA bundle"


def test_a_certificate_that_git_does_not_trust_is_said(untrusted: str) -> None:
    answer = gitrefs.resolve(f"https://{untrusted}/a.git", ["main"])["main"]
    assert isinstance(answer, CannotResolve)
    assert answer.reason == f"the certificate of {untrusted} is not trusted"
    assert answer.remedy == "set GIT_SSL_CAINFO to your CA bundle"


def test_a_registry_with_a_bad_certificate_is_not_asked_in_the_clear(
    untrusted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.Reference, "roots", [f"https://{untrusted}"])
    with pytest.raises(CannotResolve, match=r"certificate of .* is not trusted"):
        registry.digest(f"{untrusted}/team/base:1", Courtesy())


def test_a_server_that_never_answers_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(Silent) as caught:
            web.ask(f"http://{host}/a", timeout=0.2)
    assert caught.value.reason == f"{host} does not answer in time"


def test_a_server_that_talks_nonsense_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def nonsense() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-nonsense\r\n\r\n")

        threading.Thread(target=nonsense, daemon=True).start()
        host = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(Silent, match=f"{host} cannot be reached"):
            web.ask(f"http://{host}/a")


def test_a_server_that_does_not_state_a_length_is_said() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    host = f"127.0.0.1:{server.server_address[1]}"
    with pytest.raises(CannotResolve) as caught:
        hub.metadata(f"http://{host}/a", None, {}, Courtesy())
    server.shutdown()
    server.server_close()
    assert caught.value.reason == f"{host} does not say how large it is"
    assert caught.value.remedy == "state `size` in the manifest"


def test_the_length_of_what_is_sent_compressed_is_not_the_files() -> None:
    with saying(Content_Length="5", Content_Encoding="gzip") as host, pytest.raises(CannotResolve) as caught:
        hub.metadata(f"http://{host}/a", None, {}, Courtesy())
    assert caught.value.reason == f"{host} does not say how large it is"


SHA256 = "ab" * 32


@pytest.mark.parametrize(
    ("headers", "known"),
    [
        ({"ETag": f'"{SHA256}"', "X_Repo_Commit": "c" * 40}, LockedFile("c" * 40, 7, SHA256)),
        ({"ETag": f'"{SHA256}"', "X_Repo_Commit": "main"}, LockedFile(None, 7, SHA256)),
        ({"ETag": f'"{SHA256}"'}, LockedFile(None, 7, SHA256)),
        ({"ETag": 'W/"5f3c-1"', "X_Repo_Commit": "c" * 40}, LockedFile("c" * 40, 7, None)),
    ],
)
def test_what_a_hub_does_not_say_stays_unknown(headers: dict[str, str], known: LockedFile) -> None:
    with saying(b"", **(headers | {"Content_Length": "7"})) as host:
        assert hub.metadata("hf://owner/name/a", "main", {"HF_ENDPOINT": f"http://{host}"}, Courtesy()) == known


def civitai(answer: Any) -> LockedFile:
    """What is taken from this answer of CivitAI's."""
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    with saying(body) as host:
        return hub.metadata("civitai://7", None, {"CIVITAI_ENDPOINT": f"http://{host}"}, Courtesy())


@pytest.mark.parametrize(
    ("files", "known"),
    [
        ([{"sizeKB": 2, "hashes": {"SHA256": SHA256.upper()}}], LockedFile(None, 2048, SHA256)),
        ([{"sizeKB": 1.3, "hashes": {"SHA256": SHA256}}], LockedFile(None, None, SHA256)),
        ([{"sizeKB": 2, "hashes": {"AutoV2": "ABCDEF"}}], LockedFile(None, 2048, None)),
        ([{"sizeKB": 2, "hashes": {"SHA256": "ABCDEF"}}], LockedFile(None, 2048, None)),
        ([{"sizeKB": 2, "hashes": None}], LockedFile(None, 2048, None)),
        ([{"sizeKB": 9}, {"sizeKB": 2, "primary": True}], LockedFile(None, 2048, None)),
        ([{"sizeKB": 9}, {"sizeKB": 2}], LockedFile(None, 9216, None)),
    ],
)
def test_of_a_civitai_version_only_what_is_certain_is_taken(files: list[Any], known: LockedFile) -> None:
    assert civitai({"files": files}) == known


@pytest.mark.parametrize(
    "answer", [b"<html>", [], {}, {"files": []}, {"files": [{}]}, {"files": [7]}, {"files": [{"sizeKB": "x"}]}]
)
def test_an_answer_of_civitai_that_is_none_is_said(answer: Any) -> None:
    with pytest.raises(CannotResolve) as caught:
        civitai(answer)
    assert (caught.value.reason, caught.value.remedy) == ("CivitAI's answer is not understood", "run it again later")


def test_a_token_does_not_follow_a_redirect(origin: Origin) -> None:
    file = origin.civitai(7, "a.safetensors", Generated(1, 100))
    origin.token(TOKEN, "civitai")
    origin.fault("redirect", file.key, server="hub", to=f"{origin.cdn}/elsewhere")
    with pytest.raises(CannotResolve):
        hub.metadata(file.url, None, {"CIVITAI_ENDPOINT": origin.url, "CIVITAI_TOKEN": TOKEN}, Courtesy())
    first, second = origin.requests()
    assert (first.server, first.token) == ("hub", True)
    assert (second.server, second.token, second.authorization) == ("cdn", False, False)


def test_hosts_are_said_without_what_may_be_secret() -> None:
    assert web.host_of("https://user:password@host:8/a?token=t") == "host:8"
