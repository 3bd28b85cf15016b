"""What servers say about files: the real clients against the test origin."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from manifests import hub, web
from manifests.lock import LockedFile
from manifests.web import CannotResolve, Courtesy
from tests.origin import Bytes, Generated, Origin

REPO, TOKEN = "owner/name", "hf_testtoken0123456789"


def ask(origin: Origin, url: str, revision: str | None = "main", **environ: str) -> LockedFile:
    known: Mapping[str, str] = {"HF_ENDPOINT": origin.url, "CIVITAI_ENDPOINT": origin.url, **environ}
    return hub.metadata(url, revision, known, Courtesy(patience=0.5))


def refused(origin: Origin, url: str, revision: str | None = "main", **environ: str) -> CannotResolve:
    with pytest.raises(CannotResolve) as caught:
        ask(origin, url, revision, **environ)
    assert TOKEN not in str(caught.value)
    assert "?" not in caught.value.reason
    return caught.value


@pytest.fixture(autouse=True)
def no_login_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", True)


def test_a_large_file_has_commit_size_and_sha256(origin: Origin) -> None:
    file = origin.hub(REPO, "folder/a b.safetensors", Generated(1, 3_000_000))
    found = ask(origin, f"hf://{REPO}/folder/a b.safetensors")
    assert found == LockedFile(origin.commits[REPO], 3_000_000, file.sha256)


def test_one_request_and_no_bytes(origin: Origin) -> None:
    file = origin.hub(REPO, "a.safetensors", Generated(1, 1000))
    ask(origin, file.url)
    assert [entry.method for entry in origin.requests()] == ["HEAD"]
    assert origin.sent() == 0


def test_a_small_file_has_no_sha256_and_none_is_made_up(origin: Origin) -> None:
    file = origin.hub(REPO, "config.json", Bytes(b"{}"), lfs=False)
    assert ask(origin, file.url) == LockedFile(origin.commits[REPO], 2, None)


def test_the_token_is_sent_to_the_hub_alone(origin: Origin) -> None:
    file = origin.hub(REPO, "a.safetensors", Generated(1, 1000), access="gated")
    origin.token(TOKEN, REPO)
    assert ask(origin, file.url, HF_TOKEN=TOKEN).sha256 == file.sha256
    assert all(entry.server == "hub" for entry in origin.requests() if entry.token)


def test_a_gated_repository_names_the_licence(origin: Origin) -> None:
    file = origin.hub(REPO, "a.safetensors", Generated(1, 1000), access="gated")
    error = refused(origin, file.url)
    assert error.reason == f"{REPO} is gated: it is given only to accounts that accepted its licence (HTTP 401)"
    assert error.remedy == (
        f"accept it at {origin.url}/{REPO}, then set HF_TOKEN to a token of that account ({origin.url}/settings/tokens)"
    )


def test_a_token_without_the_licence_names_the_licence(origin: Origin) -> None:
    file = origin.hub(REPO, "a.safetensors", Generated(1, 1000), access="gated")
    origin.token(TOKEN)
    error = refused(origin, file.url, HF_TOKEN=TOKEN)
    assert error.reason == f"{REPO} is gated, and the account of HF_TOKEN has no access (HTTP 403)"
    assert f"accept its licence at {origin.url}/{REPO}" in error.remedy


def test_an_invalid_token_is_said(origin: Origin) -> None:
    file = origin.hub(REPO, "a.safetensors", Generated(1, 1000))
    error = refused(origin, file.url, HF_TOKEN=TOKEN)
    assert error.reason == "HF_TOKEN is not a valid token (HTTP 401)"
    assert error.remedy == f"make one at {origin.url}/settings/tokens, or unset it"


def test_a_missing_or_private_repository_is_said(origin: Origin) -> None:
    error = refused(origin, "hf://owner/none/a.bin")
    assert error.reason == "there is no repository owner/none, or it is private (HTTP 401)"
    assert error.remedy == "check the name; set HF_TOKEN if it is private"
    origin.token(TOKEN)
    error = refused(origin, "hf://owner/none/a.bin", HF_TOKEN=TOKEN)
    assert error.reason == "there is no repository owner/none, or it is private (HTTP 404)"
    assert error.remedy == "check the name; give the account of HF_TOKEN access"


def test_a_missing_file_names_the_listing(origin: Origin) -> None:
    origin.hub(REPO, "a.safetensors", Generated(1, 1000))
    error = refused(origin, f"hf://{REPO}/b.safetensors")
    assert error.reason == f"{REPO} has no file b.safetensors at main"
    assert error.remedy == f"see {origin.url}/{REPO}/tree/main"


def test_a_missing_revision_names_the_listing(origin: Origin) -> None:
    file = origin.hub(REPO, "a.safetensors", Generated(1, 1000))
    error = refused(origin, file.url, "v9")
    assert error.reason == f"{REPO} has no revision v9"
    assert error.remedy == f"see {origin.url}/{REPO}/tree/main for its branches and tags"


def test_another_refusal_is_said(origin: Origin) -> None:
    file = origin.hub(REPO, "a.safetensors", Generated(1, 1000))
    origin.fault("status", file.key, status=403)
    assert refused(origin, file.url).reason.startswith(f"the hub forbids access to {REPO} (HTTP 403")
    origin.clear()
    origin.fault("status", file.key, status=418)
    assert refused(origin, file.url).reason.startswith("the hub answers HTTP 418")


def test_a_busy_hub_is_asked_again_after_the_time_it_names(origin: Origin) -> None:
    file = origin.hub(REPO, "a.safetensors", Generated(1, 1000))
    origin.fault("status", file.key, status=429, retry_after="0", times=2)
    assert ask(origin, file.url).sha256 == file.sha256
    assert [entry.status for entry in origin.requests(file.key)] == [429, 429, 302]


def test_a_hub_that_asks_for_too_much_patience_is_left_alone(origin: Origin) -> None:
    file = origin.hub(REPO, "a.safetensors", Generated(1, 1000))
    origin.fault("status", file.key, status=429, retry_after="3600")
    courtesy = Courtesy(patience=60)
    host = web.host_of(origin.url)
    for _ in range(3):
        with pytest.raises(CannotResolve) as caught:
            hub.metadata(file.url, "main", {"HF_ENDPOINT": origin.url}, courtesy)
        assert caught.value.reason == f"{host} allows no more requests from here for the next 3600 s (HTTP 429)"
        assert caught.value.remedy == "run it again after 3600 s; with HF_TOKEN set, the hub allows more requests"
    assert len(origin.requests(file.key)) == 1


def test_an_overloaded_hub_is_asked_again(origin: Origin) -> None:
    file = origin.hub(REPO, "a.safetensors", Generated(1, 1000))
    origin.fault("status", file.key, status=503, retry_after="0", times=1)
    assert ask(origin, file.url).size == 1000
    origin.fault("status", file.key, status=500, retry_after="0")
    assert refused(origin, file.url).reason == f"{web.host_of(origin.url)} is overloaded for the next 0 s (HTTP 500)"


def test_a_dead_hub_is_asked_twice_and_then_left_alone(origin: Origin) -> None:
    courtesy = Courtesy()
    for _ in range(3):
        with pytest.raises(CannotResolve) as caught:
            hub.metadata(f"hf://{REPO}/a.bin", "main", {"HF_ENDPOINT": "http://127.0.0.1:1"}, courtesy)
        assert caught.value.reason == "127.0.0.1:1 refuses the connection"
    assert "network" in caught.value.remedy


def test_a_name_that_does_not_exist_is_said(origin: Origin) -> None:
    error = refused(origin, f"hf://{REPO}/a.bin", HF_ENDPOINT="http://hub.invalid")
    assert error.reason.startswith("the name hub.invalid cannot be looked up")


def test_offline_mode_is_said(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants
    from huggingface_hub.utils._http import close_session

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    close_session()
    try:
        error = refused(origin, f"hf://{REPO}/a.bin")
        assert (error.reason, error.remedy) == ("HF_HUB_OFFLINE is set", "unset it")
    finally:
        monkeypatch.undo()
        close_session()


def test_a_plain_file_has_a_size_only(origin: Origin) -> None:
    file = origin.plain("files/a.bin", Generated(2, 4321))
    assert ask(origin, file.url, None) == LockedFile(None, 4321, None)
    assert [entry.method for entry in origin.requests()] == ["HEAD"]


def test_a_redirect_is_followed_without_fetching_the_file(origin: Origin) -> None:
    target = origin.plain("files/a.bin", Generated(2, 4321))
    source = origin.plain("files/b.bin", Generated(3, 1))
    origin.fault("redirect", source.key, to=target.url)
    assert ask(origin, source.url, None).size == 4321
    assert {entry.method for entry in origin.requests()} == {"HEAD"}


def test_refusals_of_plain_files_are_said(origin: Origin) -> None:
    file = origin.plain("files/a.bin", Generated(2, 10))
    host = web.host_of(origin.url)
    for status, reason in (
        (401, "refuses access (HTTP 401)"),
        (403, "refuses access (HTTP 403)"),
        (418, "answers HTTP 418"),
    ):
        origin.fault("status", file.key, status=status, times=1)
        assert refused(origin, file.url, None).reason == f"{host} {reason}"
    origin.fault("status", file.key, status=410, times=1)
    assert refused(origin, file.url, None).reason == "there is no such file (HTTP 410)"
    error = refused(origin, f"{origin.url}/files/none.bin", None)
    assert (error.reason, error.remedy) == ("there is no such file (HTTP 404)", "check the address")


def test_a_civitai_version_has_size_and_sha256(origin: Origin) -> None:
    file = origin.civitai(7, "a.safetensors", Generated(4, 5_000_001))
    assert ask(origin, file.url, None) == LockedFile(None, 5_000_001, file.sha256)


def test_civitai_errors_are_explained(origin: Origin) -> None:
    file = origin.civitai(7, "a.safetensors", Generated(4, 5000))
    error = refused(origin, "civitai://8", None)
    assert error.reason == "CivitAI has no model version 8"
    assert "modelVersionId" in error.remedy
    origin.fault("status", file.key, status=401)
    assert refused(origin, file.url, None).reason == "CivitAI shows this version only to who is logged in (HTTP 401)"
    error = refused(origin, file.url, None, CIVITAI_TOKEN=TOKEN)
    assert error.reason == "CivitAI does not accept CIVITAI_TOKEN (HTTP 401)"
    assert error.remedy == f"make an API key at {origin.url}/user/account and set CIVITAI_TOKEN"
    origin.clear()
    origin.fault("status", file.key, status=403, times=1)
    assert refused(origin, file.url, None).reason == "CivitAI shows this version only to who is logged in (HTTP 403)"
    origin.fault("status", file.key, status=429, retry_after="900", times=1)
    assert refused(origin, file.url, None).remedy == "run it again after 900 s"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, None), ("12", 12.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", None)],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, expected: float | None) -> None:
    assert web.seconds(value) == expected
