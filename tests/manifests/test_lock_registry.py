"""The digest of a base image, from real registries."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from manifests import registry
from manifests.web import CannotResolve, Courtesy
from tests.manifests.registries import PASSWORD, REFRESH, USER, Registries, registries
from tests.origin import Origin


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registries]:
    with registries(tmp_path_factory.mktemp("registries")) as found:
        yield found


@pytest.fixture(autouse=True)
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Docker configuration; the machine's own does not count."""
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder / "config.json"


def log_in(config: Path, host: str, password: str = PASSWORD) -> None:
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    config.write_text(json.dumps({"auths": {host: {"auth": auth}}}))


def refused(reference: str) -> CannotResolve:
    with pytest.raises(CannotResolve) as caught:
        registry.digest(reference, Courtesy(patience=0.1))
    assert PASSWORD not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("reference", "host", "repository", "tag"),
    [
        ("debian", "registry-1.docker.io", "library/debian", "latest"),
        ("debian:13-slim", "registry-1.docker.io", "library/debian", "13-slim"),
        ("nvidia/cuda:12.8.1-base", "registry-1.docker.io", "nvidia/cuda", "12.8.1-base"),
        ("docker.io/nvidia/cuda:1", "registry-1.docker.io", "nvidia/cuda", "1"),
        ("index.docker.io/debian:1", "registry-1.docker.io", "library/debian", "1"),
        ("ghcr.io/a/b/c:d", "ghcr.io", "a/b/c", "d"),
        ("localhost/a:1", "localhost", "a", "1"),
        ("localhost:5000/a", "localhost:5000", "a", "latest"),
    ],
)
def test_a_reference_is_read_as_docker_reads_it(reference: str, host: str, repository: str, tag: str) -> None:
    image = registry.parse(reference)
    assert (image.host, image.repository, image.tag) == (host, repository, tag)


def test_only_this_machine_is_asked_in_the_clear() -> None:
    assert registry.parse("localhost:5000/a").roots == ["https://localhost:5000", "http://localhost:5000"]
    assert registry.parse("registry.example:5000/a").roots == ["https://registry.example:5000"]


def test_an_image_of_several_platforms_has_the_digest_of_its_index(served: Registries) -> None:
    assert registry.digest(f"{served.open}/team/base:multi", Courtesy()) == served.digests["multi"]


def test_an_image_of_one_platform_has_the_digest_of_its_manifest(served: Registries) -> None:
    assert registry.digest(f"{served.open}/team/base:single", Courtesy()) == served.digests["single"]
    assert registry.digest(f"{served.open}/team/base", Courtesy()) == served.digests["single"]


def test_the_login_comes_from_the_docker_configuration(served: Registries, docker_config: Path) -> None:
    log_in(docker_config, served.password)
    assert registry.digest(f"{served.password}/team/base:multi", Courtesy()) == served.digests["multi"]


def test_the_login_comes_from_a_credential_helper(
    served: Registries, docker_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "docker-credential-drawer"
    program.write_text(f"""#!/bin/sh
test "$1" = get && test "$(cat)" = "{served.password}" && echo '{{"Username": "{USER}", "Secret": "{PASSWORD}"}}'
""")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    docker_config.write_text(json.dumps({"credHelpers": {served.password: "drawer"}}))
    assert registry.digest(f"{served.password}/team/base:multi", Courtesy()) == served.digests["multi"]


@pytest.mark.filterwarnings("ignore:docker-credential-nowhere")
def test_a_credential_helper_that_is_missing_is_named(served: Registries, docker_config: Path) -> None:
    docker_config.write_text(json.dumps({"credHelpers": {served.password: "nowhere"}}))
    error = refused(f"{served.password}/team/base:multi")
    assert "docker-credential-nowhere" in error.reason
    assert error.remedy == "repair ~/.docker/config.json"


def test_without_a_login_the_command_is_named(served: Registries) -> None:
    error = refused(f"{served.password}/team/base:multi")
    nobody = "gives team/base:multi to nobody without a login, or there is no such image"
    assert error.reason == f"{served.password} {nobody}"
    assert error.remedy == f"check the name, then `docker login {served.password}`"


def test_a_wrong_password_is_said(served: Registries, docker_config: Path) -> None:
    log_in(docker_config, served.password, "wrong")
    error = refused(f"{served.password}/team/base:multi")
    assert error.reason == f"{served.password} does not accept the login of your Docker configuration"
    assert error.remedy == f"`docker login {served.password}`"


def test_a_token_is_fetched_for_nobody(served: Registries) -> None:
    assert registry.digest(f"{served.token}/team/base:multi", Courtesy()) == served.digests["multi"]
    assert served.scopes[-1] == "anonymous repository:team/base:pull"


def test_a_token_is_fetched_with_the_login(served: Registries, docker_config: Path) -> None:
    log_in(docker_config, served.token)
    assert registry.digest(f"{served.token}/team/base:multi", Courtesy()) == served.digests["multi"]
    assert served.scopes[-1] == f"{USER} repository:team/base:pull"


def test_a_token_is_fetched_with_an_identity_token(served: Registries, docker_config: Path) -> None:
    docker_config.write_text(json.dumps({"auths": {served.token: {"identitytoken": REFRESH}}}))
    assert registry.digest(f"{served.token}/team/base:multi", Courtesy()) == served.digests["multi"]
    assert served.scopes[-1] == f"{USER} repository:team/base:pull"


def test_a_login_that_the_token_server_refuses_is_said(served: Registries, docker_config: Path) -> None:
    log_in(docker_config, served.token, "wrong")
    assert "does not accept the login" in refused(f"{served.token}/team/base:multi").reason


def test_a_repository_that_the_token_does_not_open_is_said(served: Registries, docker_config: Path) -> None:
    assert "gives team/private:1 to nobody without a login" in refused(f"{served.token}/team/private:1").reason


def test_a_missing_tag_is_said(served: Registries) -> None:
    assert refused(f"{served.open}/team/base:nope").reason == f"{served.open} has no team/base:nope"
    assert refused(f"{served.open}/team/base:nope").remedy == "check the tag in `image.base`"


def test_a_silent_registry_is_said() -> None:
    error = refused("127.0.0.1:1/team/base:1")
    assert error.reason == "127.0.0.1:1 refuses the connection"
    assert "network" in error.remedy


def test_a_name_that_does_not_exist_is_said() -> None:
    assert refused("registry.invalid/team/base:1").reason.startswith("the name registry.invalid cannot be looked up")


def test_too_many_pulls_are_explained(origin: Origin) -> None:
    origin.fault("status", "v2/*", status=429, retry_after="90")
    host = origin.url.removeprefix("http://")
    error = refused(f"{host}/team/base:1")
    assert error.reason == f"{host} allows no more requests from here for the next 90 s (HTTP 429)"
    assert error.remedy == "run it again after 90 s"


def test_a_login_never_goes_to_a_token_server_in_the_clear() -> None:
    image, login = registry.parse("registry.example/team/base"), {"Username": "a", "Password": "b"}
    with pytest.raises(CannotResolve, match="asks for a login in a way that is not understood"):
        registry._authorize(image, 'Bearer realm="http://tokens.example/t",service="s"', login)
    with pytest.raises(CannotResolve, match="asks for a login in a way that is not understood"):
        registry._authorize(image, 'Bearer realm="http://127.0.0.1:1/t",service="s"', login)


class Scripted(BaseHTTPRequestHandler):
    """A registry that answers as `server.answer` says, and remembers who asked with which login."""

    def do_HEAD(self) -> None:
        server: Any = self.server
        server.seen.append((self.path, self.headers.get("Authorization")))
        status, headers, body = server.answer(self)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_GET = do_HEAD

    def log_message(self, format: str, *args: object) -> None:
        pass


class Registry(ThreadingHTTPServer):
    """Listens on loopback; `host` is its address."""

    seen: list[tuple[str, str | None]]
    answer: Callable[[BaseHTTPRequestHandler], tuple[int, dict[str, str], bytes]]

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: it is asked over TLS first, and hangs up."""


@pytest.fixture
def scripted() -> Iterator[Callable[..., Registry]]:
    """Start a registry that gives these answers."""
    running: list[Registry] = []

    def start(answer: Callable[[BaseHTTPRequestHandler], tuple[int, dict[str, str], bytes]]) -> Registry:
        server = Registry(("127.0.0.1", 0), Scripted)
        server.seen, server.answer = [], answer
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "reason", "remedy"),
    [
        (403, "DENIED", "the login of your Docker configuration may not read a/b:1 on {}", "ask its owner for access"),
        (404, "NAME_UNKNOWN", "{} has no image a/b", "check `image.base`"),
        (404, "MANIFEST_UNKNOWN", "{} has no a/b:1", "check the tag in `image.base`"),
        (500, "UNKNOWN", "{} answers HTTP 500 (UNKNOWN)", "run it again later"),
    ],
)
def test_a_registrys_refusal_is_explained(
    scripted: Callable[..., Registry], docker_config: Path, status: int, code: str, reason: str, remedy: str
) -> None:
    def answer(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        if "manifests" not in request.path:
            return 200, {}, b"{}"
        if not request.headers.get("Authorization"):
            return 401, {"WWW-Authenticate": 'Basic realm="x"'}, b""
        return status, {}, json.dumps({"errors": [{"code": code}]}).encode()

    server = scripted(answer)
    log_in(docker_config, server.host)
    error = refused(f"{server.host}/a/b:1")
    assert (error.reason, error.remedy) == (reason.format(server.host), remedy)


@pytest.mark.parametrize("stated", [{}, {"Docker-Content-Digest": "latest"}])
def test_a_digest_that_is_not_stated_is_that_of_the_manifest(
    scripted: Callable[..., Registry], stated: dict[str, str]
) -> None:
    server = scripted(lambda request: (200, stated, b"a manifest"))
    expected = f"sha256:{hashlib.sha256(b'a manifest').hexdigest()}"
    assert registry.digest(f"{server.host}/a/b:1", Courtesy()) == expected


@pytest.mark.parametrize("where", ["token", "manifest"])
def test_a_login_does_not_follow_a_redirect(scripted: Callable[..., Registry], docker_config: Path, where: str) -> None:
    elsewhere = scripted(lambda request: (200, {"Docker-Content-Digest": f"sha256:{'a' * 64}"}, b'{"token": "t"}'))
    away = {"Location": f"http://{elsewhere.host}/away"}

    def answer(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        if request.path.startswith("/token"):
            return (302, away, b"") if where == "token" else (200, {}, b'{"token": "t"}')
        if "manifests" in request.path and not request.headers.get("Authorization"):
            return 401, {"WWW-Authenticate": f'Bearer realm="http://{server.host}/token",service="s"'}, b""
        if "manifests" in request.path and where == "manifest":
            return 307, away, b""
        return 200, {"Docker-Content-Digest": f"sha256:{'a' * 64}"}, b"{}"

    server = scripted(answer)
    log_in(docker_config, server.host)
    assert registry.digest(f"{server.host}/a/b:1", Courtesy()) == f"sha256:{'a' * 64}"
    assert any(login for path, login in server.seen if path.startswith("/token")), "the login was sent where it belongs"
    assert elsewhere.seen == [("/away", None)]
