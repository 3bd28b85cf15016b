"""What asking a platform has in common: a key, patience, and refusals in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from targets.deploying import TARGETS
from tests.targets.console import Vast
from tests.targets.platform import Platform, RunPod, serving
from tests.targets.support import deploy, manifest, refused

PROBLEMS = {
    "runpod": {"title": "T", "status": 0, "detail": "the key KEY is odd", "errors": ["$.disk: must be >= 1"]},
    "vast": {"success": False, "error": "kind", "msg": "the key KEY is odd"},
}
"""Refusals as the platforms write them."""
REASONS = {"runpod": "the key … is odd\n$.disk: must be >= 1", "vast": "the key … is odd"}


@pytest.fixture(params=[RunPod, Vast])
def platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    with serving(request.param()) as found:
        yield found


def problem(platform: Platform) -> dict[str, Any]:
    return {
        name: value.replace("KEY", platform.key) if isinstance(value, str) else value
        for name, value in PROBLEMS[platform.target].items()
    }


def test_without_a_key_nothing_is_asked(tmp_path: Path, platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    loaded, target = manifest(tmp_path), TARGETS[platform.target].PLATFORM
    assert deploy(loaded, platform, environ={target.address: platform.url}, apply=False) == 0
    assert f"{target.key} is not set: what {target.name} has now is not known" in capsys.readouterr().out
    for key, what in (("", f"{target.key} is not set"), ("two words", f"{target.key} is no key")):
        error = refused(loaded, platform, environ={target.address: platform.url, target.key: key})
        assert error.what == what and "two words" not in str(error)
    assert platform.requests == []


@pytest.mark.parametrize(
    ("status", "what", "remedy"),
    [
        (400, "{name} refuses this template", "correct `deploy.{target}` in the manifest"),
        (401, "{name} does not know this key", "set {key} to a key that is valid"),
        (403, "this key may not do that", "give it write access to templates in the console, or use another"),
        (404, "{name} does not have this template any more", "run it again: it is made anew"),
        (409, "{name} refuses this", "the lines above say why"),
        (422, "{name} refuses this template", "correct `deploy.{target}` in the manifest"),
        (502, "{name} has a problem of its own", "try again later; nothing is half done"),
    ],
)
def test_a_refusal_is_explained(status: int, what: str, remedy: str, tmp_path: Path, platform: Platform) -> None:
    platform.answers = [(status, {}, problem(platform))]
    error = refused(manifest(tmp_path), platform)
    known = TARGETS[platform.target].PLATFORM
    words = {"name": known.name, "target": platform.target, "key": known.key}
    assert (error.what, error.remedy) == (what.format(**words), remedy.format(**words))
    assert error.reason == f"HTTP {status}\n{REASONS[platform.target]}"


def test_a_busy_platform_is_given_time(tmp_path: Path, platform: Platform) -> None:
    platform.answers = [(429, {"Retry-After": "0"}, problem(platform))]
    assert deploy(manifest(tmp_path), platform) == 0
    platform.answers = [(429, {"Retry-After": "600"}, problem(platform))]
    error = refused(manifest(tmp_path), platform)
    assert error.what == f"{TARGETS[platform.target].PLATFORM.name} cannot be asked"
    assert "for the next 600 s" in error.reason


def test_answers_that_are_none(tmp_path: Path, platform: Platform) -> None:
    name = TARGETS[platform.target].PLATFORM.name
    for body in ("<html>a proxy's login</html>", [1]):
        platform.answers = [(200, {}, body)]
        assert refused(manifest(tmp_path), platform).what == f"{name} gave an answer that cannot be read"
    platform.answers = [(502, {}, "<html>bad gateway</html>")]
    assert refused(manifest(tmp_path), platform).what == f"{name} has a problem of its own"
    platform.url = "http://127.0.0.1:9"
    assert "127.0.0.1:9 refuses the connection" in refused(manifest(tmp_path), platform).reason
