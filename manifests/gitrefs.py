"""Git refs to commits, by `git ls-remote`: nothing is cloned."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping

from manifests.lock import is_commit
from manifests.problems import alike, listing
from manifests.web import CannotResolve, host_of

TIMEOUT = 60.0
_LINE = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})\t(\S+)")
_UNREACHABLE = ("could not resolve host", "failed to connect", "couldn't connect", "connection refused", "timed out")
_REFUSED = ("authentication failed", "could not read username", "terminal prompts disabled", "invalid username or")
_MISSING = ("not found", "does not appear to be a git repository", "returned error: 404")


def resolve(url: str, refs: Iterable[str]) -> dict[str, str | CannotResolve]:
    """The commit of each branch, tag or `refs/…` of a repository, or why there is none. One question for all refs.

    A full commit is its own answer and asks nobody.
    """
    answers: dict[str, str | CannotResolve] = {ref: ref for ref in refs if is_commit(ref)}
    asked = [ref for ref in refs if ref not in answers]
    if not asked:
        return answers
    try:
        advertised = _advertised(url, asked)
    except CannotResolve as reason:
        return {**answers, **dict.fromkeys(asked, reason)}
    for ref in asked:
        try:
            answers[ref] = _commit(url, ref, advertised)
        except CannotResolve as reason:
            answers[ref] = reason
    return answers


def _advertised(url: str, refs: list[str]) -> dict[str, str]:
    """Commits by full ref name, `^{}` ones included. Raises CannotResolve when the repository does not answer."""
    exact = any(ref == "HEAD" or ref.startswith("refs/") for ref in refs)
    limits = [] if exact else ["--heads", "--tags"]  # a busy repository has 10 000 refs of pull requests
    try:
        done = subprocess.run(
            ["git", "-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=20", "ls-remote", "-q", *limits, "--", url],
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "SSH_ASKPASS": "", "LC_ALL": "C"},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT,
        )
    except FileNotFoundError:
        raise CannotResolve("git is not installed", "install it: apt-get install git") from None
    except subprocess.TimeoutExpired:
        raise CannotResolve(f"{host_of(url)} does not answer in {TIMEOUT:.0f} s", _NETWORK) from None
    if done.returncode != 0:
        raise _explain(url, done.stderr)
    return {name: commit for commit, name in _LINE.findall(done.stdout)}


_NETWORK = "run it again with a network (proxies: HTTPS_PROXY)"


def _explain(url: str, stderr: str) -> CannotResolve:
    said = stderr.lower()
    if any(words in said for words in _UNREACHABLE):
        return CannotResolve(f"{host_of(url)} cannot be reached", _NETWORK)
    if "certificate" in said:
        return CannotResolve(
            f"the certificate of {host_of(url)} is not trusted", "set GIT_SSL_CAINFO to your CA bundle"
        )
    if any(words in said for words in _REFUSED):
        return CannotResolve(
            "there is no such repository, or it is private and git has no login for it",
            "check the address, or store a login with `git credential`",
        )
    if any(words in said for words in _MISSING):
        return CannotResolve("there is no such repository", "check the address")
    last = next((line for line in reversed(stderr.splitlines()) if line.strip()), "git ls-remote failed")
    return CannotResolve(last.removeprefix("fatal: ").strip(), f"try `git ls-remote {url}`")


def _commit(url: str, ref: str, advertised: Mapping[str, str]) -> str:
    if ref == "HEAD" or ref.startswith("refs/"):
        found = {_peeled(ref, advertised)} - {None}
    else:
        found = {_peeled(f"refs/heads/{ref}", advertised), _peeled(f"refs/tags/{ref}", advertised)} - {None}
    if len(found) == 1:
        return str(found.pop())
    if found:
        raise CannotResolve(
            f"{ref} is both a branch and a tag, of different commits", f"write refs/heads/{ref} or refs/tags/{ref}"
        )
    if re.fullmatch(r"[0-9a-f]{4,39}", ref):
        raise CannotResolve(
            f"{ref} is no branch and no tag; a shortened commit cannot be looked up without cloning",
            "write the commit with all its 40 digits",
        )
    near = sorted({re.sub("^refs/(heads|tags)/", "", name) for name in advertised if "^" not in name})
    raise CannotResolve(
        f"{ref} is no branch and no tag of {url}",
        alike(ref, near, most=3) or f"it has {listing(near, 5) or 'none at all'}",
    )


def _peeled(name: str, advertised: Mapping[str, str]) -> str | None:
    """The commit of a ref; an annotated tag's own hash is not one, its `^{}` line is."""
    return advertised.get(f"{name}^{{}}") or advertised.get(name)
