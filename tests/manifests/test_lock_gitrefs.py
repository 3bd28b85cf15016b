"""Refs to commits, from real repositories that git serves itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from manifests import gitrefs
from manifests.web import CannotResolve
from tests.origin import Origin


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


class Repository:
    """Two commits: `main` and `both` (a branch) at the second, tags `v1`, `v1-annotated` and `both` at the first."""

    def __init__(self, folder: Path, origin: Origin) -> None:
        folder.mkdir()
        git(folder, "init", "-q")
        git(folder, "commit", "-q", "--allow-empty", "-m", "one")
        self.first = git(folder, "rev-parse", "HEAD")
        git(folder, "tag", "v1")
        git(folder, "tag", "-a", "-m", "one", "v1-annotated")
        git(folder, "tag", "both")
        git(folder, "commit", "-q", "--allow-empty", "-m", "two")
        git(folder, "branch", "both")
        git(folder, "branch", "feature/one")
        self.second = git(folder, "rev-parse", "HEAD")
        git(folder, "update-ref", "refs/pull/7/head", self.first)
        git(folder, "tag", "deadbeef", self.second)
        self.folder = folder
        self.url = origin.repository("git/project.git", folder / ".git")


@pytest.fixture
def repository(tmp_path: Path, origin: Origin) -> Repository:
    return Repository(tmp_path / "project", origin)


def refused(url: str, ref: str) -> CannotResolve:
    answer = gitrefs.resolve(url, [ref])[ref]
    assert isinstance(answer, CannotResolve)
    return answer


def test_branches_and_tags_become_commits(repository: Repository) -> None:
    refs = ["main", "feature/one", "v1", "v1-annotated", "deadbeef"]
    first, second = repository.first, repository.second
    assert gitrefs.resolve(repository.url, refs) == dict(zip(refs, [second, second, first, first, second], strict=True))


def test_full_names_and_head_are_taken_at_their_word(repository: Repository) -> None:
    refs = ["HEAD", "refs/pull/7/head", "refs/tags/v1-annotated", "refs/heads/both", "refs/tags/both", "main"]
    first, second = repository.first, repository.second
    expected = [second, first, first, second, first, second]
    assert gitrefs.resolve(repository.url, refs) == dict(zip(refs, expected, strict=True))


def test_one_question_for_all_refs_of_a_repository(repository: Repository, origin: Origin) -> None:
    gitrefs.resolve(repository.url, ["v1"])
    alone = len(origin.requests("git/*"))
    gitrefs.resolve(repository.url, ["main", "v1", "v1-annotated"])
    assert len(origin.requests("git/*")) == 2 * alone


def test_a_full_commit_asks_nobody() -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    assert gitrefs.resolve("https://git.invalid/a", [commit, commit * 2][:1]) == {commit: commit}


def test_a_shortened_commit_is_explained(repository: Repository) -> None:
    short = repository.first[:9]
    error = refused(repository.url, short)
    expected = f"{short} is no branch and no tag; a shortened commit cannot be looked up without cloning"
    assert error.reason == expected
    assert error.remedy == "write the commit with all its 40 digits"


def test_a_name_that_is_branch_and_tag_is_refused(repository: Repository) -> None:
    error = refused(repository.url, "both")
    assert error.reason == "both is both a branch and a tag, of different commits"
    assert error.remedy == "write refs/heads/both or refs/tags/both"


def test_an_unknown_ref_names_those_that_are_near(repository: Repository) -> None:
    error = refused(repository.url, "v1-anotated")
    assert error.reason == f"v1-anotated is no branch and no tag of {repository.url}"
    assert error.remedy.startswith("did you mean `v1-annotated`")
    assert refused(repository.url, "zzz").remedy == "it has `both`, `deadbeef`, `feature/one`, `main`, `v1`, …"


def test_one_bad_ref_does_not_spoil_the_others(repository: Repository) -> None:
    answers = gitrefs.resolve(repository.url, ["main", "zzz"])
    assert answers["main"] == repository.second
    assert isinstance(answers["zzz"], CannotResolve)


def test_a_missing_repository_is_said(origin: Origin) -> None:
    error = refused(f"{origin.url}/git/none.git", "main")
    assert (error.reason, error.remedy) == ("there is no such repository", "check the address")


def test_a_private_repository_is_said_and_nobody_is_prompted(
    repository: Repository, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, asked = tmp_path / "askpass", tmp_path / "asked"
    program.write_text(f"#!/bin/sh\ntouch {asked}\necho x\n")
    program.chmod(0o755)
    for name in ("GIT_ASKPASS", "SSH_ASKPASS"):
        monkeypatch.setenv(name, str(program))
    origin.fault("status", "git/project.git", status=401)
    error = refused(repository.url, "main")
    assert error.reason == "there is no such repository, or it is private and git has no login for it"
    assert not asked.exists()


def test_a_dead_network_is_said() -> None:
    assert refused("http://127.0.0.1:1/a.git", "main").reason == "127.0.0.1:1 cannot be reached"
    assert refused("https://git.invalid/a.git", "main").reason == "git.invalid cannot be reached"


def test_another_error_is_quoted(repository: Repository, origin: Origin) -> None:
    origin.fault("status", "git/project.git", status=500)
    error = refused(repository.url, "main")
    assert "500" in error.reason
    assert error.remedy == f"try `git ls-remote {repository.url}`"


def test_a_missing_git_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    error = refused("https://git.invalid/a.git", "main")
    assert (error.reason, error.remedy) == ("git is not installed", "install it: apt-get install git")
