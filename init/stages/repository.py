"""Git, as stages use it: shallow, unattended, and with its errors in plain words."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from init.failure import StageFailed
from init.stages.context import Context

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_ABBREVIATION = re.compile(r"[0-9a-f]{7,39}")
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "LC_ALL": "C.UTF-8",
    # A link that is dead in the middle of a transfer is noticed after a minute.
    "GIT_HTTP_LOW_SPEED_LIMIT": "1000",
    "GIT_HTTP_LOW_SPEED_TIME": "60",
}
_SETTINGS = {
    "advice.detachedHead": "false",
    "core.hooksPath": "/dev/null",
    "credential.helper": "",
    "gc.auto": "0",
    "safe.directory": "*",
    # Submodules may name any address; only these are followed.
    "protocol.allow": "never",
    "protocol.http.allow": "always",
    "protocol.https.allow": "always",
}
_ENVIRONMENT["GIT_CONFIG_COUNT"] = str(len(_SETTINGS))
for _number, (_key, _value) in enumerate(_SETTINGS.items()):
    _ENVIRONMENT |= {f"GIT_CONFIG_KEY_{_number}": _key, f"GIT_CONFIG_VALUE_{_number}": _value}


class Git:
    """Runs git for a stage in one folder."""

    def __init__(self, context: Context, folder: Path):
        self.context, self.folder = context, folder

    def __call__(self, *words: str, check: bool = True, on_line: Callable[[str], None] | None = None) -> list[str]:
        """Lines of output; StageFailed when it fails. Without `check` a failure is an empty list."""
        lines: list[str] = []

        def heard(line: str) -> None:
            lines.append(line)
            if on_line is not None:
                on_line(line)

        code = self.context.run(["git", *words], cwd=self.folder, env=_ENVIRONMENT, check=False, on_line=heard)
        if code == 0:
            return lines
        if not check:
            return []
        raise GitFailed(words[0], code, lines)

    def head(self) -> str | None:
        """The commit that is checked out."""
        lines = self("rev-parse", "--verify", "--quiet", "HEAD", check=False)
        return lines[0].strip() if lines and _COMMIT.fullmatch(lines[0].strip()) else None

    def has(self, commit: str) -> bool:
        return bool(self("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}", check=False))

    def changed(self, ignored: list[str]) -> list[str]:
        """Tracked files that differ from the commit, except below the `ignored` folders."""
        exclude = [f":(exclude,top,literal){folder}" for folder in ignored]
        lines = self("status", "--porcelain", "--untracked-files=no", "--", ":/", *exclude)
        return [line[3:] for line in lines if len(line) > 3 and line[2] == " "]


class GitFailed(StageFailed):
    """git ended with an error. `words` is its output."""

    def __init__(self, verb: str, code: int, lines: list[str]):
        errors = [line for line in lines if re.match(r"(fatal|error|remote):", line)] or lines[-2:]
        self.words = "\n".join(lines)
        super().__init__(f"git {verb} ended with {code}: {' / '.join(errors[-3:])}")


def resolve(context: Context, url: str, ref: str) -> str:
    """The commit that `ref` (branch, tag or commit) stands for at `url` today; an abbreviated one is returned as it is.

    Raises StageFailed.
    """
    if _COMMIT.fullmatch(ref):
        return ref
    folder = Path(context.plan.paths.disk)
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/tags/{ref}^{{}}", ref]
    try:
        lines = Git(context, folder)("ls-remote", "--", url, *names)
    except GitFailed as failure:
        raise explained(failure, url, ref) from None
    pairs = (line.split("\t") for line in lines if re.fullmatch(r"[0-9a-f]{40,64}\t\S+", line))
    found = {name: commit for commit, name in pairs}
    for name in (names[2], names[1], names[0], names[3]):
        if name in found:
            return found[name]
    if _ABBREVIATION.fullmatch(ref):
        return ref
    raise unknown_ref(url, ref)


def unknown_ref(url: str, ref: str) -> StageFailed:
    return StageFailed(
        f"{url} has no branch, tag or commit {ref!r}",
        hint="correct `ref` in the manifest and lock it again",
        retry=False,
    )


def explained(failure: GitFailed, url: str, ref: str) -> StageFailed:
    """The failure of a transfer in plain words."""
    words = failure.words
    host = urlsplit(url).hostname or url
    if re.search(r"couldn't find remote ref|not our ref|unadvertised object|reference is not a tree|bad object", words):
        return unknown_ref(url, ref)
    if re.search(r"could not read Username|Authentication failed|terminal prompts disabled|error: 40[13]", words):
        return StageFailed(
            f"{url} asks for a login: it is private, or it does not exist",
            hint="correct `git` in the manifest, or use a public repository",
            retry=False,
        )
    if re.search(r"[Rr]epository .*not found|error: 404", words):
        return StageFailed(f"there is no repository at {url}", hint="correct `git` in the manifest", retry=False)
    if "No space left on device" in words:
        return StageFailed("the disk is full", hint="make room, or use a larger container disk", retry=False)
    if re.search(
        r"Could not resolve host|Failed to connect|Couldn't connect|timed out|Connection re|unable to access"
        r"|early EOF|RPC failed|hung up|Operation too slow|invalid index-pack|[Ss]SL|error: 5\d\d",
        words,
    ):
        return StageFailed(f"cannot fetch from {host}: {_last(words)}", hint="check the network, then retry")
    return failure


def _last(words: str) -> str:
    errors = [line for line in words.splitlines() if re.match(r"(fatal|error):", line)]
    return errors[0].partition(": ")[2] if errors else "the connection broke"
