"""What uv and git say when something is wrong, in plain words."""

from __future__ import annotations

import http.server
import os
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from init.stages import uv
from init.stages.repository import GitFailed, explained

URL = "https://example.org/app"


@pytest.mark.parametrize(
    ("lines", "message", "retry"),
    [
        (["error: Failed to install x", "  cause: No space left on device (os error 28)"], "the disk is full", False),
        (
            ["error: No interpreter found for Python 3.14 in managed installations or search path"],
            "Python 3.14 is not on this machine and could not be downloaded",
            False,
        ),
        (
            ["error: Request failed after 3 retries", "  cause: Failed to download `https://x/python-build-standalone/cpython-3.15.2`"],
            "Python 3.15.2 is not on this machine and could not be downloaded",
            True,
        ),
        (
            ["error: No solution found when resolving dependencies",
             "  cause: Because a==1 depends on torch<2 and you require a==1, we can conclude that your requirements are"
             " unsatisfiable."],
            "the packages asked for do not fit together: a==1 depends on torch<2 and you require a==1",
            False,
        ),
        (
            ["error: Failed to build `flash==1`", "  [stderr]", "  fatal error: cuda.h: No such file"],
            "flash==1 could not be built: error: Failed to build `flash==1` / fatal error: cuda.h: No such file",
            False,
        ),
        (["error: Hash mismatch for `x`"], "a package is not what its hash says: error: Hash mismatch for `x`", False),
        (
            ["error: Failed to fetch: `https://packages.example/simple/x/`", "  cause: dns error"],
            "cannot reach packages.example: dns error",
            True,
        ),
        (
            ["error: Failed to download `https://x/python-build-standalone/c`",
             "  cause: invalid peer certificate: UnknownIssuer"],
            "x shows a certificate that is not trusted here: invalid peer certificate: UnknownIssuer",
            True,
        ),
        (["error: something new"], "uv ended with 2: error: something new", True),
    ],
)  # fmt: skip
def test_uv(lines: list[str], message: str, retry: bool) -> None:
    failure = uv.explained(lines, 2)
    assert (failure.message, failure.retry) == (message, retry)


def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    made = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    made += f" -addext basicConstraints=critical,CA:FALSE -keyout {key} -out {certificate}"
    subprocess.run(made.split(), capture_output=True, check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"https://localhost:{server.server_port}/simple"

    def said(**environ: str) -> list[str]:
        program, target = Path(sys.executable).with_name("uv"), str(tmp_path / "target")
        argv = [str(program), "pip", "install", "--no-cache", "--index-url", url, "nothing-here", "--target", target]
        environ = {**os.environ, "NO_COLOR": "1", "UV_HTTP_RETRIES": "0", **environ}
        return subprocess.run(argv, env=environ, capture_output=True, text=True, check=False).stderr.splitlines()

    try:
        failure = uv.explained(said(), 2)
        assert failure.message.startswith(
            f"localhost:{server.server_port} shows a certificate that is not trusted here: "
        )
        assert failure.hint is not None
        assert "start again with SSL_CERT_FILE" in failure.hint
        assert failure.retry
        trusted = uv.explained(said(SSL_CERT_FILE=str(certificate)), 1)
        assert "nothing-here was not found in the package registry" in trusted.message
    finally:
        server.shutdown()
        server.server_close()


def test_a_long_resolution_is_shortened() -> None:
    failure = uv.explained(["error: No solution found", "cause: Because " + "x depends on y and " * 100], 1)
    assert len(failure.message) < 500 and " … " in failure.message


@pytest.mark.parametrize(
    ("line", "message", "retry"),
    [
        ("fatal: couldn't find remote ref v9", f"{URL} has no branch, tag or commit 'v9'", False),
        ("fatal: Authentication failed for 'x'", f"{URL} asks for a login: it is private, or it does not exist", False),
        ("remote: Repository not found.", f"there is no repository at {URL}", False),
        ("fatal: write error: No space left on device", "the disk is full", False),
        ("fatal: unable to access 'x': Could not resolve host: example.org", "cannot fetch from example.org: ", True),
        ("error: RPC failed; curl 18 transfer closed", "cannot fetch from example.org: RPC failed", True),
        ("fatal: unable to access 'x': The requested URL returned error: 503", "cannot fetch from example.org: ", True),
        ("fatal: something new", "git fetch ended with 128: fatal: something new", True),
    ],
)
def test_git(line: str, message: str, retry: bool) -> None:
    failure = explained(GitFailed("fetch", 128, ["noise", line]), URL, "v9")
    assert failure.message.startswith(message) and failure.retry is retry
