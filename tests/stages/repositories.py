"""Git repositories over http: smart, dumb, private, and gone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

from tests.stages.bench import write
from tests.stages.wheels import served

_AUTHOR = {f"GIT_{role}_{what}": "a@b.c" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


class _Server(SimpleHTTPRequestHandler):
    """`/smart/NAME` speaks git's protocol, `/dumb/NAME` serves files, `/private/NAME` asks for a login; `/shaky/NAME`
    is overloaded at the first request, and speaks git's protocol from then on."""

    def do_GET(self) -> None:
        kind = self.path.split("/")[1]
        asked = Path(self.directory, ".asked")
        if kind == "shaky" and not asked.exists():
            asked.touch()
            self.send_error(503)
        elif kind in ("smart", "shaky"):
            self._backend(b"")
        elif kind == "private":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.path = self.path.removeprefix("/dumb")
            super().do_GET()

    def do_POST(self) -> None:
        self._backend(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _backend(self, body: bytes) -> None:
        path, _, query = self.path.removeprefix("/smart").removeprefix("/shaky").partition("?")
        env = {
            **os.environ,
            "GIT_PROJECT_ROOT": self.directory,
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


class Repositories:
    """Bare repositories below `folder`, at `address`."""

    def __init__(self, folder: Path, address: str):
        self.folder, self.address = folder, address

    def smart(self, name: str) -> str:
        return f"{self.address}/smart/{name}"

    def dumb(self, name: str) -> str:
        return f"{self.address}/dumb/{name}"

    def commit(
        self,
        name: str,
        files: Mapping[str, str | None],
        tag: str | None = None,
        submodule: str | None = None,
        folder: Path | None = None,
    ) -> str:
        """A further commit on `main` (None removes a file), with all files of `folder` too; its hash."""
        bare, work = self.folder / name, self.folder / f".{name}.work"
        if not bare.exists():
            git("init", "-q", "--bare", "-b", "main", str(bare))
            git("clone", "-q", str(bare), str(work))
            git("checkout", "-q", "-B", "main", cwd=work)
        if folder is not None:
            shutil.copytree(folder, work, dirs_exist_ok=True)
        for path in [path for path, text in files.items() if text is None]:
            (work / path).unlink()
        write(work, {path: text for path, text in files.items() if text is not None})
        if submodule is not None:
            git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", submodule, "part", cwd=work)
        git("add", "-A", "-f", cwd=work)
        git("commit", "-q", "--allow-empty", "-m", "change", cwd=work)
        git("push", "-q", "origin", "main", cwd=work)
        if tag is not None:
            git("tag", "-a", "-m", tag, tag, cwd=work)
            git("push", "-q", "origin", tag, cwd=work)
        git("update-server-info", cwd=bare)
        return git("rev-parse", "HEAD", cwd=work).strip()


@contextmanager
def repositories(folder: Path) -> Iterator[Repositories]:
    folder.mkdir(parents=True, exist_ok=True)
    with served(folder, _Server) as address:
        yield Repositories(folder, address)


def git(*words: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        ["git", *words], cwd=cwd, env={**os.environ, **_AUTHOR}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
