"""The notebook that guides through the set-up, at the workspace's top: the newest of a repository, else the image's.

Nothing waits for it, and it never fails for want of a network.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from init.children import started
from init.failure import StageFailed
from init.fetch.trouble import bare
from init.paths import Paths
from init.specs import NotebookSpec
from init.stages import edition, kernelspec
from init.stages.context import Context, Outcome
from init.stages.edition import Edition, NoNotebook
from init.stages.repository import Git, GitFailed, explained

REPOSITORY, NAME = "NOTEBOOK_REPO_URL", "NOTEBOOK_FILENAME"
_OTHER_WAY = ("dumb http", "shallow", "not our ref", "unadvertised", "couldn't find remote ref")
"""Words of a server that gives no single commit."""
KERNEL = "setup-guide"
"""Name of the kernel that runs it: there from the first second, whatever happens to the apps' environments."""


def abi(context: Context) -> dict[str, str]:
    """Every start looks for a newer one, and a runner that is killed meanwhile does not."""
    names = {name: context.environ.get(name, "") for name in (REPOSITORY, NAME)}
    supervisor = os.getppid() if context.environ.get("SUPERVISOR_ENABLED") else 0
    return {**names, "start": f"{supervisor} {started(supervisor)}" if supervisor else ""}


def run(context: Context) -> Outcome:
    """Raises StageFailed for a name or an address that is refused; the image's own notebook is in place then, too."""
    spec = context.stage.spec
    assert isinstance(spec, NotebookSpec)
    _kernel(context.plan.paths)
    workspace = Path(context.plan.paths.workspace)
    workspace.mkdir(parents=True, exist_ok=True)
    own = workspace / PurePosixPath(spec.file).name

    def refused(reason: str, hint: str) -> StageFailed:
        return StageFailed(
            f"{reason}; {_baked(context, spec, own)}",
            hint=hint,
            retry=False,
            result={"without": f"a newer {own.name}"},
        )

    try:
        path = edition.checked(context.environ.get(NAME, "").strip() or spec.path or own.name)
        url = _address(context.environ.get(REPOSITORY, "").strip() or spec.git)
    except NoNotebook as error:
        raise refused(str(error), f"correct {NAME} or {REPOSITORY}") from None
    if url is None:
        if path != own.name:
            remark = _baked(context, spec, own)
            return Outcome(message=f"{NAME} is {path}, and there is no repository to take it from; {remark}")
        return Outcome(message=_baked(context, spec, own), made=[own])
    at = workspace / PurePosixPath(path).name
    where = bare(url)
    try:
        incoming, commit = _fetch(context, url, spec.ref or "HEAD", path)
    except NoNotebook as error:
        reason = f"{path} of {where} cannot be used: {error}"
        raise refused(reason, f"correct it in the repository, or {NAME}") from None
    except StageFailed as failure:
        if context.cancel.is_set():
            raise
        there = f"the {at.name} that is here stays" if at.exists() else _baked(context, spec, own)
        return Outcome(message=f"no newer one could be had ({failure.message}); {there}")
    said = _settled(context, incoming, at)
    return Outcome(
        message="; ".join(filter(None, [f"{at.name} as of {commit[:12]} of {where}", said])),
        result={"commit": commit, "file": str(at)},
        made=[at],
    )


def _baked(context: Context, spec: NotebookSpec, own: Path) -> str:
    """Put the image's own into place; what to say of it. Raises StageFailed."""
    try:
        shipped = edition.parse((context.plan.paths.files / spec.file).read_bytes())
    except (OSError, NoNotebook) as error:
        raise StageFailed(
            f"the image's own {own.name} cannot be read: {error}", hint="build the image again", retry=False
        ) from None
    said = _settled(context, shipped, own)
    return "; ".join(filter(None, [f"{own.name} of the image is used", said]))


def _settled(context: Context, incoming: Edition, at: Path) -> str:
    memory = context.plan.paths.state / "notebooks.json"
    try:
        kept = json.loads(memory.read_text())
        known = {str(item) for item in kept.get(at.name, [])}
    except (OSError, ValueError, AttributeError, TypeError):
        kept, known = {}, set()
    said = edition.settle(incoming, at, known)
    memory.parent.mkdir(parents=True, exist_ok=True)
    part = memory.with_name(f"{memory.name}.new")
    part.write_text(json.dumps({**kept, at.name: sorted(known)}, indent=1) + "\n")
    part.replace(memory)
    return said


def _address(url: str | None) -> str | None:
    """Raises NoNotebook."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        raise NoNotebook(f"{REPOSITORY} is no address of a repository; it begins with https://") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\s\x00-\x1f]", url):
        raise NoNotebook(f"{bare(url)!r} is no address of a repository; it begins with https://")
    if "@" in parts.netloc:
        # Every user of the machine sees what git is called with.
        raise NoNotebook(f"the address of {bare(url)} holds a password: take a repository that needs none")
    return url


def _fetch(context: Context, url: str, ref: str, path: str) -> tuple[Edition, str]:
    """The notebook at `path` and the commit it is of; of the repository no more than that needs. Raises StageFailed,
    NoNotebook."""
    folder = Path(context.plan.paths.disk, "notebook")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    git = Git(context, folder)
    context.report(message=f"looking for a newer notebook at {bare(url)}")
    try:
        commit = _commit(git, url, ref)
        if not git("--literal-pathspecs", "ls-tree", "--name-only", commit, "--", path):
            raise NoNotebook("the repository has no such file")
        git("--literal-pathspecs", "checkout", "--quiet", commit, "--", path)
        file = folder / path
        if file.is_symlink() or not file.is_file() or not file.resolve().is_relative_to(folder.resolve()):
            raise NoNotebook("it is no plain file")
        with file.open("rb") as stream:
            return edition.parse(stream.read(edition.LARGEST + 1)), commit
    except GitFailed as failure:
        raise explained(failure, bare(url), ref) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _commit(git: Git, url: str, ref: str) -> str:
    """Fetch `ref` without the files, or as much as the server gives; its commit. Raises GitFailed."""
    ways = (
        ["--depth", "1", "--no-tags", "--filter=blob:none", "origin", ref],
        ["--no-tags", "origin", ref],
        ["--tags", "origin"],
    )
    for number, words in enumerate(ways):
        # Anew each time: a repository that was asked for parts goes on asking for them.
        shutil.rmtree(git.folder / ".git", ignore_errors=True)
        git("init", "--quiet")
        git("remote", "add", "origin", url)
        try:
            git("fetch", "--quiet", *words)
        except GitFailed as failure:
            said = failure.words
            if number + 1 == len(ways) or not any(word in said for word in _OTHER_WAY):
                raise
        else:
            name = ref if words[-1] == "origin" else "FETCH_HEAD"
            return git("rev-parse", "--verify", f"{name}^{{commit}}")[0].strip()
    raise AssertionError


def _kernel(paths: Paths) -> None:
    """Offer the control environment's Python as a kernel, for notebooks that show and repair."""
    env = {"PATH": f"{Path(paths.home, 'bin')}:${{PATH}}"}
    kernelspec.write(paths, KERNEL, "Set-up guide", paths.control / "bin" / "python", env, debugger=False)
