"""KasmVNC's package in the lock: asked of GitHub, counted where GitHub does not say, and never invented."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from manifests import desktop, load, lock, releases, web
from manifests.drift import drift
from manifests.lock import LockedFile
from manifests.resolution import update
from manifests.web import CannotResolve, Courtesy
from tests.manifests import lock_cases
from tests.origin import Bytes, Origin

KASMVNC = "desktop: {provider: kasmvnc, distribution: noble}\n"
DEB = "kasmvncserver_noble_1.4.0_amd64.deb"
URL = f"{desktop.RELEASES}/v1.4.0/{DEB}"
CONTENT = b"a package" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def release(origin: Origin, digest: str | None, name: str = DEB, size: int = len(CONTENT)) -> dict[str, str]:
    """Publish what GitHub's API says of the release; the environment that leads there."""
    file = origin.plain(name, Bytes(CONTENT))
    asset = {"name": name, "size": size, "digest": digest, "browser_download_url": file.url}
    origin.plain("repos/kasmtech/KasmVNC/releases/tags/v1.4.0", Bytes(json.dumps({"assets": [asset]}).encode()))
    return {"GITHUB_API_URL": file.url.removesuffix(f"/{name}")}


def refused(environ: dict[str, str]) -> CannotResolve:
    with pytest.raises(CannotResolve) as caught:
        releases.metadata(URL, environ, Courtesy(patience=0.5))
    return caught.value


def test_github_says_what_it_is(origin: Origin) -> None:
    environ = release(origin, f"sha256:{SHA256}")
    assert releases.metadata(URL, environ, Courtesy()) == LockedFile(None, len(CONTENT), SHA256)
    assert origin.requests(DEB) == [], "nothing is fetched for it"


@pytest.mark.parametrize("digest", [None, "md5:00", "sha256:no"])
def test_where_it_does_not_the_file_is_counted(origin: Origin, digest: str | None) -> None:
    environ = release(origin, digest)
    assert releases.metadata(URL, environ, Courtesy()) == LockedFile(None, len(CONTENT), SHA256)


def test_a_file_that_comes_in_part_is_not_believed(origin: Origin) -> None:
    reason = refused(release(origin, None, size=len(CONTENT) + 1)).reason
    assert f"does not give the file (HTTP 200, {len(CONTENT)} of {len(CONTENT) + 1} bytes)" in reason


def test_refusals_are_said(origin: Origin) -> None:
    environ = release(origin, None, "kasmvncserver_jammy_1.4.0_amd64.deb")
    caught = refused(environ)
    assert caught.reason == f"release v1.4.0 of kasmtech/KasmVNC has no file {DEB}"
    assert caught.remedy == "it has kasmvncserver_jammy_1.4.0_amd64.deb"
    caught = refused({"GITHUB_API_URL": f"{environ['GITHUB_API_URL']}/none"})
    assert caught.reason == "kasmtech/KasmVNC has no release v1.4.0 (HTTP 404)"
    assert caught.remedy == "correct `version` in the manifest"
    origin.plain("repos/kasmtech/KasmVNC/releases/tags/v1.4.0", Bytes(b'{"assets": [1]}'))
    assert "answers what cannot be read" in refused(environ).reason


@pytest.mark.parametrize(("token", "remedy"), [("", "set GITHUB_TOKEN"), ("secret", "correct GITHUB_TOKEN")])
def test_too_many_questions_are_said(monkeypatch: pytest.MonkeyPatch, token: str, remedy: str) -> None:
    asked: dict[str, str] = {}

    def ask(url: str, *, secret: dict[str, str]) -> web.Answer:
        asked.update(secret)
        return web.Answer(403, {}, b"", url)  # type: ignore[arg-type]

    monkeypatch.setattr(web, "ask", ask)
    caught = refused({"GITHUB_TOKEN": token})
    assert (caught.reason, caught.remedy.startswith(remedy)) == ("api.github.com refuses access (HTTP 403)", True)
    assert asked == ({"Authorization": "Bearer secret"} if token else {})


def test_the_lock_keeps_it_and_a_lock_without_one_has_no_such_part(origin: Origin, tmp_path: Path) -> None:
    loaded = lock_cases.manifest(tmp_path, KASMVNC)
    environ = release(origin, f"sha256:{SHA256}")
    found = update(loaded, ["desktop"], environ=environ, courtesy=Courtesy(patience=0.1)).lock
    assert found.programs == {URL: LockedFile(None, len(CONTENT), SHA256)}
    lock.write(found, loaded)
    assert lock.read(loaded) == found and lock.read(loaded).file(URL).sha256 == SHA256
    assert not [one for one in drift(found, loaded) if one.name.startswith("program")]
    bare = lock_cases.manifest(tmp_path, "", name="bare")
    assert '"programs"' not in lock.text(update(bare, [], environ={}).lock)


def test_another_release_is_drift(origin: Origin, tmp_path: Path) -> None:
    loaded = lock_cases.manifest(tmp_path, KASMVNC)
    found = update(loaded, ["desktop"], environ=release(origin, f"sha256:{SHA256}"), courtesy=Courtesy(0.1)).lock
    lock.write(found, loaded)
    newer = lock_cases.manifest(tmp_path, "desktop: {provider: kasmvnc, distribution: noble, version: 1.5.0}\n")
    said = [(one.kind, one.name.rpartition("/")[2]) for one in drift(found, newer) if one.name.startswith("program")]
    assert said == [("pending", "kasmvncserver_noble_1.5.0_amd64.deb"), ("orphaned", DEB)]
    unknown = update(newer, ["desktop"], environ=release(origin, None), courtesy=Courtesy(0.1))
    assert list(unknown.lock.programs.values()) == [LockedFile()], "what is not known is not invented"


def test_a_child_is_told_what_its_parent_s_lock_knows(origin: Origin, tmp_path: Path) -> None:
    parent = lock_cases.manifest(tmp_path, KASMVNC, name="parent")
    environ = release(origin, f"sha256:{SHA256}")
    lock.write(update(parent, ["desktop"], environ=environ, courtesy=Courtesy(0.1)).lock, parent)
    (tmp_path / "child.yaml").write_text("manifest: 1\nname: child\nextends: parent.yaml\n")
    child = load.load(str(tmp_path / "child.yaml"))
    nobody = {"GITHUB_API_URL": "http://127.0.0.1:9"}
    assert update(child, [], environ=nobody, courtesy=Courtesy(0.1)).lock.programs == {
        URL: LockedFile(None, len(CONTENT), SHA256)
    }
