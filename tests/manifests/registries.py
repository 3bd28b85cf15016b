"""A real registry (`docker-registry serve`) with one image in it, open, behind a password, and behind tokens."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.ports import free_port
from tests.waiting import until

USER, PASSWORD, REFRESH = "ci", "s3cret", "refresh-0123456789"
_HTPASSWD = f"{USER}:$2b$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK\n"
_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass
class Registries:
    """Host and port of the same content in three registries, and the digests of its tags."""

    open: str
    password: str
    token: str
    scopes: list[str]
    """What the token server was asked for."""
    digests: dict[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def registries(folder: Path) -> Iterator[Registries]:
    """All three, with `team/base:multi` (an index of two platforms), `team/base:single` and `team/base:latest`."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    made = ["-subj", "/CN=test", "-days", "2", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *made], check=True, capture_output=True)
    (folder / "htpasswd").write_text(_HTPASSWD)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _TokenServer)
    server.daemon_threads = True
    server.key, server.certificate, server.scopes = key, certificate, []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    token = {
        "realm": f"http://127.0.0.1:{server.server_address[1]}/token",
        "service": "test-registry",
        "issuer": "test-issuer",
        "rootcertbundle": str(certificate),
    }
    htpasswd = {"realm": "test", "path": str(folder / "htpasswd")}
    auths: list[dict[str, Any]] = [{}, {"htpasswd": htpasswd}, {"token": token}]
    with contextlib.ExitStack() as stack:
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        free, password, tokens = (stack.enter_context(_registry(folder, n, auth)) for n, auth in enumerate(auths))
        found = Registries(free, password, tokens, server.scopes)  # type: ignore[attr-defined]
        found.digests = _publish(found.open)
        yield found


@contextlib.contextmanager
def _registry(folder: Path, number: int, auth: dict[str, Any]) -> Iterator[str]:
    host = f"127.0.0.1:{free_port()}"
    config = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
        "http": {"addr": host},
        **({"auth": auth} if auth else {}),
    }
    file = folder / f"registry-{number}.json"
    file.write_text(json.dumps(config))  # JSON is YAML
    process = subprocess.Popen(
        ["docker-registry", "serve", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: _listens(host), what=f"docker-registry on {host}")
        yield host
    finally:
        process.terminate()
        process.wait()


def _listens(host: str) -> bool:
    name, _, port = host.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((name, int(port))) == 0


def _publish(host: str) -> dict[str, str]:
    config = _blob(host, b"{}")
    layer = _blob(host, b"layer")
    single: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **layer}],
    }
    digests = {"single": _manifest(host, "single", _MANIFEST, single)}
    _manifest(host, "latest", _MANIFEST, single)
    members = []
    for architecture in ("amd64", "arm64"):
        content = {**single, "annotations": {"architecture": architecture}}
        body = json.dumps(content).encode()
        digest = _manifest(host, f"sha256:{hashlib.sha256(body).hexdigest()}", _MANIFEST, content)
        platform = {"architecture": architecture, "os": "linux"}
        members.append({"mediaType": _MANIFEST, "digest": digest, "size": len(body), "platform": platform})
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": members}
    digests["multi"] = _manifest(host, "multi", _INDEX, index)
    return digests


def _blob(host: str, data: bytes) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    with _call("POST", f"http://{host}/v2/team/base/blobs/uploads/") as opened:
        place = opened.headers["Location"]
    _call("PUT", f"{place}&digest={digest}", data, "application/octet-stream").close()
    return {"digest": digest, "size": len(data)}


def _manifest(host: str, reference: str, media: str, content: dict[str, Any]) -> str:
    url = f"http://{host}/v2/team/base/manifests/{reference}"
    with _call("PUT", url, json.dumps(content).encode(), media) as answer:
        return str(answer.headers["Docker-Content-Digest"])


def _call(method: str, url: str, data: bytes | None = None, media: str | None = None) -> Any:
    request = urllib.request.Request(url, data, {"Content-Type": media} if media else {}, method=method)
    return urllib.request.urlopen(request, timeout=10)


class _TokenServer(BaseHTTPRequestHandler):
    """Gives tokens for pulling `team/…`: to anybody for `team/base:`, `team/private` not even to USER."""

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        login = self.headers.get("Authorization")
        if login not in (None, "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()):
            self._answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]})
        else:
            self._answer(200, {"token": self._token(query["scope"][0], USER if login else "")})

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if form["grant_type"] == ["refresh_token"] and form["refresh_token"] == [REFRESH]:
            self._answer(200, {"access_token": self._token(form["scope"][0], USER)})
        else:
            self._answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "unknown refresh token"}]})

    def _token(self, scope: str, subject: str) -> str:
        server: Any = self.server
        server.scopes.append(f"{subject or 'anonymous'} {scope}")
        _, name, actions = scope.split(":")
        granted = [{"type": "repository", "name": name, "actions": actions.split(",")}] if name == "team/base" else []
        body = "".join(server.certificate.read_text().splitlines()[1:-1])
        now = int(time.time())
        claims = {"iss": "test-issuer", "sub": subject, "aud": "test-registry", "jti": str(now), "access": granted}
        times = {"exp": now + 300, "nbf": now - 5, "iat": now}
        parts = [{"typ": "JWT", "alg": "RS256", "x5c": [body]}, {**claims, **times}]
        signed = b".".join(_code(json.dumps(part).encode()) for part in parts)
        done = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(server.key)], input=signed, capture_output=True, check=True
        )
        return (signed + b"." + _code(done.stdout)).decode()

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _code(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
