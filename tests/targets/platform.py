"""RunPod's template API on this machine: it holds every request against the schemas that RunPod publishes, and
answers as they say."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

DOCUMENT = json.loads(Path(__file__).with_name("runpod-openapi.json").read_text(encoding="utf-8"))
"""Excerpt of RunPod's OpenAPI document (REST v2), without its prose."""
_REGISTRY: Registry[Any] = Registry().with_resource("openapi", DRAFT202012.create_resource(DOCUMENT))
DEFAULTS = {"args": "", "disk": 50, "mounts": {}, "ports": [], "env": {}, "registry": None, "category": "NVIDIA"} | {
    "public": False,
    "serverless": False,
    "startSsh": True,
    "startJupyter": True,
    "allowedCudaVersions": [],
}


def problems(schema: str, body: Any) -> list[str]:
    """What is wrong with `body` as `schema` of the document."""
    validator = Draft202012Validator({"$ref": f"openapi#/components/schemas/{schema}"}, registry=_REGISTRY)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)]


@dataclass
class RunPod:
    target: ClassVar[str] = "runpod"
    url: str = ""
    key: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    templates: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], Any]] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        return {"RUNPOD_API_URL": self.url, "RUNPOD_API_KEY": self.key}

    def answer(self, method: str, path: str, key: str, body: Any) -> tuple[int, dict[str, str], Any]:
        self.requests.append((method, path, body))
        if self.answers:
            return self.answers.pop(0)
        if key != f"Bearer {self.key}":
            return _refusal(401, "Unauthorized", "invalid bearer token")
        found = path.removeprefix("/v2/templates").strip("/")
        match method:
            case "GET" if path == "/v2/templates":
                return _checked("ListTemplatesResponse", 200, {"templates": list(self.templates.values())})
            case "POST" if path == "/v2/templates":
                if wrong := problems("CreateTemplateRequest", body):
                    return _refusal(422, "Unprocessable Entity", "Request validation failed.", wrong)
                if any(one["name"] == body["name"] for one in self.templates.values()):
                    return _refusal(400, "Bad Request", "template name must be unique")
                found = secrets.token_hex(5)
                self.templates[found] = {**DEFAULTS, **body, "id": found}
                return _checked("Template", 201, self.templates[found])
            case "PATCH" if found in self.templates:
                if wrong := problems("UpdateTemplateRequest", body):
                    return _refusal(422, "Unprocessable Entity", "Request validation failed.", wrong)
                self.templates[found] |= body
                return _checked("Template", 200, self.templates[found])
        return _refusal(404, "Not Found", "template not found")


def _checked(schema: str, status: int, body: Any) -> tuple[int, dict[str, str], Any]:
    assert problems(schema, body) == []
    return status, {}, body


def _refusal(status: int, title: str, detail: str, errors: list[str] | None = None) -> tuple[int, dict[str, str], Any]:
    body = {"title": title, "status": status, "detail": detail} | ({"errors": errors} if errors else {})
    assert problems("ErrorResponse", body) == []
    return status, {"Content-Type": "application/problem+json"}, body


class Platform(Protocol):
    """What answers requests as a platform's API does."""

    target: ClassVar[str]
    url: str
    key: str
    requests: list[tuple[str, str, Any]]
    """Method, path and body of each request."""
    answers: list[tuple[int, dict[str, str], Any]]
    """Answers that are given first, whatever is asked: status, headers, body."""

    @property
    def environ(self) -> dict[str, str]: ...

    def answer(self, method: str, path: str, key: str, body: Any) -> tuple[int, dict[str, str], Any]: ...


P = TypeVar("P", bound=Platform)


@contextmanager
def serving(platform: P) -> Iterator[P]:
    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, headers, said = platform.answer(
                self.command, self.path, self.headers.get("Authorization", ""), body
            )
            data = said.encode() if isinstance(said, str) else json.dumps(said).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_PUT = _do

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    platform.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield platform
    finally:
        server.shutdown()
        server.server_close()
