"""Tokens: where they go, where they never go, and what is said without them."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from init.failure import StageFailed
from init.fetch.aria2 import Aria2
from tests.fetch.conftest import Background, Kitchen, spec
from tests.origin import Bytes, Generated, Origin
from tests.waiting import until

MB = 1_000_000
TOKEN = "hf_qwqwqwqw"


def test_a_token_stays_at_the_hub(kitchen: Kitchen, origin: Origin) -> None:
    kitchen.environ |= {"HF_TOKEN": origin.token(TOKEN, "*"), "CIVITAI_TOKEN": origin.token("civ_qwqwqwqw", "civitai")}
    files = [
        origin.hub("o/gated", "a.bin", Generated(1, 3 * MB), access="gated"),
        origin.hub("o/gated", "config.json", Bytes(b"{}"), lfs=False, access="gated"),
        origin.civitai(3, "c.bin", Generated(2, 3 * MB), access="gated"),
        origin.plain("plain.bin", Generated(3, 3 * MB)),
    ]
    held = origin.fault("stall", after=MB, server="cdn")
    background = Background(lambda: kitchen.fetch(*[spec(f, locked=False) for f in files]))
    until(lambda: origin.sent("o/*") >= MB)
    lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "aria2c --conf-path=" in lines
    assert "qwqwqwqw" not in lines
    held.gone = True
    background.join()
    kitchen.check(*files)
    assert [e.path for e in origin.log if e.server == "cdn" and (e.token or e.authorization)] == []
    assert [e.path for e in origin.requests("plain.bin") if e.token or e.authorization] == []
    _nowhere(kitchen.folder, "qwqwqwqw", "Signature=")
    assert not any("qwqwqwqw" in s.message or "Signature" in s.message for s in kitchen.told)


def _nowhere(folder: Path, *words: str) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for word in words:
                assert word.encode() not in data, f"{word} in {path}"


def test_a_redirect_to_another_host_gets_no_token(kitchen: Kitchen, origin: Origin) -> None:
    kitchen.environ["HF_TOKEN"] = origin.token(TOKEN, "*")
    file = origin.hub("o/r", "a.bin", Generated(1, 1000))
    small = origin.hub("o/r", "small.json", Bytes(b"{}"), lfs=False)
    origin.fault("redirect", server="hub", to=f"{origin.cdn}/elsewhere")
    with pytest.raises(StageFailed):
        kitchen.fetch(spec(file), spec(small, locked=False), tries=1)
    elsewhere = [e for e in origin.log if e.server == "cdn"]
    assert elsewhere
    assert not any(e.token or e.authorization for e in elsewhere)


def test_a_gated_file_that_the_hub_keeps_itself_is_fetched_with_the_token(kitchen: Kitchen, origin: Origin) -> None:
    kitchen.environ["HF_TOKEN"] = origin.token(TOKEN, "*")
    small = origin.hub("o/r", "small.json", Bytes(b"{}"), lfs=False, access="gated")
    kitchen.fetch(spec(small, locked=False))
    kitchen.check(small)
    cached = [e for e in origin.log if "/api/resolve-cache/" in e.path]
    assert cached and all(e.authorization for e in cached)


def test_a_redirect_that_comes_only_with_the_bytes_gets_no_token(kitchen: Kitchen, origin: Origin) -> None:
    kitchen.environ["HF_TOKEN"] = origin.token(TOKEN, "*")
    small = origin.hub("o/r", "small.json", Bytes(b"{}"), lfs=False)
    origin.fault("redirect", server="hub", method="GET", to=f"{origin.cdn}/elsewhere")
    with pytest.raises(StageFailed):
        kitchen.fetch(spec(small, locked=False), tries=1)
    assert {e.authorization for e in origin.requests("o/r/*", "GET", "hub")} == {True}
    elsewhere = [e for e in origin.log if e.server == "cdn"]
    assert elsewhere
    assert not any(e.token or e.authorization for e in elsewhere)


def children(*words: str) -> list[int]:
    """Processes that this one started, with one of these words in their command line."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((proc / "stat").read_text().rpartition(")")[2].split()[1])
            line = (proc / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == os.getpid() and any(word.encode() in line for word in words):
            found.append(int(proc.name))
    return found


def test_the_programs_that_fetch_know_no_token(
    kitchen: Kitchen, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_TOKEN", "CIVITAI_TOKEN"):
        kitchen.environ[name] = TOKEN
        monkeypatch.setenv(name, TOKEN)
    origin.token(TOKEN, "*")
    file = origin.hub("o/r", "a.bin", Generated(1, 6 * MB))
    held = origin.fault("stall", after=MB)
    background = Background(lambda: kitchen.fetch(spec(file), big=MB))
    programs = [until(lambda word=word: children(word), what=word) for word in ("aria2c", "init.fetch.reader")]  # type: ignore[misc]
    for pid in (pid for pids in programs for pid in pids):
        environment = until((Path("/proc") / str(pid) / "environ").read_bytes)
        assert b"PATH=" in environment
        assert TOKEN.encode() not in environment
    held.gone = True
    background.join()
    kitchen.check(file)


def test_nobody_else_can_give_aria2_orders(tmp_path: Path) -> None:
    aria2 = Aria2(tmp_path, os.environ, calm=False, keep=None)
    try:
        (configuration,) = tmp_path.iterdir()
        assert stat.S_IMODE(configuration.stat().st_mode) == 0o600
        aria2.ready()
        assert list(tmp_path.iterdir()) == [], "it has read it"
        order = json.dumps({"jsonrpc": "2.0", "id": "1", "method": "aria2.getVersion", "params": []}).encode()
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{aria2.port}/jsonrpc", order, timeout=10)
        assert json.load(refused.value)["error"]["message"] == "Unauthorized"
    finally:
        aria2.stop()


@pytest.mark.parametrize(
    ("token", "message", "hint"),
    [
        (
            None,
            "o/gated/a.bin: Hugging Face asks for an accepted licence",
            "accept the licence at .*/o/gated, sign in with `hf auth login` and retry, or start again with HF_TOKEN",
        ),
        ("hf_other", "asks for an accepted licence", "with the account of this HF_TOKEN and retry"),
        ("hf_unknown", r"refused the token \(401\)", "make a new one at https://huggingface.co/settings/tokens"),
    ],
)
def test_a_gated_repository_is_explained(
    kitchen: Kitchen, origin: Origin, token: str | None, message: str, hint: str
) -> None:
    origin.token("hf_other", "o/else")
    if token:
        kitchen.environ["HF_TOKEN"] = token
    file = origin.hub("o/gated", "a.bin", Generated(1, 1000), access="gated")
    with pytest.raises(StageFailed, match=message) as caught:
        kitchen.fetch(spec(file))
    assert not caught.value.retry
    assert re.search(hint, caught.value.hint or "")
    assert token is None or token not in str(caught.value.hint) + caught.value.message
    assert len(origin.log) == 1


def test_a_private_repository_is_explained(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.hub("o/private", "a.bin", Generated(1, 1000), access="private")
    with pytest.raises(StageFailed, match=r"wants a token \(401\), or there is no such file") as caught:
        kitchen.fetch(spec(file))
    assert "sign in with `hf auth login` and retry, or start again with HF_TOKEN set" in (caught.value.hint or "")


def test_who_signs_in_on_the_running_machine_needs_no_new_start(
    kitchen: Kitchen, origin: Origin, tmp_path: Path
) -> None:
    kitchen.environ["HF_HOME"] = str(tmp_path / "cache")
    file = origin.hub("o/gated", "a.bin", Generated(1, 1000), access="gated")
    with pytest.raises(StageFailed, match="asks for an accepted licence"):
        kitchen.fetch(spec(file))
    (tmp_path / "cache").mkdir()
    # As `hf auth login` writes it.
    (tmp_path / "cache" / "token").write_text(origin.token(TOKEN, "*"))
    kitchen.fetch(spec(file))
    kitchen.check(file)


def test_civitai_without_a_token_is_explained(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.civitai(3, "c.bin", Generated(2, 1000), access="gated")
    with pytest.raises(StageFailed, match="CivitAI wants a token") as caught:
        kitchen.fetch(spec(file))
    assert "start again with CIVITAI_TOKEN set" in (caught.value.hint or "")


def test_civitais_login_page_is_no_file(kitchen: Kitchen, origin: Origin) -> None:
    file = origin.civitai(3, "c.bin", Generated(2, 1000))
    origin.fault("redirect", file.key, to=f"{origin.url}/login?returnUrl=%2Fmodels")
    with pytest.raises(StageFailed, match="CivitAI wants a token") as caught:
        kitchen.fetch(spec(file))
    assert not caught.value.retry
    assert not [e for e in origin.log if e.path == "/login"]
